"""Views of an event: RGB must be there, depth may be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason
from schemas.messages import View
from schemas.words import ViewKind
from telemetry.metrics import METRICS
from workers.fetching import fetch_pictures


@pytest.fixture
def fetcher(tmp_path: Path) -> ViewFetcher:
    """A fetcher of files below a folder."""
    return ViewFetcher(roots=[tmp_path], timeout_s=2.0)


def view(folder: Path, content: bytes, *, kind: ViewKind = ViewKind.RGB, camera: str = "top") -> View:
    """Put bytes into a file and announce them."""
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return View(uri=path.as_uri(), sha256=digest, size=len(content), kind=kind, camera_id=camera)


def left_out() -> float:
    """Return how many depth views were left out so far."""
    return float(METRICS.depth_left_out._value.get())


class TestFetchPictures:
    """`fetch_pictures`."""

    async def test_depth_goes_with_the_picture_of_its_camera(self, fetcher: ViewFetcher, tmp_path: Path) -> None:
        """Indices are those of the event's views, whatever their order."""
        views = [
            view(tmp_path, b"depth of side", kind=ViewKind.DEPTH, camera="side"),
            view(tmp_path, b"top"),
            view(tmp_path, b"side", camera="side"),
        ]
        pictures = await fetch_pictures(fetcher, views, patience_s=1)
        assert ((1, b"top"), (2, b"side")) == pictures.rgb
        assert {2: b"depth of side"} == pictures.depth

    async def test_depth_without_its_picture_is_ignored(self, fetcher: ViewFetcher, tmp_path: Path) -> None:
        """Nothing can be made of the depth of a camera that sent no picture."""
        views = [view(tmp_path, b"top"), view(tmp_path, b"d", kind=ViewKind.DEPTH, camera="other")]
        assert {} == (await fetch_pictures(fetcher, views, patience_s=1)).depth

    async def test_a_missing_depth_costs_no_answer(self, fetcher: ViewFetcher, tmp_path: Path) -> None:
        """It is left out and counted."""
        gone = view(tmp_path, b"depth", kind=ViewKind.DEPTH)
        (tmp_path / gone.sha256).unlink()
        before = left_out()
        pictures = await fetch_pictures(fetcher, [view(tmp_path, b"top"), gone], patience_s=1)
        assert ((0, b"top"),) == pictures.rgb
        assert {} == pictures.depth
        assert before + 1 == left_out()

    async def test_a_depth_that_is_not_what_was_announced_is_not_believed(
        self, fetcher: ViewFetcher, tmp_path: Path
    ) -> None:
        """Other bytes under the announced name are left out, too."""
        lied = msgspec.structs.replace(view(tmp_path, b"depth", kind=ViewKind.DEPTH), sha256="0" * 64)
        assert {} == (await fetch_pictures(fetcher, [view(tmp_path, b"top"), lied], patience_s=1)).depth

    async def test_a_missing_picture_is_the_events_fault(self, fetcher: ViewFetcher, tmp_path: Path) -> None:
        """Without its RGB views a capture cannot be judged."""
        gone = view(tmp_path, b"top")
        (tmp_path / gone.sha256).unlink()
        with pytest.raises(Poison) as caught:
            await fetch_pictures(fetcher, [gone], patience_s=1)
        assert Reason.VIEW_MISSING is caught.value.reason

    async def test_depth_alone_is_no_capture(self, fetcher: ViewFetcher, tmp_path: Path) -> None:
        """Depth is an addition to a picture, not one."""
        with pytest.raises(Poison) as caught:
            await fetch_pictures(fetcher, [view(tmp_path, b"d", kind=ViewKind.DEPTH)], patience_s=1)
        assert Reason.NO_PICTURE is caught.value.reason
