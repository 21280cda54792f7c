"""What people judged as a data set on disk: whole, cut off and taken up again, and nobody else's folder touched."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from feedback.labels import Docket, Stop, join
from schemas.faults import Fatal, Poison, Reason, Retryable
from schemas.messages import Reference, View
from schemas.words import DamageKind, Divert, Severity, Verdict, ViewKind
from tests.unit.feedback.judged import SITE, START, START_MS, said, stop
from training.data import open_data_set
from training.data.check import check
from training.data.claim import ORDER, REPORT, Order, Told
from training.data.export import Fetched, export
from training.data.form import Label
from training.data.split import lasting_split
from training.data.tree import TakenView

PRODUCTS = ("p0", "p1", "p2", "p3", "p4", "p5")
LATER_MS = START_MS + 100 * 3_600_000


def encoded(seed: int, suffix: str = ".jpg") -> bytes:
    """Return a picture of coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    _, data = cv2.imencode(suffix, cv2.resize(coarse, (96, 64), interpolation=cv2.INTER_CUBIC))
    return data.tobytes()


@dataclass
class Album:
    """Pictures by URI, and what was judged of them."""

    raw: dict[str, bytes] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)
    views: dict[str, list[View]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    away_after: int | None = None  # fetches, after which the storage is away
    fetches: int = 0

    def view(self, data: bytes, camera: str = "top") -> View:
        """Keep a picture."""
        digest = hashlib.sha256(data).hexdigest()
        uri = f"s3://bucket/{digest}"
        self.raw[uri] = data
        return View(uri=uri, sha256=digest, size=len(data), camera_id=camera)

    def add(self, one: Stop, *pictures: bytes) -> Stop:
        """Keep a divert with its pictures."""
        self.stops.append(one)
        cameras = ("top", "left", "right")
        shown = pictures or (encoded(len(self.raw)), encoded(1000 + len(self.raw), ".png"))
        self.views[one.decision.capture_id] = [
            self.view(data, camera) for data, camera in zip(shown, cameras, strict=False)
        ]
        return one

    async def fetch(self, views: Sequence[View]) -> Fetched:
        """Fetch like the line does, from memory."""
        self.fetches += 1
        if self.away_after is not None and self.fetches > self.away_after:
            raise Retryable("images", "the bucket is away")
        if lost := [view.uri for view in views if view.uri not in self.raw]:
            raise Poison(Reason.VIEW_MISSING, f"{lost[0]} does not exist")
        rgb = [view for view in views if view.kind is ViewKind.RGB]
        return Fetched(tuple(TakenView(self.raw[view.uri], camera_id=view.camera_id) for view in rgb))


def order(**changes: object) -> Order:
    """Return an order of a day."""
    whole = Order(SITE, START, datetime(2026, 11, 21, tzinfo=UTC), "A", 0, "2026-11-20", "2026-11-21")
    return msgspec.structs.replace(whole, **changes)


def place(album: Album, docket: Docket, out: Path, wanted: Order | None = None) -> Told:
    """Export it."""
    return asyncio.run(
        export(
            wanted or order(),
            out,
            docket,
            passes=12_345,
            audits_refused=7,
            pictures=album.views,
            references=album.references,
            fetch=album.fetch,
            now_ms=LATER_MS,
            say=lambda stage, done, of: None,
        )
    )


def ordinary() -> tuple[Album, Docket]:
    """Return 60 judged diverts of six products, with a reference of each."""
    album, heard = Album(), []
    for number in range(60):
        divert = Divert.AUDIT if number % 3 == 0 else Divert.DAMAGE
        one = album.add(stop(divert, product=PRODUCTS[number % 6], at_s=number))
        if number % 2:
            kinds, severity = (
                [DamageKind.SPILLAGE, DamageKind.DEFORMATION],
                [Severity.MINOR, Severity.MAJOR][number % 4 // 2],
            )
            heard.append(said(Verdict.DAMAGED, one, at_s=100 + number, kinds=kinds, severity=severity))
        else:
            heard.append(said(Verdict.SELLABLE, one, at_s=100 + number))
    for product in PRODUCTS:
        picture = album.view(encoded(hash_of(product)))
        album.references.append(
            Reference(reference_id=f"ref-{product}", product_id=product, views=[picture], enrolled_at=START)
        )
    return album, join(SITE, album.stops, heard)


def hash_of(text: str) -> int:
    """Return a number that is the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def files(out: Path) -> dict[str, int]:
    """Return all files with the times they were written."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(out.rglob("*")) if path.is_file()}


class TestWhole:
    """A set that was written without trouble."""

    @pytest.mark.parametrize("layout", ["A", "B"])
    def test_reads_back_as_it_was_judged(self, tmp_path: Path, layout: str) -> None:
        """Pictures to the byte, labels, products, weights; the check finds nothing that would spoil anything."""
        album, docket = ordinary()
        told = place(album, docket, tmp_path / "set", order(layout=layout))
        data = open_data_set(tmp_path / "set")
        samples = {sample.capture_id: sample for sample in data.samples}
        assert 60 == len(samples) == sum(told.samples.values())
        assert 6 == len(data.references) == told.references
        for one in docket.stops:
            sample = samples[one.decision.capture_id]
            raw = [album.raw[view.uri] for view in album.views[one.decision.capture_id]]
            assert raw == [image.path.read_bytes() for image in sample.images]
            assert [".jpg", ".png"] == [image.path.suffix for image in sample.images]
            assert one.first is not None
            verdict = one.first.disposition
            assert sample.label == Label(
                verdict.verdict is Verdict.DAMAGED,
                frozenset(verdict.kinds),
                Severity.NONE if verdict.verdict is Verdict.SELLABLE else verdict.severity,
            )
            assert (500.0 if one.decision.divert is Divert.AUDIT else 1.0) == sample.weight
            assert one.decision.identity is not None
            assert one.decision.identity.product_id == sample.product_id
            assert lasting_split(f"product {sample.product_id}", 0) == sample.split
            assert verdict.verdict.value == sample.facts["verdict"]
            assert "anna" not in sample.facts.values()
        assert not check(data, deep=True).spoiled
        assert (12_345, 10_000.0, 7) == (told.estimate.passes, told.estimate.passes_estimated, told.audits_refused)

    def test_the_same_order_again_changes_nothing(self, tmp_path: Path) -> None:
        """And needs no picture."""
        album, docket = ordinary()
        told = place(album, docket, tmp_path)
        before = files(tmp_path)
        assert told == place(Album(away_after=0), Docket((), docket.left_out), tmp_path)
        assert before == files(tmp_path)
        assert not (tmp_path / ".unfinished").exists()


class TestVerdicts:
    """What becomes of verdicts that are no plain label."""

    def test_a_wrong_item_has_neither_label_nor_product(self, tmp_path: Path) -> None:
        """It is kept: the audits would not add up without it; and what it was taken for is a fact."""
        album = Album()
        one = album.add(stop(Divert.IDENTITY, product="p1"))
        place(album, join(SITE, album.stops, [said(Verdict.WRONG_ITEM, one)]), tmp_path)
        (sample,) = open_data_set(tmp_path).samples
        assert (None, None, "p1") == (sample.label, sample.product_id, sample.facts["taken_for"])

    def test_damage_that_nobody_graded_stays_ungraded(self, tmp_path: Path) -> None:
        """Kaputt's table has two words for severity, and an empty cell."""
        album = Album()
        one = album.add(stop())
        place(album, join(SITE, album.stops, [said(Verdict.DAMAGED, one, kinds=[DamageKind.UNKNOWN])]), tmp_path)
        (sample,) = open_data_set(tmp_path).samples
        assert Label(True, frozenset(), Severity.UNKNOWN) == sample.label

    def test_what_is_left_out_is_counted(self, tmp_path: Path) -> None:
        """Unsure, late, unjudged, waiting, contradicted, revised, kinds of tomorrow."""
        album = Album()
        unsure, late, _, waiting, disputed = (album.add(stop()) for _ in range(5))
        waiting.timeout_ms = LATER_MS
        heard = [
            said(Verdict.UNSURE, unsure),
            said(Verdict.DAMAGED, disputed, at_s=61, kinds=[DamageKind.UNKNOWN]),
            said(Verdict.SELLABLE, disputed, at_s=62),
            said(Verdict.DAMAGED, late, at_s=9 * 3600),
        ]
        told = place(album, join(SITE, album.stops, heard), tmp_path)
        assert {"damage unsure": 1, "damage damaged": 1} == told.verdicts
        assert (1, 1, 1) == (told.late, told.unjudged, told.waiting)
        assert (1, 1, 1) == (told.contradicted, told.revised, told.unknown_kinds)
        (sample,) = open_data_set(tmp_path).samples
        assert "yes" == sample.facts["contradicted"]
        assert Label(True, frozenset(), Severity.UNKNOWN) == sample.label


class TestPictures:
    """Pictures that are not there, or not pictures."""

    def test_missing_ones_are_listed_and_cost_only_their_capture(self, tmp_path: Path) -> None:
        """Gone, no picture, or never announced."""
        album, docket = ordinary()
        gone, text, silent = (one.decision.capture_id for one in docket.stops[:3])
        del album.raw[album.views[gone][1].uri]
        album.raw[album.views[text][0].uri] = b"this is a text"
        album.views[silent] = []
        del album.raw[album.references[0].views[0].uri]
        told = place(album, docket, tmp_path)
        assert (57, 2, 1, 1) == (
            sum(told.samples.values()),
            told.missing,
            told.without_pictures,
            told.references_missing,
        )
        assert [gone, text] == sorted(named.partition(":")[0] for named in told.missing_named)
        assert 57 == len(open_data_set(tmp_path).samples)

    def test_a_reference_that_is_a_sample_is_left_out(self, tmp_path: Path) -> None:
        """A unit that was enrolled would be compared with itself."""
        album, docket = ordinary()
        own = album.views[docket.stops[0].decision.capture_id]
        album.references[0] = msgspec.structs.replace(album.references[0], views=own)
        told = place(album, docket, tmp_path)
        assert (5, 1) == (told.references, told.references_of_samples)
        assert not check(open_data_set(tmp_path)).spoiled


class TestInterrupted:
    """A run that was cut off."""

    def test_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """What is written stays as it is, a torn line of the journal is written again, and the result is the same."""
        album, docket = ordinary()
        album.away_after = 30
        with pytest.raises(Retryable, match="the bucket is away"):
            place(album, docket, tmp_path / "cut")
        assert not list((tmp_path / "cut").rglob("*.parquet"))
        journal = tmp_path / "cut" / ".unfinished" / "rows.jsonl"
        journal.write_bytes(journal.read_bytes()[:-20])
        pictures = {path: date for path, date in files(tmp_path / "cut").items() if "-image" in path}
        assert pictures
        album.away_after, album.fetches = None, 0
        told = place(album, docket, tmp_path / "cut")
        assert album.fetches < 60
        assert pictures.items() <= files(tmp_path / "cut").items()
        whole = place(album, docket, tmp_path / "whole")
        assert whole == told
        one, other = open_data_set(tmp_path / "cut"), open_data_set(tmp_path / "whole")
        assert [sample.capture_id for sample in one.samples] == [sample.capture_id for sample in other.samples]


class TestFolders:
    """Whose folder it is."""

    def test_a_folder_with_anything_in_it_is_refused(self, tmp_path: Path) -> None:
        """Nothing in it is touched."""
        album, docket = ordinary()
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(Fatal, match="was not written by this command"):
            place(album, docket, tmp_path)
        assert [tmp_path / "thesis.txt"] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("changes", "word"), [({"seed": 1}, "seed"), ({"site": "ord1"}, "site"), ({"layout": "B"}, "layout")]
    )
    def test_another_order_is_refused(self, tmp_path: Path, changes: dict[str, object], word: str) -> None:
        """And named."""
        album, docket = ordinary()
        place(album, docket, tmp_path)
        with pytest.raises(Fatal, match=rf"another export \({word} differs\)"):
            place(album, docket, tmp_path, order(**changes))

    @pytest.mark.parametrize("name", [ORDER, REPORT])
    def test_a_broken_note_is_refused(self, tmp_path: Path, name: str) -> None:
        """Rather than guessed at."""
        album, docket = ordinary()
        place(album, docket, tmp_path)
        (tmp_path / name).write_text("{")
        with pytest.raises(Fatal, match=r"cannot be used|is no order"):
            place(album, docket, tmp_path)


class TestSplit:
    """`lasting_split`."""

    def test_a_product_keeps_its_split(self) -> None:
        """For a seed, whatever else is in the data set; the shares hold on average."""
        found = [lasting_split(f"product {number}", 3) for number in range(3_000)]
        assert found == [lasting_split(f"product {number}", 3) for number in range(3_000)]
        assert found != [lasting_split(f"product {number}", 4) for number in range(3_000)]
        for split, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
            assert abs(found.count(split) / 3_000 - share) < 0.04
