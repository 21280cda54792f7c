"""A calibration from rows alone."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from evidence.calibration import Calibration
from evidence.ratio import gallery_log_ratio
from schemas.faults import Fatal
from schemas.words import MICRO, Pattern, Severity
from training.evaluation.fitting import fitted, makeshift
from training.evaluation.rows import Answer, Likeness, Row

PRODUCTS = 12


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
        likeness={
            f"p-{place}": Likeness(round((value + 0.05) * MICRO), round(value * MICRO))
            for place, value in enumerate(patch)
        },
    )


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
        """Is made of captures that were laid over every product, and of none that were not."""

        def lying(each: Row) -> dict[str, Likeness]:
            """Lie over every product, well over the own one."""
            return {
                product: replace(
                    alike,
                    agree=15 + 45 * (product == each.product_id),
                    laid=300_000 + 600_000 * (product == each.product_id),
                )
                for product, alike in each.likeness.items()
            }

        tried = [replace(each, likeness=lying(each)) for each in rows()]

        assert {300_002} == {tier.laid for tier in fitted([*tried[:100], *rows()[100:]]).limits.tiers}
        assert {None} == {tier.laid for tier in fitted(rows()).limits.tiers}

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
