"""Dead letters sent again on a running line: one decision for a rejected capture, and no station can forge it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from budget.redrives import REDRIVE_LIMIT, Answer, Rejected
from budget.store import DecisionStore
from cli.dead.letters import digest_of
from deploy.local.folder import checkout
from schemas.codec import decode, encode, read_dead_letter
from schemas.faults import Reason
from schemas.messages import Capture, DeadLetter, Decision, Disposition, View
from schemas.words import Outcome, Verdict
from streams.delivery import Delivery
from streams.topics import Entity, topic
from tests.integration.conftest import environment
from tests.integration.line.running import SITE, RunningLine, picture

pytestmark = pytest.mark.timeout(180)


async def dead(line: RunningLine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `sideline dead` against the session's line."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli.main", "dead", *words, "--site", SITE],
        env={**environment(), "SIDELINE_RUN_DIR": str(line.parts.folder.root)},
        cwd=checkout(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def redrive(line: RunningLine, *words: str) -> str:
    """Send dead letters again and return what the command said."""
    done = await dead(line, "redrive", *words)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def said(delivery: Delivery) -> DeadLetter:
    """Return what a dead letter's headers say."""
    return read_dead_letter(delivery.headers)


@dataclass(slots=True)
class Missing:
    """A capture that was sent before its picture was there."""

    line: RunningLine
    capture: Capture
    data: bytes
    letter: Delivery

    @classmethod
    async def happen(cls, line: RunningLine) -> Missing:
        """Send it and wait for its dead letter."""
        data = picture(uuid.uuid4().hex)
        view = line.store_picture(data)
        path = line.images / view.uri.rpartition("/")[2]
        path.unlink()
        capture = line.capture(view)
        await line.send(Entity.CAPTURES, capture)
        (letter,) = await letters_of(line, capture, 1)
        return cls(line, capture, data, letter)

    def mend(self) -> View:
        """Put the picture where it belongs."""
        return self.line.store_picture(self.data)

    @property
    def rejected(self) -> Rejected:
        """What its dead letter says, as the command tells the store."""
        at = dict(self.letter.headers)["sideline-failed-at"].decode()
        return Rejected(self.capture.capture_id, digest_of(self.letter), at)

    async def decisions(self) -> list[Decision]:
        """Return what is on the decisions topic of it."""
        every = await self.line.read(Entity.DECISIONS)
        return [decode(Decision, one.value) for one in every if one.key == self.capture.capture_id.encode()]


async def letters_of(line: RunningLine, capture: Capture, count: int) -> list[Delivery]:
    """Wait for the dead letters of a capture, oldest first."""
    raw = encode(capture)
    found = await line.until(Entity.DEAD, lambda all_: sum(one.value == raw for one in all_) >= count)
    return sorted((one for one in found if one.value == raw), key=lambda one: one.append_ms)


def only(values: Sequence[Decision]) -> Decision:
    """Return the one distinct value there is."""
    assert values
    assert all(one == values[0] for one in values)
    return values[0]


class TestRejectedCapture:
    """A capture whose picture came late."""

    async def test_its_life_from_letter_to_decision(self, line: RunningLine) -> None:
        """Listed, shown, sent again as it was, decided once; the chain is kept; the next redrive changes nothing."""
        case = await Missing.happen(line)
        capture_id = case.capture.capture_id
        listed = await dead(line, "list", "--reason", "view_missing", "--json")
        (row,) = [one for one in map(json.loads, listed.stdout.splitlines()) if capture_id in one["ids"]]
        assert (f"{case.letter.partition}:{case.letter.offset}", "captures", "station-1") == (
            row["position"],
            row["entity"],
            row["station"],
        )
        assert row["position"] in (await dead(line, "list", "--limit", "1000")).stdout
        case.mend()
        assert "would be sent" in await redrive(line, capture_id, "--dry-run")
        assert [] == await case.decisions()

        assert "decided" in await redrive(line, row["position"])
        decision = only(await case.decisions())
        (before,) = decision.rejections
        assert (Outcome.DECIDED, "view_missing", said(case.letter).failed_at) == (
            decision.outcome,
            before.reason,
            before.rejected_at,
        )
        sent = [one for one in await line.read(Entity.CAPTURES) if one.value == encode(case.capture)]
        assert 2 == len(sent)
        assert 1 == len({(one.key, one.value, one.headers) for one in sent})

        assert "answered" in await redrive(line, capture_id)
        await line.send(Entity.CAPTURES, case.capture)
        await line.until(
            Entity.DECISIONS, lambda found: sum(one.key == capture_id.encode() for one in found) >= len(sent)
        )
        assert decision == only(await case.decisions())
        shown = (await dead(line, "show", row["position"])).stdout
        assert "rejected for view_missing" in shown
        assert "decided" in shown

    async def test_a_station_cannot_forge_it(self, line: RunningLine) -> None:
        """Sent again with headers that claim a redrive, after the picture is there: the rejection stands."""
        case = await Missing.happen(line)
        case.mend()
        claims = [("sent-by", b"test"), ("sideline-redrives", b"1"), ("sideline-grant", b"1")]
        await line.outbox.send(topic(Entity.CAPTURES, SITE), key=b"k", value=encode(case.capture), headers=claims)
        first, second = await letters_of(line, case.capture, 2)
        assert (said(first).failed_at, 0) == (said(second).failed_at, said(second).redrives)
        assert [] == await case.decisions()

    async def test_failing_again_and_again_it_is_poison(self, line: RunningLine) -> None:
        """Each failure is a new rejection with its own letter; after the limit the command refuses."""
        case = await Missing.happen(line)
        for number in range(1, REDRIVE_LIMIT + 1):
            told = await redrive(line, case.capture.capture_id, "--yes")
            assert "rejected again" in told
            assert number - 1 == told.count("rejected again since")
            letters = await letters_of(line, case.capture, number + 1)
            assert list(range(number + 1)) == [said(one).redrives for one in letters]
        assert len(letters) == len({said(one).failed_at for one in letters})
        case.mend()
        assert "poison" in await redrive(line, case.capture.capture_id, "--yes")
        assert [] == await case.decisions()


class TestKills:
    """What a command leaves that ended half-way, and two at once."""

    async def test_any_end_and_two_commands_leave_one_decision(self, line: RunningLine) -> None:
        """Ended after the permission; after permission and send; not at all: each with two commands afterwards."""
        cases = [await Missing.happen(line) for _ in range(3)]
        store = DecisionStore(line.endpoints.redis_decisions_url, store_id=line.store_id)
        for case in cases:
            case.mend()
        for case in cases[:2]:
            assert Answer.GRANTED is (await store.redrive(SITE, case.rejected)).answer
        await store.close()
        await line.send(Entity.CAPTURES, cases[1].capture)
        ids = [case.capture.capture_id for case in cases]
        await asyncio.gather(*(redrive(line, one, "--yes") for one in ids for _ in range(2)))
        answers = await line.decisions([case.capture for case in cases])
        for case in cases:
            decision = only(answers[case.capture.capture_id])
            assert (Outcome.DECIDED, 1) == (decision.outcome, len(decision.rejections))
        told = [await redrive(line, one, "--yes") for one in ids]
        assert all("answered" in one and "decided;" not in one for one in told)


class TestOthers:
    """Dead letters of what has no outcome."""

    async def test_a_verdict_that_came_too_early_is_sent_once(self, line: RunningLine) -> None:
        """Sent again it settles; the letter is remembered, and its count travels with what is sent."""
        capture = line.capture()
        verdict = Disposition(
            disposition_id=f"early-{capture.capture_id}",
            site=SITE,
            associate_id="ann",
            judged_at=datetime.now(UTC),
            verdict=Verdict.SELLABLE,
            capture_id=capture.capture_id,
        )
        raw = encode(verdict)
        await line.send(Entity.DISPOSITIONS, verdict)
        await line.until(Entity.DEAD, lambda found: any(one.value == raw for one in found))
        await line.send(Entity.CAPTURES, capture)
        await line.decisions([capture])
        assert "sent again" in await redrive(line, verdict.disposition_id)
        assert "sent before" in await redrive(line, verdict.disposition_id)
        assert "sent again" in await redrive(line, verdict.disposition_id, "--again")
        sent = [one for one in await line.read(Entity.DISPOSITIONS) if one.value == raw]
        counts = [dict(one.headers).get("sideline-redrives") for one in sorted(sent, key=lambda one: one.append_ms)]
        assert [None, b"1", b"2"] == counts
        assert 1 == len({one.key for one in sent})

    async def test_what_cannot_succeed_is_not_sent(self, line: RunningLine) -> None:
        """Too old stays too old."""
        old = line.capture(capture_id="00000000-0001-7000-8000-00000000dead")
        await line.send(Entity.CAPTURES, old)
        await letters_of(line, old, 1)
        assert "never succeed" in await redrive(line, old.capture_id)
        assert 1 == sum(one.value == encode(old) for one in await line.read(Entity.CAPTURES))

    async def test_nonsense_is_shown_and_harmless(self, line: RunningLine) -> None:
        """Escape sequences and secrets of a stranger do not reach the screen; binary is a dump."""
        hostile = b'{"password":"hunter2","note":"\\u001b[31mred","uri":"s3://me:pass@b/x?sig=abc"} \x1b]0;title\x07'
        binary = bytes(range(256)) * 8
        for raw in (hostile, binary):
            await line.send(Entity.CAPTURES, raw)
        found = await line.until(Entity.DEAD, lambda all_: {hostile, binary} <= {one.value for one in all_})
        for one in found:
            if one.value in {hostile, binary}:
                assert Reason.UNREADABLE.value == said(one).reason
                shown = (await dead(line, "show", f"{one.partition}:{one.offset}")).stdout
                assert not any(secret in shown for secret in ("hunter2", "me:pass", "sig=abc", "\x1b", "\x07"))
                assert len(shown) < 10_000
