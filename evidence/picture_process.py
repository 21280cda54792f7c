"""One process of the picture pool: jobs on standard input, replies on standard output, until the input ends.

    python -m evidence.picture_process MEMORY_MIB

It is started by `evidence.pictures` only. A frame is four bytes of length, most significant first, and a MessagePack
body; an empty frame says "ready".
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO, Final

import cv2
import msgspec

from evidence.picture_work import Job, Reply, work

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Serve jobs until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe when it is done
    _die_with_parent()
    # Replies go through a private copy of standard output, so that nothing a library prints can get between them.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cv2.setNumThreads(1)  # parallelism is the number of processes
    _limit(memory_mib=int(sys.argv[1]))
    jobs = sys.stdin.buffer
    decoder, encoder = msgspec.msgpack.Decoder(Job), msgspec.msgpack.Encoder()
    _write(replies, b"")
    while (body := _read(jobs)) is not None:
        reply: Reply = work(decoder.decode(body))
        _write(replies, encoder.encode(reply))


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, even by SIGKILL and in the middle of a job.

    Elsewhere than on Linux the end of the input does it, after the job in hand.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            sys.exit(1)


def _limit(*, memory_mib: int) -> None:
    """Limit the address space to what is taken now and `memory_mib` more, and leave no core files of hostile pictures.

    The libraries reserve some 500 MiB of addresses that they never touch, so a fixed limit would mean little.
    """
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limit = taken + memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:  # noqa: PLR2004 - the length of a length
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return body if len(body) == length else None


def _write(stream: BinaryIO, body: bytes) -> None:
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


if __name__ == "__main__":
    main()
