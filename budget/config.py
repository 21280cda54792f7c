"""A site's budget as one versioned configuration, and the arithmetic that refuses what cannot hold."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas.faults import Fatal
from schemas.words import ID_PATTERN, MICRO, Ppm

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MAX_TOKENS: Final = 100_000
MAX_TIME_MS: Final = 366 * DAY_MS

PositivePpm = Annotated[int, Meta(ge=1, le=MICRO, description="Millionths.")]
PositiveTokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS, description="Whole tokens.")]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS, description="Whole tokens.")]
Millis = Annotated[int, Meta(ge=1, le=MAX_TIME_MS, description="Milliseconds.")]
MicroLogOdds = Annotated[int, Meta(ge=-1_000 * MICRO, le=1_000 * MICRO, description="Micro-log-odds.")]


class LineBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line inside the site may cost by itself: in any n of its decided captures, alpha * n + burst.

    Its damage sidelines take a token here and one of the site's. `captures_per_s` is what is expected of the line at
    peak; None: as much as of the whole site.
    """

    alpha_ppm: PositivePpm
    burst_tokens: PositiveTokens
    captures_per_s: Annotated[float, Meta(gt=0, le=100_000)] | None = None


class BudgetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator decides about a site's budget.

    In any n consecutive decided captures: false damage sidelines <= alpha * n + burst; false identity sidelines
    <= alpha_identity * n + burst_identity; diverts of every kind, true or false <= beta * n + burst_diverts.
    """

    alpha_ppm: PositivePpm = 5_000
    burst_tokens: PositiveTokens = 50
    reserve: Tokens = 2  # the last tokens serve only captures scored as major
    alpha_identity_ppm: Ppm = 2_000
    burst_identity: Tokens = 20
    beta_ppm: PositivePpm = 20_000
    burst_diverts: PositiveTokens = 200  # the station's capacity: minutes of work x units a minute
    audit_ppm: Ppm = 500  # share of passes that a person sees: at least,
    audit_max_ppm: Ppm = 0  # and at most, while the station has nothing to do; 0: always the least
    recheck_ppm: Ppm = 20_000  # share of stops that a second person looks at, neither knowing of it
    lines: dict[str, LineBudget] = {}  # lines that have a budget of their own beside the site's

    floor: MicroLogOdds = -7 * MICRO  # no score below asks: less damage than the live line has anyway
    ceiling: MicroLogOdds = 2 * MICRO  # every score at or above asks: 88 % sure
    start_threshold: MicroLogOdds = -3 * MICRO  # in force until enough scores are known
    override_threshold: MicroLogOdds | None = None  # set by hand, until `override_until_ms`
    override_until_ms: Annotated[int, Meta(ge=0, le=2**52)] = 0  # Unix time

    verdict_timeout_ms: Millis = 8 * HOUR_MS
    horizon_ms: Millis = 48 * HOUR_MS
    captures_per_s: Annotated[float, Meta(gt=0, le=100_000)] = 12.0  # expected at peak, of the whole site
    verdict_delay_ms: Millis = 180_000  # expected between a sideline and its verdict

    def check(self) -> BudgetConfig:
        """Return this configuration if it can hold.

        Raises:
            Fatal: naming the field at fault and the number it needs.
        """
        try:  # a Struct made by hand has not met its own limits yet
            msgspec.convert(msgspec.to_builtins(self), BudgetConfig)
        except msgspec.ValidationError as error:
            raise Fatal(f"budget configuration refused: {error}") from error
        for problem in (self._names(), self._bursts(), self._thresholds(), self._times()):
            if problem:
                raise Fatal(f"budget configuration refused: {problem}")
        return self

    def _names(self) -> str:
        strange = next((name for name in self.lines if not re.match(ID_PATTERN, name)), None)
        return "" if strange is None else f"{strange!r} is no name of a line: it needs to match {ID_PATTERN}"

    def _bursts(self) -> str:
        delay_captures = Fraction(self.captures_per_s).limit_denominator(MICRO) * self.verdict_delay_ms / 1000
        for alpha, alpha_ppm, burst, tokens in (
            ("alpha_ppm", self.alpha_ppm, "burst_tokens", self.burst_tokens),
            ("alpha_identity_ppm", self.alpha_identity_ppm, "burst_identity", self.burst_identity),
        ):
            need = -(-2 * alpha_ppm * delay_captures // MICRO)
            if tokens < need:
                return (
                    f"{burst}={tokens} cannot carry {alpha}={alpha_ppm}: verdicts come {float(delay_captures):.0f} "
                    f"captures late, so it needs {burst} >= {need} (twice alpha times the delay)"
                )
        for name, line in self.lines.items():
            rate = self.captures_per_s if line.captures_per_s is None else line.captures_per_s
            late = Fraction(rate).limit_denominator(MICRO) * self.verdict_delay_ms / 1000
            need = -(-2 * line.alpha_ppm * late // MICRO)
            if line.burst_tokens < need:
                return (
                    f"line {name}: burst_tokens={line.burst_tokens} cannot carry alpha_ppm={line.alpha_ppm}: verdicts "
                    f"come {float(late):.0f} captures late, so it needs burst_tokens >= {need}"
                )
        if 0 < self.audit_max_ppm < self.audit_ppm:
            return f"audit_max_ppm={self.audit_max_ppm} needs to be 0 or at least audit_ppm={self.audit_ppm}"
        if self.reserve >= self.burst_tokens:
            return f"reserve={self.reserve} leaves no token for ordinary damage: it needs reserve < {self.burst_tokens}"
        return ""

    def _thresholds(self) -> str:
        if self.floor > self.ceiling:
            return f"floor={self.floor} is above ceiling={self.ceiling}"
        for name, value in (("start_threshold", self.start_threshold), ("override_threshold", self.override_threshold)):
            if value is not None and not self.floor <= value <= self.ceiling:
                return f"{name}={value} needs to be between floor={self.floor} and ceiling={self.ceiling}"
        if self.override_threshold is not None and not self.override_until_ms:
            return "override_threshold needs override_until_ms: a threshold set by hand must expire"
        return ""

    def _times(self) -> str:
        if self.horizon_ms < 2 * HOUR_MS:
            return (
                f"horizon_ms={self.horizon_ms} needs to be at least {2 * HOUR_MS}: its last hour takes no new outcomes"
            )
        if self.verdict_timeout_ms > self.horizon_ms - HOUR_MS:
            return (
                f"verdict_timeout_ms={self.verdict_timeout_ms} needs to be at most {self.horizon_ms - HOUR_MS}, "
                "an hour below horizon_ms: else a verdict could come for an outcome no longer on record"
            )
        if self.verdict_timeout_ms < self.verdict_delay_ms:
            return (
                f"verdict_timeout_ms={self.verdict_timeout_ms} needs to be at least {self.verdict_delay_ms}, the delay"
            )
        return ""
