"""A recorded sequence put through the budget again, with scores and configurations as they were or as they might be.

A unit that is sidelined here meets the verdict that it got in reality, as long after the sideline as it came then. A
unit nobody judged has no verdict: it is taken to be cleared after the usual delay, as P5a counts it, or confirmed.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from statistics import median_low

from budget.config import BudgetConfig
from budget.model import Model
from budget.threshold import Threshold
from budget.warm import MIN_NEGATIVES, warm_start
from cli.replay.rows import Row
from evidence.calibration import Calibration
from feedback.labels import Docket
from schemas.faults import Fatal
from schemas.words import MICRO, Divert, Verdict


class Unjudged(enum.StrEnum):
    """What is assumed of a sidelined unit that nobody judged: its token is spent, or comes back."""

    CLEARED = "cleared"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a capture."""

    divert: Divert
    withheld: bool
    reason: str
    score: int
    threshold: int

    @property
    def sidelined(self) -> bool:
        """Whether it went to a person because of what is known of it, not by lot."""
        return self.divert in {Divert.DAMAGE, Divert.IDENTITY}


@dataclass(frozen=True, slots=True)
class Label:
    """The first verdict on a capture, and how long after the decision it came (ms)."""

    verdict: Verdict
    delay_ms: int


def labels_of(docket: Docket) -> dict[str, Label]:
    """Return the first verdict on every stop that has one; one that came too late settled nothing and labels still."""
    found = {}
    for stop in docket.stops:
        heard = stop.first or next(iter(stop.later), None)
        if heard is not None:
            delay_ms = max(1, heard.append_ms - stop.decided_ms)
            found[stop.decision.capture_id] = Label(heard.disposition.verdict, delay_ms)
    return found


def recorded(rows: Sequence[Row]) -> list[Outcome]:
    """Return what really became of the captures."""
    return [Outcome(row.divert, row.withheld, row.reason, row.score, row.threshold) for row in rows]


class Simulation:
    """The budget run over a sequence of rows, from the first on record."""

    def __init__(
        self,
        rows: Sequence[Row],
        labels: Mapping[str, Label],
        configs: Mapping[int, BudgetConfig],
        calibrations: Mapping[str, Calibration],
        *,
        rescore: bool,
        unjudged: Unjudged = Unjudged.CLEARED,
    ) -> None:
        """Take rows in the order of seq; `configs` are those to be in force in place of each recorded version.

        Raises:
            Fatal: there are no rows.
        """
        if not rows:
            raise Fatal("there is no decision to simulate")
        self._rows, self._labels, self._configs, self._rescore = rows, labels, configs, rescore
        self._calibrations = calibrations
        delays = [one.delay_ms for one in labels.values()]
        usual_ms = median_low(delays or [configs[rows[0].config_version].verdict_delay_ms])
        assumed = Verdict.SELLABLE if unjudged is Unjudged.CLEARED else Verdict.DAMAGED
        self._assumed = Label(assumed, usual_ms)
        self._due: list[tuple[int, int, str, Verdict]] = []  # verdicts to come: when, a running number, on what, which
        self._model = self._opened(rows[0])

    def run(self, say: Callable[[int], None] = lambda _done: None) -> Iterator[Outcome]:
        """Yield what becomes of each row, in order."""
        version, now_ms = self._rows[0].config_version, 0
        for done, row in enumerate(self._rows):
            now_ms = max(now_ms, row.decided_ms)
            if row.config_version != version:
                version = row.config_version
                self._model.configure(self._configs[version], now_ms=now_ms)
            self._settle(now_ms)
            yield self._decide(row, now_ms)
            say(done + 1)

    def _opened(self, first: Row) -> Model:
        """Begin like a new site where the records do, else with the tokens that the first one found."""
        config = self._configs[first.config_version]
        model = Model(config, frozenset(row.request.line for row in self._rows))
        if first.seq > 1:
            model.damage.balance = min(first.balance_before, config.burst_tokens * MICRO)
        return model

    def _decide(self, row: Row, now_ms: int) -> Outcome:
        score, fusion = (row.rescore, row.rescored_by) if self._rescore else (row.score, row.request.fusion_version)
        model = self._model
        if fusion not in model.thresholds:
            model.thresholds[fusion] = self._threshold(row, fusion)
        request = changed(row.request, score=score, fusion_version=fusion, decide_by_ms=now_ms + 1, append_ms=now_ms)
        answer, _ = model.decide(request, now_ms=now_ms)
        if answer.divert == Divert.NONE.value:
            del model.outcomes[row.capture_id]  # nothing will be said of it
        else:
            label = self._labels.get(row.capture_id, self._assumed)
            heapq.heappush(self._due, (now_ms + label.delay_ms, row.seq, row.capture_id, label.verdict))
        return Outcome(Divert(answer.divert), answer.withheld, answer.reason, score, answer.threshold or 0)

    def _threshold(self, row: Row, fusion: str) -> Threshold:
        """Begin a fusion version as an inspector does, from the calibration's negatives where it has enough."""
        config, calibration = self._model.config, self._calibrations.get(fusion)
        if calibration is None or len(calibration.negatives) < MIN_NEGATIVES:
            threshold = Threshold(config.start_threshold)
        else:
            start = warm_start(calibration.negatives, alpha_ppm=config.alpha_ppm)
            threshold = Threshold.warm(start, balance=self._model.damage.balance, config=config)
        if self._model.seq == 0 and row.seq > 1 and not self._rescore:
            threshold.value = row.threshold  # it had long begun
        return threshold

    def _settle(self, now_ms: int) -> None:
        while self._due and self._due[0][0] <= now_ms:
            at_ms, number, capture_id, verdict = heapq.heappop(self._due)
            self._model.settle(str(number), verdict, capture_id=capture_id, unit_id=None, now_ms=at_ms)
            del self._model.outcomes[capture_id]
