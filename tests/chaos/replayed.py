"""Promise P7 over a round: each decision comes out of its recorded evidence again, bit for bit."""

from __future__ import annotations

from budget.config import BudgetConfig
from cli.checker.findings import Finding, Rule, each
from cli.checker.reading import Reading
from cli.replay.recompute import differences
from evidence.calibration import Calibration


def check_replay(reading: Reading, calibration: Calibration, config: BudgetConfig) -> list[Finding]:
    """Make every decision again, as `sideline replay` does, with the calibration and the budget that were in force."""
    unequal = []
    for capture_id, decision in reading.decided().items():
        if found := differences(decision, calibration, config):
            unequal.append(f"{capture_id} ({found[0]})")
    return each(Rule.REPLAY, unequal, "decisions do not come out of their records again")
