"""When a look counts: limits that were measured, and limits that are refused."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evidence.identity import Foremost, ImageCandidate, ScanClaim, identify, likeliest_first
from evidence.identity_limits import IdentityLimits, ImageTier
from evidence.limits import Choice, Outcome, Scanned, fit_limits
from schemas.faults import Fatal
from schemas.messages import Identity
from schemas.words import MICRO

similarities = st.floats(-1, 1)


class TestLimits:
    """Limits that contradict themselves are refused when their file is read."""

    @pytest.mark.parametrize(
        ("tiers", "words"),
        [
            ([(3, 500_000, None), (3, 600_000, None)], "tiers must grow: one for 3 products"),
            ([(10, 500_000, None), (3, 600_000, None)], "tiers must grow: one for 10 products"),
            ([(3, 600_000, None), (10, 599_999, None)], "among 10 products needs less score"),
            ([(3, 500_000, 800_000), (10, 600_000, 799_999)], "among 10 products needs less laid"),
        ],
    )
    def test_more_products_never_need_less(self, tiers: list[tuple[int, int, int | None]], words: str) -> None:
        """The message names both tiers."""
        raw = msgspec.json.encode(
            {
                "tiers": [
                    {"products": products, "margin_weight": 0, "score": score, "laid": laid, "right": 900_000}
                    for products, score, laid in tiers
                ]
            }
        )
        with pytest.raises(msgspec.ValidationError, match=words):
            msgspec.json.decode(raw, type=IdentityLimits)

    def test_a_tier_may_have_nothing_to_lay_over(self) -> None:
        """Where one of two tiers has no such limit there is nothing to compare."""
        few = ImageTier(products=3, margin_weight=0, score=1, laid=500_000, right=1)
        assert IdentityLimits(tiers=(few, msgspec.structs.replace(few, products=9, laid=None)))

    @given(st.lists(st.integers(1, 200), min_size=1, max_size=6, unique=True), st.data())
    def test_a_longer_list_never_recognises_more(self, sizes: list[int], data: st.DataObject) -> None:
        """With one weight for all, what is believed among many products is believed among fewer of them."""
        scores = sorted(data.draw(st.lists(st.integers(0, MICRO), min_size=len(sizes), max_size=len(sizes))))
        limits = IdentityLimits(
            tiers=tuple(
                ImageTier(products=size, margin_weight=500_000, score=score, right=MICRO)
                for size, score in zip(sorted(sizes), scores, strict=True)
            )
        )
        patches = data.draw(st.lists(similarities, min_size=2, max_size=2))
        pair = [ImageCandidate(f"P-{place}", 0.8, patch) for place, patch in enumerate(patches)]
        few, many = sorted(data.draw(st.lists(st.integers(2, 300), min_size=2, max_size=2)))
        names = [
            identify(
                scan=None, codes=[], candidates=pair, expected=[f"P-{each}" for each in range(size)], limits=limits
            ).product_id
            for size in (few, many)
        ]

        assert names[1] in {None, names[0]}


SIZES = (1, 3, 10, 30, 40)


class Captures(NamedTuple):
    """Similarities float32[captures, 40] by patch maps and by pooled vectors, and the own product of each."""

    patch: NDArray[np.float32]
    pooled: NDArray[np.float32]
    own: list[int]

    def candidates(self, number: int, columns: Sequence[int], *, laid: bool = False) -> list[ImageCandidate]:
        """Return products by their columns, likeliest first; laid over, keypoints grow with pooled similarity."""
        found = [
            ImageCandidate(
                f"P-{column}",
                float(self.pooled[number, column]),
                float(self.patch[number, column]),
                round(60 * float(self.pooled[number, column])) if laid else None,
                float(self.pooled[number, column]) if laid else None,
            )
            for column in columns
        ]
        return sorted(found, key=likeliest_first)

    def outcome(self, number: int, known: Sequence[int], others: Sequence[int], *, laid: bool) -> Outcome:
        """Choose with and without the capture's own product."""
        mated, alien = (self.candidates(number, columns, laid=laid) for columns in (known, others))
        return Outcome(mated[0].product_id == f"P-{self.own[number]}", Foremost.of(mated), Foremost.of(alien))

    def choices(self, *, laid: Container[int] = ()) -> list[Choice]:
        """Draw a choice of each size for every capture; those of some numbers are laid over references."""
        rng, found = np.random.default_rng(5), []
        for number, own in enumerate(self.own):
            for size in SIZES:
                others = rng.permutation(np.delete(np.arange(40), own))[:size].tolist()
                known = [own, *others[: size - 1]]
                found.append(
                    Choice(
                        size,
                        self.outcome(number, known, others, laid=False),
                        self.outcome(number, known, others, laid=True) if number in laid else None,
                    )
                )
        return found

    def scanned(self, redesigned: Sequence[bool] | None = None) -> list[Scanned]:
        """Return how alike each is to its own product and to the likeliest other."""
        found = []
        for number, own in enumerate(self.own):
            (other, *_) = self.candidates(number, [column for column in range(40) if column != own])
            found.append(
                Scanned(
                    own_patch=round(MICRO * float(self.patch[number, own])),
                    own_similarity=round(MICRO * float(self.pooled[number, own])),
                    other_patch=round(MICRO * other.patch),
                    other_similarity=round(MICRO * other.similarity),
                    redesigned=bool(redesigned and redesigned[number]),
                )
            )
        return found

    def limits(self, *, laid: Container[int] = (), redesigned: Sequence[bool] | None = None) -> IdentityLimits:
        """Fit limits."""
        return fit_limits(self.choices(laid=laid), self.scanned(redesigned))


class TestFitLimits:
    """Measuring the limits."""

    def captures(self, *, count: int = 400, gap: float = 0.3, seed: int = 2) -> Captures:
        """Draw similarities of captures to 40 products; the own product's are higher by `gap`."""
        rng = np.random.default_rng(seed)
        own = rng.integers(0, 40, count)
        patch, pooled = rng.normal(0.5, 0.06, (2, count, 40)).astype(np.float32)
        patch[np.arange(count), own] += gap
        pooled[np.arange(count), own] += gap
        return Captures(patch, pooled, own.tolist())

    def identities(
        self,
        captures: Captures,
        limits: IdentityLimits,
        *,
        strangers: bool = False,
        scanned: bool = False,
        laid: bool = False,
    ) -> list[Identity]:
        """Identify captures, with their own product left out or with a right scan if asked for."""
        return [
            identify(
                scan=ScanClaim("code", f"P-{own}", 0) if scanned else None,
                codes=[],
                candidates=captures.candidates(
                    number, [column for column in range(40) if not strangers or column != own], laid=laid
                ),
                expected=[],
                limits=limits,
            )
            for number, own in enumerate(captures.own)
        ]

    @pytest.mark.parametrize(("laid", "least"), [(False, 950), (True, 900)])
    def test_strangers_are_accepted_no_more_often_than_stated(self, *, laid: bool, least: int) -> None:
        """On other captures of the same kind about the stated share of strangers passes, and most others do."""
        limits = self.captures(count=1_000).limits(laid=range(1_000) if laid else ())
        fresh = self.captures(seed=3, count=1_000)
        named = [identity.product_id for identity in self.identities(fresh, limits, laid=laid)]
        strangers = self.identities(fresh, limits, strangers=True, laid=laid)

        assert sum(identity.product_id is not None for identity in strangers) <= 40
        assert sum(name == f"P-{own}" for name, own in zip(named, fresh.own, strict=True)) >= least

    def test_fewer_products_need_less(self) -> None:
        """The tiers are in order of size; among few products more captures are recognised at the same rate."""
        captures = self.captures(count=1_000, gap=0.15)
        limits = captures.limits()
        narrowed = 0
        for number, own in enumerate(captures.own):
            three = [own, (own + 1) % 40, (own + 2) % 40]
            narrowed += (
                identify(
                    scan=None,
                    codes=[],
                    candidates=captures.candidates(number, three),
                    expected=[f"P-{each}" for each in three],
                    limits=limits,
                ).product_id
                == f"P-{own}"
            )

        assert [1, 3, 10, 30, MICRO] == [tier.products for tier in limits.tiers]
        assert self._recognised(captures, limits) < narrowed

    def _recognised(self, captures: Captures, limits: IdentityLimits) -> int:
        return sum(identity.product_id is not None for identity in self.identities(captures, limits))

    def test_looks_that_tell_nothing_recognise_next_to_nothing(self) -> None:
        """If the own product looks like any other, hardly anything passes, and what does is not believed."""
        captures = self.captures(gap=0.0, count=1_000)
        limits = captures.limits()

        assert self._recognised(captures, limits) <= 20
        assert limits.tiers[-1].right < MICRO // 2

    def test_wrong_scans_are_mostly_contradicted(self) -> None:
        """A scan of a product that looks quite different is found out by the looks of most units."""
        captures = self.captures(count=1_000)
        limits = captures.limits()
        neighbours = Captures(captures.patch, captures.pooled, [(own + 1) % 40 for own in captures.own])

        assert sum(i.conflict for i in self.identities(neighbours, limits, scanned=True)) >= 800

    def test_right_scans_are_hardly_ever_contradicted(self) -> None:
        """Of captures whose scan is right, at most a few in a thousand look clearly like something else."""
        captures = self.captures(count=2_000, gap=0.15)
        limits = captures.limits()

        assert sum(i.conflict for i in self.identities(captures, limits, scanned=True)) <= 4

    def test_what_was_laid_over_is_weighed_by_those_that_were(self) -> None:
        """Of the others nothing is known, not that they are unlike; from too few there are no weights and no limit."""
        captures = self.captures(count=200)
        first = Captures(captures.patch[:100], captures.pooled[:100], captures.own[:100])
        some, alone, hardly = (
            captures.limits(laid=range(100)),
            first.limits(laid=range(100)),
            captures.limits(laid=range(49)),
        )

        assert (some.look, [tier.laid for tier in some.tiers]) == (alone.look, [tier.laid for tier in alone.tiers])
        assert some.look is not None
        assert (None, {None}) == (hardly.look, {tier.laid for tier in hardly.tiers})

    def test_a_sign_never_speaks_against_likeness(self) -> None:
        """A cosine that is higher for strangers than for the own product gets no weight; the other signs do."""
        captures = self.captures(count=200)
        turned = [
            msgspec.structs.replace(
                each,
                verified=msgspec.structs.replace(
                    each.verified, mated=msgspec.structs.replace(each.verified.mated, similarity=300_000)
                ),
            )
            for each in captures.choices(laid=range(200))
            if each.verified is not None
        ]
        look = fit_limits(turned, captures.scanned()).look

        assert look is not None
        assert 0 == look.similarity
        assert look.likeness > 0
        assert look.keypoints > 0

    def test_too_few_captures_are_refused(self) -> None:
        """A rate of one in a hundred is not measured on ten captures, nor on no capture at all."""
        with pytest.raises(Fatal, match=r"need 50 captures.*; these are 10 among 1,"):
            self.captures(count=10).limits()
        with pytest.raises(Fatal, match="these are none"):
            fit_limits([], [])

    def test_new_designs_alone_are_refused(self) -> None:
        """How unlike its references a unit may look is not measured on units that are meant to look unlike."""
        with pytest.raises(Fatal, match="every capture shows a new design"):
            self.captures(count=60).limits(redesigned=[True] * 60)

    def test_limits_grow_with_the_choice(self) -> None:
        """Whatever was measured: these are 60 captures in which small choices need more by chance."""
        for seed in range(20):
            tiers = self.captures(count=60, gap=0.02, seed=seed).limits(laid=range(60)).tiers
            for limits in ([tier.score for tier in tiers], [tier.laid or 0 for tier in tiers]):
                assert sorted(limits) == limits

    def test_new_designs_do_not_blunt_the_eye_for_wrong_labels(self) -> None:
        """Captures that look unlike their references on purpose are left out where it is measured how unlike is odd."""
        captures = self.captures(count=1_000, gap=0.4)
        redesigned = [number % 20 == 0 for number in range(1_000)]
        for number in np.flatnonzero(redesigned):
            own, other = captures.own[number], (captures.own[number] + 1) % 40
            for likeness in (captures.patch, captures.pooled):
                likeness[number, other], likeness[number, own] = likeness[number, own], 0.2

        blunt, sharp = captures.limits(), captures.limits(redesigned=redesigned)

        assert blunt.apart_lead > 500_000
        assert sharp.apart_lead < 50_000
