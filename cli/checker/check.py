"""The whole judgement of a run: every rule, in plain words. No finding means that the run kept its promises."""

from __future__ import annotations

from cli.checker.alarms import check_flood, check_windows, settling_verdicts
from cli.checker.catch import check_catch
from cli.checker.charge import Charge
from cli.checker.findings import Finding
from cli.checker.outcomes import check_captures, check_decisions, check_diverts, check_values
from cli.checker.reading import Reading
from cli.checker.redrives import check_redrives
from cli.checker.tokens import check_tokens
from cli.checker.undetermined import check_undetermined


def check(reading: Reading, charge: Charge) -> list[Finding]:
    """Judge a run."""
    verdicts = settling_verdicts(reading, charge.terms)
    in_sequence = reading.in_sequence()
    confirmed = {capture_id: verdict.confirms for capture_id, verdict in verdicts.items()}
    return [
        *reading.findings,
        *check_captures(reading, acknowledged=charge.truth),
        *check_redrives(reading),
        *check_values(reading),
        *check_diverts(reading),
        *check_decisions(reading),
        *check_windows(in_sequence, confirmed, charge.terms),
        *check_tokens(
            in_sequence,
            terms=charge.terms,
            confirmed=confirmed,
            opening=charge.opening,
            closing=charge.closing,
            restored=charge.restored,
        ),
        *check_undetermined(reading, charge),
        *([] if charge.flood else check_catch(in_sequence, charge.truth)),  # raised scores no longer rank units
        *(check_flood(in_sequence, confirmed, charge.terms) if charge.flood else []),
    ]
