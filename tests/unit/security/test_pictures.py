"""Pictures are the widest door: what hostile ones may cost, and what code that got in through one could reach."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from evidence.decode import FORMATS, decode
from evidence.pictures import PicturePool
from schemas.faults import Poison, Reason
from tests.unit.security.bombs import BOMBS, MIB, chunk, jpeg, png, segment, still

ROOT = Path(__file__).parents[3]
MEMORY_MIB = 512
TIMEOUT_S = 2.5
COSTS_ITSELF = {Reason.NOT_AN_IMAGE, Reason.TOO_MANY_PIXELS, Reason.PICTURE_KILLED}


@pytest.fixture
async def pool() -> AsyncIterator[PicturePool]:
    """One process with the line's own time limit."""
    pool = PicturePool(processes=1, timeout_s=TIMEOUT_S, memory_mib=MEMORY_MIB)
    yield pool
    await pool.close()


def the_process() -> psutil.Process:
    """Return the pool's process."""
    (process,) = (each for each in psutil.Process().children() if "evidence.picture_process" in each.cmdline())
    return process


def status_of(process: psutil.Process) -> str:
    """Return what the kernel says of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def peak(process: psutil.Process) -> int:
    """Return the most memory that a process ever held, bytes; 0 once it is gone, killed by its limits."""
    lines = status_of(process).splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def in_a_process(body: str) -> object:
    """Run statements in a fresh process that has everything a picture process has, and return the JSON they print."""
    script = "import json, os, sys\nfrom evidence import picture_process as process\n" + body
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert answer.stdout, answer.stderr.decode()
    return json.loads(answer.stdout)


class TestBombs:
    """Small files that would be large."""

    @pytest.mark.parametrize("name", BOMBS)
    async def test_costs_its_own_capture_and_no_more_memory_than_one_may_have(
        self, pool: PicturePool, name: str
    ) -> None:
        """It is decoded or refused within its limits, and the next picture in the same seat is answered."""
        await pool.prepare([(0, still("PNG"))])
        process = the_process()
        before = peak(process)
        raw = BOMBS[name]()
        assert len(raw) < 16 * MIB, "no bomb, a large file"
        reason = None
        try:
            await pool.prepare([(0, raw)])
        except Poison as poison:
            reason = poison.reason
        assert reason in COSTS_ITSELF | {None}
        assert peak(process) - before < MEMORY_MIB * MIB
        assert (1, 224, 224, 5) == (await pool.prepare([(0, still("PNG"))])).pixels.shape

    def test_the_header_decides_before_pixels_are_unpacked(self) -> None:
        """900 million claimed pixels take no memory at all: the process could not even hold them."""
        peak = in_a_process(
            "from tests.unit.security.bombs import png\n"
            "from schemas.faults import Poison\n"
            "import resource\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "from evidence.decode import decode\n"
            "raw, before = png(claimed=(30_000, 30_000)), peak()\n"
            "try:\n    decode(raw, long_side=448)\nexcept Poison:\n    print(json.dumps(peak() - before))\n"
        )
        assert isinstance(peak, int)
        assert peak < 16 * 1024  # KiB; the pixels would be 2.7 million


class TestPolyglots:
    """Files that are two things at once are one thing here: a picture of one of three formats, or nothing."""

    @pytest.mark.parametrize(
        "front",
        [
            b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"<svg/>",
            b"PK\x03\x04",
            b"\n",
            b"#!/bin/sh\n",
        ],
    )
    def test_a_picture_behind_something_else_is_none(self, front: bytes) -> None:
        """What a file begins with decides, so no other reader can take it for something it is not here."""
        for form in FORMATS:
            with pytest.raises(Poison) as caught:
                decode(front + still(form), long_side=448)
            assert Reason.NOT_AN_IMAGE is caught.value.reason

    @pytest.mark.parametrize(
        "raw",
        [
            still("JPEG") + b"PK\x03\x04" + bytes(100),
            still("PNG") + b"<script>alert(1)</script>",
            jpeg(segment(0xFE, b"%PDF-1.7 1 0 obj<</OpenAction/JavaScript>>endobj")),
            png(chunk(b"tEXt", b"Comment\0<?php system($_GET[0]); ?>")),
            png(chunk(b"iCCP", b"k\0\0" + b"no profile")),
        ],
        ids=["archive behind", "script behind", "document inside", "program inside", "broken profile"],
    )
    def test_nothing_but_pixels_comes_out(self, raw: bytes) -> None:
        """What else a picture carries changes neither pixels nor size."""
        pixels, size = decode(raw, long_side=448)
        assert (64, 64) == size
        assert (64, 64, 3) == pixels.shape
        assert 0 == int(pixels.max())

    @pytest.mark.parametrize(
        "form", ["GIF", "BMP", "TIFF", "PPM", "ICO", "EPS", "PDF", "JPEG2000", "AVIF", "DDS", "SGI", "PCX"]
    )
    async def test_no_other_reader_is_offered(self, pool: PicturePool, form: str) -> None:
        """The formats whose readers were broken most often are refused by their first bytes."""
        out = io.BytesIO()
        Image.new("RGB", (64, 64)).save(out, form)
        with pytest.raises(Poison) as caught:
            await pool.prepare([(0, out.getvalue())])
        assert Reason.NOT_AN_IMAGE is caught.value.reason


class TestConfinement:
    """What is left to code that runs in a picture process."""

    async def test_a_process_at_work_is_limited(self, pool: PicturePool) -> None:
        """The kernel's own record of a pool process: memory, descriptors, processes, files, cores, privileges."""
        await pool.prepare([(0, still("JPEG"))])
        process = the_process()
        limits = {
            name: process.rlimit(getattr(psutil, f"RLIMIT_{name}"))[1]
            for name in ("AS", "NOFILE", "NPROC", "FSIZE", "CORE")
        }
        assert 0 < limits.pop("AS") < 8 * 1024 * MIB
        assert {"NOFILE": 4, "NPROC": 0, "FSIZE": 0, "CORE": 0} == limits
        assert "NoNewPrivs:\t1" in status_of(process)

    async def test_a_process_is_told_no_secret(self, pool: PicturePool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither keys of the cloud nor passwords of the line are in its environment."""
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("SIDELINE_AUDIT_KEY", "s3cr3t")
        await pool.prepare([(0, still("JPEG"))])
        assert "s3cr3t" not in str(the_process().environ())

    def test_code_that_got_in_opens_nothing(self) -> None:
        """No file is read or written, no socket made, no process or thread started."""
        refused = in_a_process(
            "import socket, threading\n"
            "process.rehearse()\n"
            "if os.getuid() == 0:\n"  # the kernel exempts root from the limit on processes, and workers are not root
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "process.limit(memory_mib=256, descriptors=3)\n"
            "attempts = {\n"
            "    'read a file': lambda: open('/etc/hostname'),\n"
            "    'write a file': lambda: open('/tmp/stolen', 'w'),\n"
            "    'connect': lambda: socket.socket(),\n"
            "    'fork': lambda: os.fork() or os._exit(0),\n"
            "    'a thread': lambda: threading.Thread(target=print).start(),\n"
            "    'run a program': lambda: os.posix_spawn('/bin/true', ['true'], {}),\n"
            "    'more memory': lambda: bytearray(2 << 30),\n"
            "}\n"
            "held = []\n"
            "for name, attempt in attempts.items():\n"
            "    try:\n        attempt()\n"
            "    except (OSError, RuntimeError, MemoryError):\n        held.append(name)\n"
            "print(json.dumps(held))\n"
        )
        assert ["read a file", "write a file", "connect", "fork", "a thread", "run a program", "more memory"] == refused

    def test_good_pictures_need_nothing_more(self) -> None:
        """After the rehearsal no module is loaded any more, whatever the picture: none would be found."""
        assert [] == in_a_process(
            "from tests.unit.security.test_pictures import corpus\n"
            "from evidence.picture_work import Done, Job, work\n"
            "raws = corpus()\n"
            "process.rehearse()\n"
            "before = set(sys.modules)\n"
            "process.limit(memory_mib=512, descriptors=3)\n"
            "replies = [(name, work(Job(0, raw, process.QUICK, depth))) for name, raw, depth in raws]\n"
            "wrong = [name for name, reply in replies if isinstance(reply, Done) != (not name.startswith('bad'))]\n"
            "print(json.dumps(wrong + sorted(set(sys.modules) - before)))\n"
        )


def corpus() -> list[tuple[str, bytes, bytes | None]]:
    """Return a picture of every kind that is accepted, and of several that are not, with depth now and then."""

    def encoded(image: Image.Image, form: str, **options: object) -> bytes:
        out = io.BytesIO()
        image.save(out, form, **options)
        return out.getvalue()

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8))
    depth = encoded(Image.fromarray(rng.integers(4_000, 6_000, (90, 120), np.uint16)), "PNG")
    turned = Image.Exif()
    turned[0x0112] = 6
    modes = ["1 PNG", "L PNG", "LA PNG", "P PNG", "RGB PNG", "RGBA PNG", "L JPEG", "CMYK JPEG", "RGBA WEBP"]
    return [
        *((mode, encoded(picture.convert(mode.split()[0]), mode.split()[1]), None) for mode in modes),
        *((f"turned {form}", encoded(picture, form, exif=turned.tobytes()), depth) for form in FORMATS),
        ("16 bits", depth, depth),
        ("phone", encoded(picture, "MPO", save_all=True, append_images=[picture]), None),
        ("progressive", encoded(picture, "JPEG", progressive=True), None),
        ("broken metadata", encoded(picture, "JPEG", exif=b"Exif\0\0MM\0*garbage"), None),
        ("broken depth", encoded(picture, "PNG"), b"none"),
        *((f"bad {form}", encoded(picture, form)[:300], None) for form in (*FORMATS, "GIF", "TIFF")),
        ("bad text", b"no picture", None),
        ("bad animation", encoded(picture, "WEBP", save_all=True, append_images=[picture.rotate(9)]), None),
    ]
