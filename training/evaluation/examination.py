"""One capture through the line's own functions, once for each way in which it could have arrived."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from evidence.assemble import combine_views
from evidence.calibration import Calibration
from evidence.codes import Code
from evidence.discrepancy import Patches, compare, quantise
from evidence.frame import Inset, inset
from evidence.fusion import fuse
from evidence.identity import Foremost, ImageCandidate, ScanClaim, Shortlisted, likeliest_first, rank
from evidence.limits import Choice, Outcome
from evidence.prints import Overlay, Print, Squares, print_of
from evidence.triton import Embeddings, Scores
from gallery.examine import REFERENCES_COMPARED, Examiner
from gallery.index import GalleryIndex
from schemas.faults import Poison
from schemas.messages import Evidence, Identity, Product
from schemas.words import KINDS, MICRO, Severity
from training.evaluation.models import Pair
from training.evaluation.rows import Answer, Likeness, Row
from training.evaluation.shelf import Enrolled, Shelf
from training.evaluation.source import Pose, RawCapture, Shot, prepare

SIZES: Final = (1, 3, 10, 30, 100)  # of choices by looks, and the whole gallery
_COLOURS: Final = 3  # channels before those of depth
_STRANGER, _LOOKS = 0, 1  # what other products are drawn for


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a process of a trial is told."""

    repository: Path
    shelf: Path
    catalogue: tuple[Product, ...]
    looks_of: int  # captures whose looks are tried on choices of every size
    likeness: bool = False  # keep how alike each capture is to its shortlist, for a calibration to be fitted on


class Enroller:
    """Embeds references."""

    def __init__(self, models: Pair) -> None:
        """Take the models."""
        self._models = models

    def enrol(self, pose: Pose) -> Enrolled | str:
        """Return a reference as the curator would enrol it, or why that cannot be done."""
        try:
            raw = pose.take()
            prepared = prepare(raw.views, codes=False)
        except Poison as poison:
            return str(poison)
        embeddings = self._models.embed(prepared.pixels)
        return Enrolled(
            raw.reference_id,
            raw.product_id,
            embeddings.vectors,
            quantise(embeddings.patches),
            tuple(print_of(square) for square in prepared.pixels[..., :_COLOURS]),
        )


class Examination:
    """Examines captures against the shelf."""

    def __init__(self, setting: Setting, models: Pair) -> None:
        """Open shelf and calibration."""
        self._models = models
        self._calibration = Calibration.load(setting.repository / "fusion.json")
        self._shelf = Shelf(setting.shelf, setting.catalogue, model_version=self._calibration.embedding)
        nothing = GalleryIndex(model_version=self._calibration.embedding)
        self._ranking, self._overlaying = Remembering(), Laying()
        self._full = Examiner(
            index=self._shelf.index,
            patches=self._shelf,
            calibration=self._calibration,
            ranking=self._ranking,
            overlaying=self._overlaying,
        )
        self._bare = Examiner(index=nothing, patches=self._shelf, calibration=self._calibration)
        self._looks_of = setting.looks_of
        self._wants_likeness = setting.likeness
        self._runner = asyncio.Runner()

    def row(self, shot: Shot) -> Row:
        """Take a capture and return all that is kept of it."""
        try:
            raw = shot.take()
        except Poison as poison:
            return Row(number=shot.number, capture_id=str(shot.number), refused=str(poison))
        row = _truth(shot.number, raw)
        try:
            prepared = prepare(raw.views, codes=True)
        except Poison as poison:
            return replace(row, refused=f"{poison.reason}: {poison}")
        insets = [inset(width, height) for width, height in prepared.sizes]
        scores, embeddings = self._models.score(prepared.pixels), self._models.embed(prepared.pixels)
        row = replace(row, codes=len(prepared.codes), depth=bool(prepared.pixels[..., _COLOURS:].any()))
        return self._runner.run(self._answered(row, raw, prepared.codes, scores, embeddings, insets, prepared.pixels))

    async def _answered(  # one argument for each thing a capture consists of
        self,
        row: Row,
        raw: RawCapture,
        codes: Sequence[Code],
        scores: Scores,
        embeddings: Embeddings,
        insets: Sequence[Inset],
        pixels: NDArray[np.uint8],
    ) -> Row:
        """Add the answers."""
        squares = pixels[..., :_COLOURS]

        async def answer(
            examiner: Examiner, scan: ScanClaim | None = None, codes: Sequence[Code] = (), said: Scores = scores
        ) -> Answer:
            evidence, identity = await examiner.examine(
                said,
                embeddings,
                scan=scan,
                codes=codes,
                expected=[],
                insets=insets,
                squares=squares,
                turn=nullcontext,
            )
            return _answer(evidence, identity, self._calibration)

        right = None if raw.product_id is None else ScanClaim(raw.product_id, raw.product_id, 0)
        came = None if raw.scan is None else self._full.claim(*raw.scan, at_ms=0)
        blind = pixels.copy()
        blind[..., _COLOURS:] = 0
        return replace(
            row,
            scanned="" if came is None else "right" if came.product_id == raw.product_id else "wrong",
            classifier=combine_views(scores.damage, scores.kinds, scores.severity, scores.heat).damage,
            alone=await answer(self._bare),
            by_code=None if right is None else await answer(self._full, right),
            by_image=await answer(self._full),
            arrived=await answer(self._full, came, codes),
            blind=await answer(self._bare, said=self._models.score(blind)) if row.depth else None,
            own=await self._apart(row.product_id, embeddings),
            stranger=await self._apart(next(iter(self._others(row, _STRANGER)), None), embeddings),
            looks=await self._looks(row, embeddings, squares) if row.number < self._looks_of else (),
            likeness=await self._likeness(row, embeddings, squares) if self._wants_likeness else {},
        )

    async def _apart(self, product_id: str | None, embeddings: Embeddings) -> int | None:
        """Compare with the references of a product."""
        wanted = () if product_id is None else self._shelf.index.references_of(product_id)[:REFERENCES_COMPARED]
        maps = await self._shelf.get(wanted)
        return compare(embeddings.patches, [(each, maps[each]) for each in wanted]).micro if wanted else None

    async def _likeness(self, row: Row, embeddings: Embeddings, squares: Squares) -> dict[str, Likeness]:
        """Compare with its own product, and with a shortlist as the line does where nothing but looks names it."""
        named = [] if row.product_id is None else [row.product_id]
        found = {each.product_id: each for each in await self._full.looks(embeddings, named=named)}
        found |= {each.product_id: each for each in await self._full.looks(embeddings, squares=squares)}
        return {
            each.product_id: Likeness(
                pooled=round(each.similarity * MICRO),
                patch=round(each.patch * MICRO),
                agree=each.agree,
                laid=None if each.laid is None else round(each.laid * MICRO),
            )
            for each in found.values()
        }

    async def _looks(self, row: Row, embeddings: Embeddings, squares: Squares) -> tuple[Choice, ...]:
        """Choose among so many products by looks, with the own one among them and without."""
        own, found = row.product_id, []
        if own is None or not self._shelf.index.references_of(own):
            return ()
        everyone, drawn = len(self._shelf.products), self._others(row, _LOOKS)
        for size in (*(each for each in SIZES if each < everyone), everyone):
            others = drawn[:size]
            mated = await self._full.looks(embeddings, squares=squares, expected=[own, *others[: size - 1]])
            alien = await self._full.looks(embeddings, squares=squares, expected=others) if others else []
            if mated and alien:
                found.append(_choice(size, own, mated, alien))
        return tuple(found)

    def _others(self, row: Row, purpose: int) -> list[str]:
        """Return the products with references in an order that is drawn, without the capture's own."""
        products = self._shelf.products
        drawn = np.random.default_rng([row.number, purpose]).permutation(len(products)).tolist()
        return [products[place] for place in drawn if products[place] != row.product_id]


def _choice(products: int, own: str, mated: Sequence[ImageCandidate], alien: Sequence[ImageCandidate]) -> Choice:
    """Return who was chosen, as the line believes it where captures are laid over references, and where not."""

    def outcome(mated: Sequence[ImageCandidate], alien: Sequence[ImageCandidate]) -> Outcome:
        return Outcome(mated[0].product_id == own, Foremost.of(mated), Foremost.of(alien))

    plain = outcome(*(sorted(map(_unverified, each), key=likeliest_first) for each in (mated, alien)))
    laid = mated[0].laid is not None and alien[0].laid is not None
    return Choice(products, plain, outcome(mated, alien) if laid else None)


def _unverified(candidate: ImageCandidate) -> ImageCandidate:
    return dataclasses.replace(candidate, agree=None, laid=None)


class Remembering:
    """`evidence.identity.rank`, remembering for the capture in hand how alike each product was.

    A capture is examined in several ways, and nearly all of the time goes into comparing it with the same products.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._query: Patches | None = None
        self._known: dict[str, ImageCandidate] = {}

    def __call__(self, query: Patches, shortlist: Sequence[Shortlisted]) -> list[ImageCandidate]:
        """Return what `rank` returns."""
        if query is not self._query:
            self._query, self._known = query, {}
        fresh = [entry for entry in shortlist if entry.product_id not in self._known]
        self._known |= {candidate.product_id: candidate for candidate in rank(query, fresh)}
        found = [
            dataclasses.replace(self._known[entry.product_id], similarity=entry.similarity)
            for entry in shortlist
            if entry.product_id in self._known
        ]
        return sorted(found, key=lambda candidate: (-candidate.patch, candidate.product_id))


class Laying:
    """`evidence.prints.Overlay`, one for the capture in hand, whatever it is asked of it and how often."""

    def __init__(self) -> None:
        """Have no capture in hand."""
        self._squares: Squares | None = None
        self._overlay: Overlay | None = None

    def __call__(self, squares: Squares, prints: Mapping[str, Sequence[Print]]) -> Overlay:
        """Return what lays this capture over these products."""
        if self._overlay is None or squares is not self._squares:
            self._squares, self._overlay = squares, Overlay(squares, prints)
        else:
            self._overlay.also(prints)
        return self._overlay


def _truth(number: int, raw: RawCapture) -> Row:
    label = raw.label
    return Row(
        number=number,
        capture_id=raw.capture_id,
        pictures=tuple(hashlib.sha256(view.rgb).hexdigest() for view in raw.views),
        product_id=raw.product_id,
        damaged=None if label is None else label.damaged,
        kinds=() if label is None else tuple(kind for kind in KINDS if kind in label.kinds),
        severity=Severity.UNKNOWN if label is None else label.severity,
        damage_share=raw.damage_share,
        facts=dict(raw.facts),
    )


def _answer(evidence: Evidence, identity: Identity, calibration: Calibration) -> Answer:
    return Answer(
        score=fuse(evidence, identity, calibration),
        pattern=evidence.pattern,
        discrepancy=evidence.discrepancy,
        product_id=identity.product_id,
        method=identity.method,
        confidence_ppm=identity.confidence_ppm,
        conflict=identity.conflict,
        view=evidence.view,
        place=tuple(evidence.place),
    )
