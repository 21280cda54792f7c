"""The decision store loses everything: nobody decides until `sideline restore`, and nothing is decided twice (P3)."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio as redis

from cli.here import Line
from cli.restore import restore_site
from schemas.codec import encode
from schemas.messages import Capture, Decision
from schemas.words import Outcome
from streams.topics import Entity
from tests.integration.line.running import LINE, SITE, RunningLine, picture

INSPECTORS = ("inspector-1", "inspector-2")

pytestmark = pytest.mark.timeout(180)


def numbers(answers: dict[str, list[Decision]]) -> list[int]:
    """Return the sequence numbers of decisions, each capture once, in order."""
    return sorted(copies[0].seq for copies in answers.values() if copies[0].seq is not None)


async def send(line: RunningLine, captures: list[Capture]) -> None:
    """Send captures, or send them again."""
    for capture in captures:
        await line.send(Entity.CAPTURES, capture)


class TestLostStore:
    """FLUSHALL under a running line."""

    async def test_refusal_restore_and_the_same_bytes_again(
        self, line: RunningLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Inspectors stop and name the command; restored, old captures get their old answers and numbering goes on."""
        before = [line.capture() for _ in range(10)]
        await send(line, before)
        first = await line.decisions(before)
        data = picture("comes too late")
        refused = line.capture(view := line.store_picture(data))
        file = line.images / view.uri.rpartition("/")[2]
        file.unlink()
        await send(line, [refused])
        raw = encode(refused)
        letters = await line.until(Entity.DEAD, lambda found: any(each.value == raw for each in found))
        (letter,) = [each for each in letters if each.value == raw]
        store = redis.from_url(line.endpoints.redis_decisions_url)
        await store.flushall()
        await store.aclose()
        between = [line.capture() for _ in range(5)]
        await send(line, between)
        gave_up: set[str] = set()
        async with asyncio.timeout(60):
            while not gave_up.issuperset(INSPECTORS):  # not at the same time: the watchdog lets each try again
                gave_up.update(status.name for status in line.parts.status() if status.state == "failed")
                await asyncio.sleep(0.3)
        logs = "".join(line.parts.logs(name).read_text()[-4000:] for name in INSPECTORS)
        assert "sideline restore" in logs
        decided = {(each.key or b"").decode() for each in await line.read(Entity.DECISIONS)}
        assert set() == decided & {capture.capture_id for capture in between}

        monkeypatch.setenv("SIDELINE_STORE_ID", line.store_id)
        restored = await restore_site(Line(line.endpoints, line.parts.folder), SITE, (LINE,))
        assert restored.seq >= numbers(first)[-1]
        assert restored.rejections >= 1
        for name in (*INSPECTORS, "tracker", "settler"):
            await asyncio.to_thread(line.parts.restart, name)
        file.write_bytes(data)
        await send(line, [*before, refused])
        after = [line.capture() for _ in range(5)]
        await send(line, after)
        answers = await line.decisions([*before, *between, *after], limit_s=60)

        again = {capture.capture_id: answers[capture.capture_id] for capture in before}
        assert first == {capture_id: copies[:1] for capture_id, copies in again.items()}
        assert all(copy == copies[0] for copies in answers.values() for copy in copies)
        late = [answers[capture.capture_id][0] for capture in between]
        assert {Outcome.UNDETERMINED} == {answer.outcome for answer in late}
        new = numbers({capture.capture_id: answers[capture.capture_id] for capture in after})
        assert list(range(restored.seq + 1, restored.seq + 1 + len(new))) == new
        started = min((answers[each.capture_id][0] for each in after), key=lambda answer: answer.seq or 0)
        assert started.balance_before == 0

        letters = await line.until(Entity.DEAD, lambda found: sum(each.value == raw for each in found) >= 2)
        times = {dict(each.headers)["sideline-failed-at"] for each in letters if each.value == raw}
        assert times == {dict(letter.headers)["sideline-failed-at"]}  # a lost store makes no second outcome of it
