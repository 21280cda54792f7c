"""What the checker says: each finding names the rule that was broken and says how, in plain words."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NAMED: Final = 3  # how many offenders a finding names before it only counts them


class Rule(enum.StrEnum):
    """What a run is held to."""

    LANDED = "every acknowledged capture is on its topic"
    ONE_OUTCOME = "every capture has exactly one outcome"
    REDRIVES = "only a redrive turns a rejection into a decision, once, and the chain is kept"
    ONE_VALUE = "one distinct value per capture"
    NEVER_SENT = "no decision without a capture"
    DEAD_LETTER = "a dead letter states its reason"
    CONSISTENT = "a decision does not contradict itself"
    IN_TIME = "nothing is decided after its deadline"
    DIVERTS = "the sidelined topic holds the diverts, each once"
    SEQ = "seq has no gap and no double"
    FALSE_ALARMS = "false alarms stay within alpha x n + burst in every window"
    IDENTITIES = "false identity stops stay within their own cap in every window"
    STATION = "diverts stay within beta x n + burst in every window"
    TOKENS = "the token accounts add up"
    REPLAY = "a decision replays from its recorded evidence, bit for bit"
    UNDETERMINED = "few captures stay undetermined"
    CATCH = "damage is found more often than by chance"
    TAKEOVER = "the partitions of a killed inspector are served again in time"
    WRONG_ITEMS = "units with another product's label are found, and others are not called wrong"
    GALLERY = "the gallery learns what several people cleared, and nothing damaged"
    DRIFT = "alarms stay near alpha when scores drift"
    FLOOD = "the cap binds when every score is raised"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that the run broke."""

    rule: Rule
    words: str

    def __str__(self) -> str:
        return f"{self.rule.value}: {self.words}"


def each(rule: Rule, offenders: Iterable[str], words: str) -> list[Finding]:
    """Return no finding for no offenders, else a single one: their number, `words`, and the first few by name."""
    listed = list(offenders)
    if not listed:
        return []
    named = ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")
    return [Finding(rule, f"{len(listed)} {words}: {named}")]
