"""One process of the picture pool: jobs on standard input, replies on standard output, until the input ends.

    python -m evidence.picture_process MEMORY_MIB

It is started by `evidence.pictures` only. A frame is four bytes of length, most significant first, and a MessagePack
body; an empty frame says "ready". From then on it opens nothing: no file, no socket, no process. Code that a picture
smuggles in has two pipes to talk through and a parent that reads one kind of answer from them.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO, Final

import cv2
import msgspec
import numpy as np
from PIL import Image

from evidence.code_reader import QUICK
from evidence.decode import FORMATS
from evidence.frame import SIDE
from evidence.picture_work import Done, Job, Reply, work

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38


def main() -> None:
    """Serve jobs until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe when it is done
    _die_with_parent()
    # Replies go through a private copy of standard output, so that nothing a library prints can get between them.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cv2.setNumThreads(1)  # parallelism is the number of processes
    rehearse()
    limit(memory_mib=int(sys.argv[1]), descriptors=replies.fileno() + 1)
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


def rehearse() -> None:
    """Work once on a picture of each format, with depth: whatever the libraries load late is loaded while it can be.

    Raises:
        RuntimeError: a format cannot be decoded, so the installation is not what its requirements say.
    """
    picture, depth = Image.new("RGB", (SIDE, SIDE), (90, 120, 150)), io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), 5_000, np.uint16)).save(depth, "PNG")
    for form in (*FORMATS, "MPO"):
        file = io.BytesIO()
        picture.save(file, form, save_all=form == "MPO")
        reply = work(Job(0, file.getvalue(), QUICK, depth.getvalue()))
        if not isinstance(reply, Done) or reply.depth_fault:
            raise RuntimeError(f"a {form} of our own is not read: {reply}")


def limit(*, memory_mib: int, descriptors: int) -> None:
    """Take away what work on pictures does not need, for good.

    Address space is limited to what is taken now and `memory_mib` more: the libraries reserve some 500 MiB that they
    never touch, so a fixed limit would mean little. No descriptor from `descriptors` on can be opened, no byte written
    to a file, no core left; on Linux no process or thread started (root is exempt from that one limit), and nothing
    executed ever has more rights than this process.
    """
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        memory = taken + memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        if ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError("the kernel does not know no_new_privs: Linux 3.5 or later is needed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


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
