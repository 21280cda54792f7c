"""A budget configuration that cannot hold is refused with the number it needs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from budget.config import HOUR_MS, BudgetConfig
from schemas.faults import Fatal
from schemas.words import MICRO


class TestCheck:
    """What is refused and how the message helps."""

    def test_the_default_holds(self) -> None:
        """A site can be registered without a word."""
        assert BudgetConfig() is not None
        assert BudgetConfig().check() == BudgetConfig()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"burst_tokens": 21}, "burst_tokens=21 cannot carry alpha_ppm=5000.*needs burst_tokens >= 22"),
            ({"burst_identity": 8}, "burst_identity=8 cannot carry alpha_identity_ppm=2000.*needs burst_identity >= 9"),
            ({"captures_per_s": 100.0}, "18000 captures late, so it needs burst_tokens >= 180"),
            ({"reserve": 50}, "reserve < 50"),
            ({"floor": 9 * MICRO}, "floor=9000000 is above ceiling=2000000"),
            ({"start_threshold": 9 * MICRO}, "start_threshold=9000000 needs to be between"),
            (
                {"override_threshold": -9 * MICRO, "override_until_ms": 1},
                "override_threshold=-9000000 needs to be between",
            ),
            ({"override_threshold": 0}, "needs override_until_ms"),
            ({"horizon_ms": HOUR_MS}, "horizon_ms=3600000 needs to be at least 7200000"),
            ({"verdict_timeout_ms": 48 * HOUR_MS}, "verdict_timeout_ms=172800000 needs to be at most 169200000"),
            ({"verdict_timeout_ms": 1_000}, "verdict_timeout_ms=1000 needs to be at least 180000"),
            ({"alpha_ppm": 0}, "alpha_ppm"),
            ({"alpha_ppm": MICRO + 1}, "alpha_ppm"),
            ({"burst_tokens": 100_001}, "burst_tokens"),
            ({"captures_per_s": float("nan")}, "captures_per_s"),
            ({"captures_per_s": float("inf")}, "captures_per_s"),
            ({"burst_tokens": "many"}, "burst_tokens"),
        ],
    )
    def test_a_refusal_names_the_field_and_what_it_needs(self, changes: dict[str, Any], message: str) -> None:
        """So that the operator need not do the arithmetic."""
        with pytest.raises(Fatal, match=message):
            msgspec.structs.replace(BudgetConfig(), **changes).check()

    def test_exactly_twice_alpha_times_the_delay_is_enough(self) -> None:
        """The bound is a bound, not a suggestion to round up."""
        config = BudgetConfig(alpha_ppm=5_000, captures_per_s=10.0, verdict_delay_ms=100_000, burst_tokens=10)
        assert config.check() == config

    def test_unknown_fields_are_refused(self) -> None:
        """A misspelt limit must not be a limit that is not there."""
        with pytest.raises(msgspec.ValidationError, match="alpha_pmm"):
            msgspec.json.decode(b'{"alpha_pmm":5}', type=BudgetConfig)
