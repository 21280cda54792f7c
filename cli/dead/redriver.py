"""Sends dead letters again. Every step may be the last one of its process: running the same again goes on from there.

A capture whose rejection is on record needs a permission in the store before it is sent; it is used up by the attempt
that it allowed, in the same call that records what came of it. Anything else is sent, then noted; a kill between the
two sends it twice, which its worker makes harmless.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Final

from budget.records import Record
from budget.redrives import REDRIVE_LIMIT, Answer, Rejected
from budget.store import DecisionStore
from cli.dead.fates import OF_ANSWER, Fate, Told
from cli.dead.letters import Letter, capture_of, digest_of
from schemas.codec import decode, rfc3339
from schemas.faults import WITHOUT_OUTCOME, Poison, Reason
from schemas.messages import DeadLetter, Decision
from schemas.words import Outcome
from streams.dead_letters import REDRIVES, original_headers
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, Scope, site_of, spec

ANSWER_WITHIN_S: Final = 20.0  # deadline, queue, and a takeover of partitions
LOOK_EVERY_S: Final = 0.1
_HOPELESS: Final = frozenset({Reason.TOO_OLD.value, Reason.ID_REUSED.value})
_OUTCOMES: Final = {Outcome.DECIDED: Fate.DECIDED, Outcome.UNDETERMINED: Fate.UNDETERMINED}


@dataclass(frozen=True, slots=True)
class Case:
    """A letter that may be sent, and the rejection behind it if one is on record. `redrives` happened before.

    `late` is a capture whose own deadline is past: sent again it becomes undetermined.
    """

    letter: Letter
    said: DeadLetter
    delivery: Delivery
    rejected: Rejected | None = None
    redrives: int = 0
    late: bool = False

    def told(self) -> Told:
        """Say what would be done."""
        return Told(Fate.WOULD_BE_SENT, "its own deadline is past: it becomes undetermined" if self.late else "")


class Redriver:
    """Sends letters of one site again, or of the topics that all sites share."""

    def __init__(self, store: DecisionStore, outbox: Outbox, *, again: bool, answer_within_s: float) -> None:
        """Take the store and what sends; `again` also sends what was sent before."""
        self._store = store
        self._outbox = outbox
        self._again = again
        self._answer_within_s = answer_within_s
        self._silent = False

    async def examine(self, letter: Letter, delivery: Delivery) -> Case | Told:
        """Say what sending a letter needs, or why it is not sent. Changes nothing.

        Raises:
            Retryable: `redis`.
            Fatal: this is not the pinned store.
        """
        said, entity = letter.said, letter.entity
        if said is None or entity is None or not _is_input(entity) or site_of(said.topic) != site_of(letter.topic):
            return Told(Fate.NO_INPUT)
        if said.reason in _HOPELESS:
            return Told(Fate.HOPELESS, said.reason)
        case = Case(letter, said, delivery)
        return await self._recorded(case) or await self._unrecorded(case)

    async def _recorded(self, case: Case) -> Case | Told | None:
        """Examine a capture of which something is on record; None where nothing is, and nothing has to be."""
        capture = capture_of(case.delivery) if case.letter.entity is Entity.CAPTURES else None
        if capture is None or capture.site != site_of(case.letter.topic):
            return None
        record = await self._store.look(capture.site, capture.capture_id)
        if record is None:
            return None if case.said.reason in WITHOUT_OUTCOME else Told(Fate.UNRECORDED)
        late = capture.decide_by is not None and capture.decide_by.timestamp() < time.time()
        return _against(replace(case, late=late), record)

    async def _unrecorded(self, case: Case) -> Case | Told:
        """Examine what is sent again on the word of its dead letter, as often as that and the store's memory allow."""
        resent = await self._store.resent(case.letter.key)
        redrives = case.said.redrives + (0 if resent is None else resent.times)
        if resent is not None and not self._again:
            return Told(Fate.ALREADY)
        return Told(Fate.LIMIT) if redrives >= REDRIVE_LIMIT else replace(case, redrives=redrives)

    async def redrive(self, letter: Letter, delivery: Delivery) -> Told:
        """Send a letter again if that has a meaning, and say what came of it.

        Raises:
            Retryable: `redis` or `kafka`; running the same again is safe.
            Fatal: this is not the pinned store.
        """
        case = await self.examine(letter, delivery)
        if isinstance(case, Told):
            return case
        if case.rejected is None:
            return await self._resend(case)
        if self._silent:
            return Told(Fate.NOT_TRIED)
        return await self._decide_again(case, case.rejected)

    async def _decide_again(self, case: Case, rejected: Rejected) -> Told:
        """Permit, send, and wait until the permission is used: as fast as the line answers, and no faster."""
        site = site_of(case.letter.topic) or ""
        permission = await self._store.redrive(site, rejected)
        if permission.answer is not Answer.GRANTED:
            return Told(OF_ANSWER[permission.answer])
        if not await self._send(case, original_headers(case.delivery.headers)):
            return Told(Fate.TOO_LARGE)
        deadline = time.monotonic() + self._answer_within_s
        while time.monotonic() < deadline:
            record = await self._store.look(site, rejected.capture_id)
            if record is not None and record.decided_at != rejected.rejected_at:
                return _answered(record)
            await asyncio.sleep(LOOK_EVERY_S)
        self._silent = True
        return Told(Fate.NO_ANSWER)

    async def _resend(self, case: Case) -> Told:
        count = (REDRIVES, str(case.redrives + 1).encode())
        if not await self._send(case, [*original_headers(case.delivery.headers), count]):
            return Told(Fate.TOO_LARGE)
        scope = Scope.GLOBAL if site_of(case.letter.topic) is None else Scope.SITE
        await self._store.note_resent(case.letter.key, keep_ms=spec(Entity.DEAD, scope).retention_ms)
        return Told(Fate.SENT)

    async def _send(self, case: Case, headers: list[tuple[str, bytes]]) -> bool:
        """Send the original; False where its topic does not take it any more."""
        delivery = case.delivery
        try:
            await self._outbox.send(case.said.topic, key=delivery.key, value=delivery.value, headers=headers)
        except Poison:
            return False
        return True


def _is_input(entity: Entity) -> bool:
    scope = Scope.GLOBAL if entity in {Entity.REFERENCES, Entity.PRODUCTS} else Scope.SITE
    return spec(entity, scope).from_outside


def _against(case: Case, record: Record) -> Case | Told:
    """Say whether a letter speaks of the rejection on record. The store compares once more when it is asked."""
    rejected = Rejected(record.capture_id, digest_of(case.delivery), rfc3339(case.said.failed_at))
    if record.digest not in {rejected.digest, ""}:
        return Told(Fate.OTHER_CONTENT)
    if record.outcome is not Outcome.REJECTED:
        return Told(Fate.ANSWERED, record.outcome.value)
    if record.decided_at != rejected.rejected_at:
        return Told(Fate.SUPERSEDED)
    if record.redrives >= REDRIVE_LIMIT:
        return Told(Fate.LIMIT)
    return replace(case, rejected=rejected, redrives=record.redrives)


def _answered(record: Record) -> Told:
    fate = _OUTCOMES.get(record.outcome, Fate.REJECTED_AGAIN)
    decision = decode(Decision, record.decision)
    return Told(fate, decision.action.value if fate is Fate.DECIDED else record.reason)
