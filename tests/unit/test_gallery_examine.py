"""From arrays, a scan and codes to evidence: what inspectors and evaluations share."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext

import numpy as np
import pytest

from evidence.calibration import Calibration, Densities, Gallery, Line
from evidence.codes import Code
from evidence.discrepancy import CELLS, PATCH_SIZE, SIDE, Patches, StoredPatches, quantise
from evidence.identity import ImageCandidate, Shortlisted, rank
from evidence.identity_limits import IdentityLimits, ImageTier, LookWeights
from evidence.prints import Print, Squares
from evidence.triton import Embeddings, Scores
from gallery.entry import VECTOR_SIZE, Entry, ProductPut, ReferencePut, pack
from gallery.examine import SHORTLIST, Examiner
from gallery.index import GalleryIndex
from schemas.messages import Evidence, Identity, Product
from schemas.words import KINDS, MICRO, IdentityMethod, Pattern
from tests.unit.gallery.prints import bare
from workers.turns import Turns

VERSION = "gallery_embedding:1"
GTIN = "4006381333931"


def calibration(*, laid: int | None = None) -> Calibration:
    """Return a calibration whose limits believe a look of cosine 0.9, or laid over so well."""
    line = Line(slope=MICRO, intercept=0)
    densities = Densities(origin=0, step=MICRO, damaged=[1, 2], intact=[2, 1], other=[1, 1])
    gallery = Gallery(line=line, weight=0, densities=densities)
    # -ln(1.02 - likeness) is all that counts where a capture was laid over
    limit = None if laid is None else round(-math.log(1.02 - laid / MICRO) * MICRO)
    tiers = (ImageTier(products=MICRO, margin_weight=0, score=900_000, right=950_000, laid=limit),)
    return Calibration(
        version="test",
        classifier="c",
        embedding=VERSION,
        prior=0,
        alone=line,
        by_code=gallery,
        by_image=gallery,
        weight_cap=MICRO,
        clip=MICRO,
        limits=IdentityLimits(tiers=tiers, look=LookWeights(likeness=MICRO, similarity=0, keypoints=0, lead=0)),
    )


def unit(values: Patches) -> Patches:
    """Scale to unit length."""
    scaled: Patches = (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def embeddings(product: int, *, views: int = 2) -> Embeddings:
    """Return what the model would say of a product: directions of its own."""
    rng = np.random.default_rng(product)
    vector, patches = rng.normal(size=VECTOR_SIZE), rng.normal(size=(CELLS, PATCH_SIZE))
    return Embeddings(
        unit(np.repeat(vector[None], views, axis=0).astype(np.float32)),
        unit(np.repeat(patches[None], views, axis=0).astype(np.float32)),
        VERSION,
    )


def scores(views: int = 2) -> Scores:
    """Return what the classifier would say of intact views."""
    return Scores(
        np.full(views, -2.0, np.float32),
        np.full((views, len(KINDS)), -3.0, np.float32),
        np.zeros(views, np.float32),
        np.zeros((views, SIDE, SIDE), np.float32),
        "damage_classifier:1",
    )


class Maps:
    """Patch maps in memory, and which were asked for."""

    def __init__(self, maps: Mapping[str, StoredPatches]) -> None:
        """Hold the maps."""
        self.maps = maps
        self.asked: list[tuple[str, ...]] = []
        self.printed: list[tuple[str, ...]] = []

    async def get(self, reference_ids: Sequence[str], /) -> dict[str, StoredPatches]:
        """Return those that are there."""
        self.asked.append(tuple(reference_ids))
        return {each: self.maps[each] for each in reference_ids if each in self.maps}

    async def prints(self, reference_ids: Sequence[str], /) -> dict[str, tuple[Print, ...]]:
        """Return a print of each, but for R-0, which has none."""
        self.printed.append(tuple(reference_ids))
        return {each: (bare(int(each[2:])),) for each in reference_ids if each != "R-0"}


def gallery(products: int) -> tuple[GalleryIndex, Maps]:
    """Return products P-0, P-1, ... with a reference R-<n> each; P-1 has an EAN."""
    index = GalleryIndex(model_version=VERSION)
    maps = {}
    for number in range(products):
        of = embeddings(number, views=1)
        maps[f"R-{number}"] = quantise(of.patches)
        entry = Entry(f"R-{number}", f"P-{number}", VERSION, "test", 0, of.vectors, maps[f"R-{number}"], ())
        index.apply(ReferencePut(f"R-{number}", pack(entry)))
        index.apply(ProductPut(Product(product_id=f"P-{number}", codes=[GTIN] if number == 1 else [])))
    return index, Maps(maps)


@pytest.fixture
def examiner() -> Examiner:
    """An examiner with twelve products."""
    index, maps = gallery(12)
    return Examiner(index=index, patches=maps, calibration=calibration())


async def examined(
    examiner: Examiner, of: Embeddings, *, scanned: str | None = None, codes: Sequence[Code] = ()
) -> tuple[Evidence, Identity]:
    """Examine with or without a scan."""
    scan = None if scanned is None else examiner.claim(scanned, "", at_ms=5)
    return await examiner.examine(scores(), of, scan=scan, codes=codes, expected=[], insets=[], turn=nullcontext)


class TestExamine:
    """Examiner.examine."""

    async def test_by_a_scan(self, examiner: Examiner) -> None:
        """A scan names the product, its references are compared, and looks agree."""
        evidence, identity = await examined(examiner, embeddings(1), scanned=GTIN)

        assert ("P-1", IdentityMethod.SCAN, False) == (identity.product_id, identity.method, identity.conflict)
        assert (Pattern.GALLERY_BY_CODE, ["R-1"]) == (evidence.pattern, evidence.references)
        assert -2 * MICRO == evidence.classifier

    async def test_by_a_code_in_the_pixels(self, examiner: Examiner) -> None:
        """A code read from the picture counts like a scan where there is none."""
        evidence, identity = await examined(examiner, embeddings(1), codes=[Code(GTIN, "EAN13", True, 0)])

        assert ("P-1", IdentityMethod.BARCODE) == (identity.product_id, identity.method)
        assert Pattern.GALLERY_BY_CODE == evidence.pattern

    async def test_by_looks(self, examiner: Examiner) -> None:
        """Without any code the product is the one it looks like."""
        evidence, identity = await examined(examiner, embeddings(3))

        assert ("P-3", IdentityMethod.IMAGE) == (identity.product_id, identity.method)
        assert Pattern.GALLERY_BY_IMAGE == evidence.pattern

    async def test_a_conflict_drops_the_gallery(self, examiner: Examiner) -> None:
        """Where looks contradict the scan clearly, nothing is compared."""
        evidence, identity = await examined(examiner, embeddings(3), scanned=GTIN)

        assert identity.conflict
        assert (Pattern.CLASSIFIER, None, []) == (evidence.pattern, evidence.discrepancy, evidence.references)

    async def test_an_empty_gallery_leaves_the_classifier_alone(self) -> None:
        """Without references there is no identity by looks and nothing to compare."""
        alone = Examiner(index=GalleryIndex(model_version=VERSION), patches=Maps({}), calibration=calibration())
        evidence, identity = await examined(alone, embeddings(3))

        assert Identity() == identity
        assert (Pattern.CLASSIFIER, None) == (evidence.pattern, evidence.discrepancy)

    async def test_maps_that_are_gone_are_left_out(self) -> None:
        """A reference whose patch map is missing is not compared, and the examination goes on."""
        index, _ = gallery(3)
        evidence, identity = await examined(
            Examiner(index=index, patches=Maps({}), calibration=calibration()), embeddings(1), scanned=GTIN
        )

        assert "P-1" == identity.product_id
        assert (Pattern.CLASSIFIER, None) == (evidence.pattern, evidence.discrepancy)

    async def test_stages_are_entered_in_order(self) -> None:
        """Whoever measures stages hears of both, once each."""
        index, maps = gallery(3)
        entered: list[str] = []

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            entered.append(name)
            yield

        await examined(Examiner(index=index, patches=maps, calibration=calibration(), stage=stage), embeddings(1))
        assert ["identify", "compare"] == entered


class TestLooks:
    """Examiner.looks."""

    async def test_named_products_are_compared_however_unlike(self) -> None:
        """The product of a scan is among the candidates, outside the shortlist and the expected ones, too."""
        index, maps = gallery(3 * SHORTLIST)
        examiner = Examiner(index=index, patches=maps, calibration=calibration())
        last = f"P-{3 * SHORTLIST - 1}"

        assert {"P-0", last} == {
            each.product_id for each in await examiner.looks(embeddings(0), named=[last], expected=["P-0"])
        }
        assert len(await examiner.looks(embeddings(0))) == SHORTLIST

    async def test_a_ranking_of_ones_own(self) -> None:
        """The ranking that was given is used, and sees every product of the shortlist."""
        index, maps = gallery(5)
        seen: list[int] = []

        def ranking(query: Patches, shortlist: Sequence[Shortlisted]) -> list[ImageCandidate]:
            seen.append(len(shortlist))
            return rank(query, shortlist)

        examiner = Examiner(index=index, patches=maps, calibration=calibration(), ranking=ranking)
        assert "P-4" == (await examiner.looks(embeddings(4)))[0].product_id
        assert [5] == seen


class TestLaidOver:
    """Where nothing but looks can name a unit, it is laid over the references of the first few."""

    SQUARES = np.zeros((2, 224, 224, 3), np.uint8)

    class Asked:
        """Says how the capture lies over products; nothing of those without prints."""

        def __init__(self, lies: Mapping[str, tuple[int, float]]) -> None:
            """Take the keypoints that agree, and the likeness."""
            self.lies = lies
            self.prints: Mapping[str, Sequence[Print]] = {}

        def __call__(self, _squares: Squares, prints: Mapping[str, Sequence[Print]]) -> TestLaidOver.Asked:
            """Take the references."""
            self.prints = prints
            return self

        def agree(self, product_id: str, /) -> int | None:
            """Look the number up."""
            return self.lies.get(product_id, (0, 0.0))[0] if self.prints[product_id] else None

        def likeness(self, product_id: str, /) -> float | None:
            """Look the likeness up."""
            return self.lies.get(product_id, (0, 0.0))[1] if self.prints[product_id] else None

    async def named(
        self, asked: Asked, *, laid: int | None = 800_000, scanned: str | None = None, squares: Squares | None = SQUARES
    ) -> tuple[str | None, list[tuple[str, ...]]]:
        """Examine a capture of P-3; return its product and whose prints were asked for."""
        index, maps = gallery(12)
        examiner = Examiner(index=index, patches=maps, calibration=calibration(laid=laid), overlaying=asked)
        scan = None if scanned is None else examiner.claim(scanned, "", at_ms=5)
        _, identity = await examiner.examine(
            scores(), embeddings(3), scan=scan, codes=[], expected=[], insets=[], squares=squares, turn=nullcontext
        )
        return identity.product_id, maps.printed

    async def test_the_one_it_lies_over_is_believed(self) -> None:
        """Not the one whose patch maps are most alike; all of the shortlist were asked."""
        shortlist = [f"P-{name[2:]}" for name in (await self.named(self.Asked({})))[1][0]]
        other = next(each for each in shortlist if each != "P-3")

        name, printed = await self.named(self.Asked({"P-3": (20, 0.95), other: (40, 0.9)}))

        assert other == name
        assert SHORTLIST == len(printed[0]) == len(shortlist)

    async def test_one_that_lies_over_nothing_has_no_name(self) -> None:
        """However alike the vectors are: the limit of what is laid over holds."""
        assert [None, "P-3"] == [(await self.named(self.Asked({"P-3": (40, each)})))[0] for each in (0.79, 0.8)]

    async def test_without_prints_vectors_are_believed(self) -> None:
        """As before there were any: a gallery of an older version goes on naming."""
        index, maps = gallery(1)
        examiner = Examiner(index=index, patches=maps, calibration=calibration(laid=800_000))
        _, identity = await examiner.examine(
            scores(), embeddings(0), scan=None, codes=[], expected=[], insets=[], squares=self.SQUARES, turn=nullcontext
        )

        assert "P-0" == identity.product_id

    @pytest.mark.parametrize("why", ["a scan", "no limit", "no pictures"])
    async def test_nothing_is_laid_over_for_nothing(self, why: str) -> None:
        """Where a scan names the product, no limit was measured, or there are no views, no print is read."""
        asked = self.Asked({"P-5": (40, 0.9)})
        if why == "a scan":
            found = await self.named(asked, scanned="P-3")
        elif why == "no limit":
            found = await self.named(asked, laid=None)
        else:
            found = await self.named(asked, squares=None)

        assert ("P-3", []) == found

    async def test_lines_take_turns_at_being_laid_over(self) -> None:
        """A capture of a quiet line is next however many of a busy one wait, and of those the newest comes first."""
        index, maps = gallery(12)
        asked, turns = self.Asked({}), Turns(1, is_suspect=lambda _source: False)
        came: list[int] = []
        laid: list[int] = []

        def noting(squares: Squares, prints: Mapping[str, Sequence[Print]]) -> TestLaidOver.Asked:
            laid.append(int(squares[0, 0, 0, 0]))
            return asked(squares, prints)

        examiner = Examiner(index=index, patches=maps, calibration=calibration(laid=800_000), overlaying=noting)

        async def come(number: int, line: str) -> None:
            def turn() -> AbstractAsyncContextManager[None]:
                came.append(number)
                return turns.turn(line, made_at_ms=number)

            squares = np.full((1, 224, 224, 3), number, np.uint8)
            await examiner.examine(
                scores(), embeddings(3), scan=None, codes=[], expected=[], insets=[], squares=squares, turn=turn
            )

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks, turns.turn("another", made_at_ms=0):
            for number in range(5):
                tasks.create_task(come(number, "busy"))
            while len(came) < 5:
                await asyncio.sleep(0.01)
            tasks.create_task(come(9, "quiet"))
            while len(came) < 6:
                await asyncio.sleep(0.01)

        assert [4, 9, 3, 2, 1, 0] == laid


class TestClaim:
    """Examiner.claim."""

    def test_codes_are_brought_into_canonical_form(self, examiner: Examiner) -> None:
        """A GTIN-13 becomes fourteen digits and names the product that has it."""
        claim = examiner.claim(GTIN, "EAN13", at_ms=7)
        assert ("0" + GTIN, "P-1", 7) == (claim.code, claim.product_id, claim.at_ms)

    def test_what_names_nothing_keeps_its_text(self, examiner: Examiner) -> None:
        """A misread retail code has no canonical form: the text is kept for people."""
        claim = examiner.claim("4006381333932", "EAN13", at_ms=7)
        assert ("4006381333932", None) == (claim.code, claim.product_id)
