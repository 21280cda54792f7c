"""A calibration from rows alone."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from evidence.calibration import Calibration
from evidence.identity import Foremost, ImageCandidate, look_margin
from evidence.limits import Choice, Outcome
from evidence.ratio import gallery_log_ratio
from schemas.faults import Fatal
from schemas.words import MICRO, Pattern, Severity
from training.evaluation.fitting import fitted, identified, makeshift
from training.evaluation.rows import Answer, Likeness, Row

PRODUCTS = 12
OWN = Foremost(similarity=950_000, lead=300_000, agree=60, next_agree=15, laid=900_000)
STRANGER = Foremost(similarity=550_000, lead=0, agree=15, next_agree=14, laid=300_000)


def rows(captures: int = 240) -> list[Row]:
    """Return captures whose classifier and discrepancy both know something of the damage, and whose looks are plain."""
    rng = np.random.default_rng(1)
    return [row(number, damaged=number % 4 == 0, rng=rng) for number in range(captures)]


def row(number: int, *, damaged: bool, rng: np.random.Generator) -> Row:
    """Return one capture, examined in no way that fitting looks at."""
    own = number % PRODUCTS
    patch = rng.normal(0.5, 0.03, PRODUCTS)
    patch[own] = rng.normal(0.9, 0.03)
    return Row(
        number=number,
        capture_id=f"c-{number}",
        product_id=f"p-{own}",
        damaged=damaged,
        severity=Severity.MAJOR if damaged else Severity.NONE,
        classifier=round(rng.normal(1.5 if damaged else -1.5, 1.5) * MICRO),
        alone=Answer(score=0, pattern=Pattern.CLASSIFIER),
        own=round(abs(rng.normal(0.4 if damaged else 0.1, 0.05)) * MICRO),
        stranger=round(abs(rng.normal(0.5, 0.1)) * MICRO),
        looks=tuple(choice(size, own, patch) for size in (1, 3, PRODUCTS)),
        likeness={
            f"p-{place}": Likeness(round((value + 0.05) * MICRO), round(value * MICRO))
            for place, value in enumerate(patch)
        },
    )


def choice(size: int, own: int, patch: NDArray[np.float64]) -> Choice:
    """Choose among the first so many products, and the own one or not."""
    others = [place for place in range(PRODUCTS) if place != own][:size]
    known, others = (sorted(each, key=lambda place: -patch[place]) for each in ([own, *others[: size - 1]], others))
    seen = [
        Foremost.of([ImageCandidate(f"p-{place}", patch[place] + 0.05, patch[place]) for place in each])
        for each in (known, others)
    ]
    return Choice(size, Outcome(known[0] == own, *seen))


def lying(look: Choice) -> Choice:
    """Lay the capture over references: well over its own product's."""
    return replace(look, verified=Outcome(look.plain.right, OWN, STRANGER))


def moved(calibration: Calibration) -> int:
    """Return by how much a discrepancy of 0.4 instead of 0.1 raises the score of a unit known for sure."""
    gallery = calibration.by_code
    high, low = (gallery_log_ratio(micro, MICRO, gallery.densities) for micro in (400_000, 100_000))
    return (high - low) * gallery.weight // MICRO


class TestFitted:
    """fitting.fitted."""

    def test_what_tells_damage_is_believed(self) -> None:
        """The gallery gets weight, plain looks pass the limits, and the line is not the makeshift one."""
        found = fitted(rows())

        assert found.by_code.weight > 100_000
        assert found.limits.tiers[-1].score < 950_000 + MICRO
        assert found.alone != makeshift().alone
        assert found.prior < -6 * MICRO

    def test_a_limit_for_what_was_laid_over(self) -> None:
        """Is made of captures that were laid over references, and there is none where too few were."""
        tried = [replace(each, looks=tuple(lying(look) for look in each.looks)) for each in rows()]

        assert fitted(rows()).limits.look is None
        few, many = (fitted([*tried[:count], *rows()[count:]]).limits for count in (49, 100))
        assert (None, {None}) == (few.look, {tier.laid for tier in few.tiers})
        assert many.look is not None
        assert None not in {tier.laid for tier in many.tiers}
        assert look_margin(OWN, many, many.tiers[-1]) > 0 > look_margin(STRANGER, many, many.tiers[-1])

    def test_looks_alone_are_told_from_a_right_scan(self) -> None:
        """A capture that only keypoints tell from its sibling has its name by looks; with a scan nobody asks them."""
        (limits,) = {fitted(rows()).limits}
        twin = {"p-0": Likeness(960_000, 900_000), "p-1": Likeness(990_000, 950_000)}
        by_looks = identified(replace(rows(1)[0], likeness=twin), limits, scanned=False)
        scanned = identified(replace(rows(1)[0], likeness=twin), limits, scanned=True)

        assert ("p-1", "p-0") == (by_looks.product_id, scanned.product_id)

    def test_discrepancies_that_tell_nothing_are_not(self) -> None:
        """Shuffled discrepancies move a score by less than a fifth of what true ones do."""
        true = rows()
        order = np.random.default_rng(2).permutation(len(true))
        shuffled = [replace(each, own=true[place].own) for each, place in zip(true, order, strict=True)]
        assert abs(moved(fitted(shuffled))) < moved(fitted(true)) / 5

    def test_rows_without_likeness_are_refused(self) -> None:
        """The message says how to make rows that do."""
        with pytest.raises(Fatal, match="run the trial with likeness"):
            fitted([replace(each, likeness={}) for each in rows(60)])
