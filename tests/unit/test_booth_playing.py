"""The parts of the play that need no broker: pictures on disk, shots rendered ahead, verdicts."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from booth.ahead import ready_shots, store, store_views
from booth.associate import Associate
from booth.world import Picture, Truth, World
from schemas.messages import Sidelined
from schemas.words import DamageKind, Divert, Severity, Verdict, ViewKind

INTACT = Truth(damaged=False, kinds=(), severity=Severity.NONE, product_id="p", boxes=())
HARMED = Truth(True, (DamageKind.PENETRATION,), Severity.MINOR, "p", ((0.1, 0.1, 0.2, 0.2),))
MISLABELLED = Truth(False, (), Severity.NONE, "p", (), wrong_label=True)


def stop(divert: Divert, number: int = 0) -> Sidelined:
    """A unit that was stopped for some reason."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Sidelined(
        capture_id=f"01890000-0000-7000-8000-{number:012x}",
        site="s",
        line="l",
        station="c",
        unit_id="u",
        divert=divert,
        decide_by=now,
        decided_at=now,
    )


def associate(error_rate: float = 0.0, seed: int = 1) -> Associate:
    """Somebody to ask."""
    return Associate(kafka_bootstrap="", site="s", truth=lambda _: None, error_rate=error_rate, seed=seed)


class TestStore:
    """Pictures on disk."""

    def test_the_view_names_what_was_written(self, tmp_path: Path) -> None:
        """URI, size and hash are those of the file, which lies below the folder."""
        view = store(Picture(b"jpeg bytes", "top"), tmp_path)
        (path,) = tmp_path.rglob("*.jpg")
        assert path.as_uri() == view.uri
        assert b"jpeg bytes" == path.read_bytes()
        assert (hashlib.sha256(b"jpeg bytes").hexdigest(), 10, "top") == (view.sha256, view.size, view.camera_id)

    def test_the_same_picture_is_kept_once(self, tmp_path: Path) -> None:
        """Storing again returns the same view and leaves one file, no unfinished ones."""
        first, second = (store(Picture(b"x", "top"), tmp_path) for _ in range(2))
        assert first == second
        assert 1 == len([path for path in tmp_path.rglob("*") if path.is_file()])

    def test_distances_are_a_view_of_their_own(self, tmp_path: Path) -> None:
        """A camera with depth gives two views of its name, the picture first; one without gives one."""
        views = store_views([Picture(b"jpeg", "top", b"png"), Picture(b"other", "side")], tmp_path)
        assert [(ViewKind.RGB, "top"), (ViewKind.DEPTH, "top"), (ViewKind.RGB, "side")] == [
            (view.kind, view.camera_id) for view in views
        ]
        assert 1 == len(list(tmp_path.rglob("*.png")))


class TestReadyShots:
    """Rendering ahead."""

    async def test_shots_come_in_order_as_the_world_makes_them(self, tmp_path: Path) -> None:
        """What another process renders is what this one would, and it lies on disk."""
        world = World(5, products=4)
        async with aclosing(ready_shots(world, tmp_path, count=5, depth=3)) as shots:
            ready = [shot async for shot in shots]
        assert list(range(5)) == [shot.index for shot in ready]
        for shot in ready:
            here = world.shot(shot.index)
            assert (here.truth, here.scan, here.unit_id) == (shot.truth, shot.scan, shot.unit_id)
            assert [hashlib.sha256(picture.jpeg).hexdigest() for picture in here.pictures] == [
                view.sha256 for view in shot.views if view.kind is ViewKind.RGB
            ]


class TestVerdicts:
    """What the associate finds."""

    @pytest.mark.parametrize(
        ("divert", "truth", "verdict"),
        [
            (Divert.DAMAGE, HARMED, Verdict.DAMAGED),
            (Divert.DAMAGE, INTACT, Verdict.SELLABLE),
            (Divert.AUDIT, HARMED, Verdict.DAMAGED),
            (Divert.IDENTITY, MISLABELLED, Verdict.WRONG_ITEM),
            (Divert.IDENTITY, INTACT, Verdict.SELLABLE),
            (Divert.IDENTITY, HARMED, Verdict.DAMAGED),
            (Divert.DAMAGE, MISLABELLED, Verdict.SELLABLE),
        ],
    )
    def test_the_truth_is_told(self, divert: Divert, truth: Truth, verdict: Verdict) -> None:
        """Without errors a verdict is what is there, seen from the reason of the stop."""
        assert verdict is associate().judge(stop(divert), truth)

    def test_errors_come_at_the_rate_asked_for(self) -> None:
        """One in five is wrong, and always the same ones."""
        careless = associate(error_rate=0.2)
        verdicts = [careless.judge(stop(Divert.DAMAGE, number), HARMED) for number in range(1000)]
        assert 150 < verdicts.count(Verdict.SELLABLE) < 250
        again = associate(error_rate=0.2)
        assert verdicts == [again.judge(stop(Divert.DAMAGE, number), HARMED) for number in range(1000)]
