"""The pool of picture processes: a bad picture costs itself, a dead process is replaced, nobody is orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import zxingcpp
from numpy.typing import NDArray
from PIL import Image

from evidence.code_reader import Effort
from evidence.codes import Code
from evidence.frame import model_input
from evidence.pictures import PicturePool
from schemas.faults import Fatal, Poison, Reason, Retryable

ROOT = Path(__file__).parents[2]
SLOW = Effort(budget_s=600.0, whole=True)  # with `blocks`, seconds of work


def encoded(pixels: NDArray[np.uint8], form: str = "PNG") -> bytes:
    """Write a picture."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def plain(level: int = 128) -> bytes:
    """A small grey picture."""
    return encoded(np.full((60, 80, 3), level, np.uint8))


def blocks() -> bytes:
    """A picture that looks like matrix codes all over and keeps the reader busy for a second or two if it may."""
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 2, (400, 400), dtype=np.uint8) * 255, np.ones((4, 4), np.uint8))
    return encoded(picture)


def processes() -> list[psutil.Process]:
    """Return the picture processes of this test run."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "evidence.picture_process" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


async def until(holds: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.01)


@pytest.fixture
async def pool() -> AsyncIterator[PicturePool]:
    """Two processes with the line's limits."""
    pool = PicturePool(processes=2, timeout_s=20.0, memory_mib=512)
    yield pool
    await pool.close()


class TestPrepare:
    """`PicturePool.prepare` on good pictures."""

    async def test_returns_views_in_order(self, pool: PicturePool) -> None:
        """Rows follow the pictures as given, with their own view numbers and sizes."""
        wide = encoded(np.full((100, 300, 3), 10, np.uint8), "JPEG")
        prepared = await pool.prepare([(4, plain(200)), (1, wide), (2, plain(50))])
        assert (3, 224, 224, 5) == prepared.pixels.shape
        assert np.uint8 == prepared.pixels.dtype
        assert (4, 1, 2) == prepared.views
        assert ((80, 60), (300, 100), (80, 60)) == prepared.sizes
        assert [200, 10, 50] == [round(float(row[..., :3].mean())) for row in prepared.pixels]

    async def test_frames_as_the_training_does(self, pool: PicturePool) -> None:
        """The pixels are those of `evidence.frame`, bit for bit."""
        picture = np.random.default_rng(5).integers(0, 255, (200, 300, 3), np.uint8)
        prepared = await pool.prepare([(0, encoded(picture))])
        assert np.array_equal(model_input(picture), prepared.pixels[0])

    async def test_reads_codes_when_wanted(self, pool: PicturePool) -> None:
        """Codes come with the view they were found in, or not at all."""
        bars = zxingcpp.create_barcode("X001ABCDEF", zxingcpp.BarcodeFormat.Code128).to_image(scale=2)
        raw = encoded(np.pad(np.asarray(bars), 40, constant_values=255))
        views = [(0, plain()), (3, raw)]
        assert (Code("X001ABCDEF", "Code128", confirmed=True, view=3),) == (await pool.prepare(views)).codes
        assert () == (await pool.prepare(views, want_codes=False)).codes

    async def test_works_on_many_captures_at_once(self, pool: PicturePool) -> None:
        """More captures than processes wait for their turn and all get their own answer."""
        levels = range(0, 240, 8)
        answers = await asyncio.gather(*(pool.prepare([(0, plain(level))]) for level in levels))
        assert list(levels) == [int(answer.pixels[0, 0, 0, 0]) for answer in answers]
        assert 2 == len(processes())


class TestBadPictures:
    """What a bad picture does, and to whom."""

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"a text file called .jpg", Reason.NOT_AN_IMAGE),
            (b"", Reason.NOT_AN_IMAGE),
            (encoded(np.zeros((1, 1, 3), np.uint8)), Reason.NOT_AN_IMAGE),
            (encoded(np.zeros((1, 20_000), np.uint8)), Reason.TOO_MANY_PIXELS),
        ],
        ids=["text", "nothing", "dot", "too wide"],
    )
    async def test_is_refused_in_words(self, pool: PicturePool, raw: bytes, reason: Reason) -> None:
        """The reason and the view are named; the processes live on."""
        await pool.prepare([(0, plain())])
        before = {process.pid for process in processes()}
        with pytest.raises(Poison, match=r"^view 5: ") as caught:
            await pool.prepare([(0, plain()), (5, raw)])
        assert reason is caught.value.reason
        assert before <= {process.pid for process in processes()}

    async def test_the_first_bad_view_counts(self, pool: PicturePool) -> None:
        """Of two bad views always the same one is named, whichever was done first."""
        with pytest.raises(Poison, match=r"^view 1: "):
            await pool.prepare([(1, encoded(np.zeros((1, 20_000), np.uint8))), (2, b"")])

    async def test_beyond_its_memory_is_killed(self) -> None:
        """A picture that needs more memory than it may have costs only itself."""
        pool = PicturePool(processes=1, timeout_s=60.0, memory_mib=64)
        with pytest.raises(Poison) as caught:
            await pool.prepare([(0, encoded(np.zeros((6_000, 6_000, 3), np.uint8)))])
        assert Reason.PICTURE_KILLED is caught.value.reason
        assert (1, 224, 224, 5) == (await pool.prepare([(0, plain())])).pixels.shape
        await pool.close()

    async def test_beyond_its_time_is_killed_while_others_go_on(self) -> None:
        """A picture that keeps a process busy too long is given up; the neighbour never waits for it."""
        pool = PicturePool(processes=2, timeout_s=0.5, memory_mib=512)
        await asyncio.gather(*(pool.prepare([(0, plain())]) for _ in range(2)))
        stuck = asyncio.create_task(pool.prepare([(0, blocks())], effort=SLOW))
        answered = 0
        while not stuck.done():
            await pool.prepare([(0, plain())])
            answered += 1
        with pytest.raises(Poison, match=r"longer than 0\.5 s") as caught:
            await stuck
        assert Reason.PICTURE_KILLED is caught.value.reason
        assert answered > 10
        await asyncio.gather(*(pool.prepare([(0, plain())]) for _ in range(4)))
        await pool.close()

    async def test_a_source_of_such_pictures_leaves_room_for_others(self) -> None:
        """Found out once, it has one process at most however much it sends; another source's pictures go through."""
        pool = PicturePool(processes=2, timeout_s=1.5, memory_mib=512)
        try:
            await pool.prepare([(0, plain())])
            with pytest.raises(Poison, match="longer than"):
                await pool.prepare([(0, blocks())], effort=SLOW)
            assert not pool.is_suspect("")  # nobody was named
            with pytest.raises(Poison, match="longer than"):
                await pool.prepare([(0, blocks())], effort=SLOW, source="east/line-1")
            assert pool.is_suspect("east/line-1")
            flood = [
                asyncio.create_task(pool.prepare([(0, blocks())], effort=SLOW, source="east/line-1")) for _ in range(4)
            ]
            await asyncio.sleep(0.1)
            for _ in range(10):
                await pool.prepare([(0, plain())], source="east/line-2")
            assert not all(task.done() for task in flood)  # they stood first in line for both processes
            ended = await asyncio.gather(*flood, return_exceptions=True)
            assert all(isinstance(one, Poison) for one in ended)
        finally:
            await pool.close()

    async def test_a_stopped_process_is_replaced(self) -> None:
        """A process that hangs in the kernel's eyes, not using any time, is found out by the clock."""
        pool = PicturePool(processes=1, timeout_s=0.5, memory_mib=512)
        await pool.prepare([(0, plain())])
        (process,) = processes()
        process.suspend()
        with pytest.raises(Poison):
            await pool.prepare([(0, plain())])
        await pool.prepare([(0, plain())])
        assert not process.is_running()
        await pool.close()


class TestDeaths:
    """Processes that die."""

    async def test_one_death_is_not_blamed_on_the_picture(self) -> None:
        """A process killed from outside is replaced and the work done again."""
        pool = PicturePool(processes=1, timeout_s=60.0, memory_mib=512)
        await pool.prepare([(0, plain())])
        (process,) = processes()
        idle_s = process.cpu_times().user
        work = asyncio.create_task(pool.prepare([(0, blocks())], effort=Effort(budget_s=0.5, whole=True)))
        await until(lambda: process.cpu_times().user > idle_s + 0.1)
        process.kill()
        assert (1, 224, 224, 5) == (await work).pixels.shape
        await pool.close()

    async def test_a_death_while_starting_is_not_blamed_on_the_installation(self) -> None:
        """A process killed before it was ready, by the kernel short of memory say, is started again."""
        pool = PicturePool(processes=1, timeout_s=60.0, memory_mib=512)
        work = asyncio.create_task(pool.prepare([(0, plain())]))
        await until(processes)
        (process,) = processes()
        process.kill()
        assert (1, 224, 224, 5) == (await work).pixels.shape
        assert process.pid not in {each.pid for each in processes()}
        await pool.close()

    async def test_two_deaths_are(self) -> None:
        """A picture in whose hands two processes die is refused."""
        pool = PicturePool(processes=1, timeout_s=60.0, memory_mib=512)
        await pool.prepare([(0, plain())])
        work = asyncio.create_task(pool.prepare([(0, blocks())], effort=SLOW))
        killed = set()
        while not work.done():
            for process in processes():
                # Only in the middle of work: a process that dies while it starts is another matter.
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.cpu_times().user > 1.0:
                        process.kill()
                        killed.add(process.pid)
            await asyncio.sleep(0.02)
        with pytest.raises(Poison, match="twice") as caught:
            await work
        assert Reason.PICTURE_KILLED is caught.value.reason
        assert 2 == len(killed)
        await pool.prepare([(0, plain())])
        await pool.close()

    async def test_a_process_that_cannot_start_is_fatal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The installation is wrong, and the message tells what to try."""
        monkeypatch.setattr(sys, "executable", "/bin/false")
        pool = PicturePool(processes=1, timeout_s=5.0, memory_mib=512)
        with pytest.raises(Fatal, match=r"evidence\.picture_process"):
            await pool.prepare([(0, plain())])
        await pool.close()


class TestGivingUp:
    """Callers that leave, and the pool's end."""

    async def test_a_cancelled_caller_leaves_the_pool_whole(self) -> None:
        """Work that nobody waits for ends by itself; the next caller gets its own answer, not the leftovers."""
        pool = PicturePool(processes=1, timeout_s=20.0, memory_mib=512)
        await pool.prepare([(0, plain())])
        (process,) = processes()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    pool.prepare([(0, blocks())], effort=Effort(budget_s=0.2, whole=True)), timeout=0.05
                )
        assert 77 == int((await pool.prepare([(0, plain(77))])).pixels[0, 0, 0, 0])
        assert [process.pid] == [each.pid for each in processes()]
        await pool.close()

    async def test_closing_ends_processes_and_waiting(self) -> None:
        """Work in hand and in line fails as retryable, at once, and no process is left."""
        pool = PicturePool(processes=1, timeout_s=60.0, memory_mib=512)
        await pool.prepare([(0, plain())])
        work = [asyncio.create_task(pool.prepare([(0, blocks())], effort=SLOW)) for _ in range(3)]
        (process,) = processes()
        idle_s = process.cpu_times().user
        await until(lambda: process.cpu_times().user > idle_s + 0.1)
        await asyncio.wait_for(pool.close(), timeout=5)
        for task in work:
            with pytest.raises(Retryable):
                await task
        assert [] == processes()
        with pytest.raises(Retryable):
            await pool.prepare([(0, plain())])

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    async def test_children_end_with_their_parent(self, how: signal.Signals, tmp_path: Path) -> None:
        """However the worker ends, in the middle of work, its picture processes do too."""
        (tmp_path / "blocks.png").write_bytes(blocks())
        script = tmp_path / "parent.py"
        script.write_text(
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from evidence.code_reader import Effort\n"
            "from evidence.pictures import PicturePool\n"
            "async def main():\n"
            "    pool = PicturePool(processes=2, timeout_s=60, memory_mib=512)\n"
            "    raw = Path(sys.argv[1]).read_bytes()\n"
            "    work = [pool.prepare([(0, raw)], effort=Effort(600.0, True)) for _ in range(2)]\n"
            "    await asyncio.gather(*work)\n"
            "asyncio.run(main())\n"
        )
        arguments = [sys.executable, str(script), str(tmp_path / "blocks.png")]
        parent = await asyncio.create_subprocess_exec(*arguments, env={"PYTHONPATH": str(ROOT)}, stderr=DEVNULL)
        watched = psutil.Process(parent.pid)
        await until(lambda: len(watched.children()) == 2)
        children = watched.children()
        await until(lambda: all(child.cpu_times().user > 0.6 for child in children))
        parent.send_signal(how)
        await parent.wait()
        await until(lambda: not any(_lives(child) for child in children))


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
