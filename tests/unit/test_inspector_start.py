"""What an inspector refuses to start with."""

from __future__ import annotations

import pytest

from budget.config import BudgetConfig
from schemas.faults import Fatal
from workers.inspector import RETENTION_MS, check_horizon


class TestHorizon:
    """Outcomes must outlive the captures on their topic (P3)."""

    def test_a_horizon_as_short_as_the_retention_is_refused_with_the_command_that_mends_it(self) -> None:
        """A capture could be delivered again after its outcome was forgotten."""
        with pytest.raises(Fatal, match="sideline budget fra1 --set horizon_ms="):
            check_horizon("fra1", BudgetConfig(horizon_ms=RETENTION_MS))

    def test_the_default_horizon_is_long_enough(self) -> None:
        """A site registered without thinking about it works."""
        check_horizon("fra1", BudgetConfig())
