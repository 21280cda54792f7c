"""A capture's history on a running line: told from real topics, stores and logs, also of one that has no outcome."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import msgspec

from cli.here import Line
from cli.history.gather import Traces, gather
from cli.history.standing import stand
from cli.history.stores import Stores
from cli.history.tell import history_text
from cli.history.where import Where, where_of
from schemas.words import Outcome
from streams.topics import Entity, create_topics
from tests.integration.line.running import SITE, RunningLine
from tests.integration.line.test_cli_commands import sideline

LIMIT_S = 20.0


def where(line: RunningLine) -> Where:
    """Return what a history asks of the session's line."""
    return replace(where_of(Line(line.endpoints, line.parts.folder)), store_id=line.store_id)


async def committed(line: RunningLine, capture_id: str) -> Traces:
    """Return the traces of a capture once its group has committed all its deliveries."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        traces = await gather(where(line), capture_id, SITE)
        at = [(one.offset, traces.positions[one.topic, one.partition]) for one in traces.of(Entity.CAPTURES)]
        if at and all(position.committed is not None and position.committed > offset for offset, position in at):
            return traces
        assert time.monotonic() < deadline, "the offsets were not committed"
        await asyncio.sleep(0.2)


class TestHistory:
    """`sideline explain --history`."""

    async def test_a_decided_capture_has_one_sentence_and_its_moments(self, line: RunningLine) -> None:
        """Sent twice and once with other content: the first bytes are answered, the others refused, all of it told."""
        capture = line.capture()
        other = msgspec.structs.replace(capture, station="station-2")
        await line.send(Entity.CAPTURES, capture)
        await line.decisions([capture])
        for again in (capture, other):
            await line.send(Entity.CAPTURES, again)
        await line.until(
            Entity.DEAD, lambda found: any(capture.capture_id.encode() in (one.value or b"") for one in found)
        )
        await committed(line, capture.capture_id)

        told = await sideline(line, "explain", capture.capture_id, "--history")
        record = json.loads((await sideline(line, "explain", capture.capture_id, "--history", "--json")).stdout)

        assert 0 == told.returncode, told.stderr
        for words in ("decided: ", "sent again, the same bytes", "OTHER CONTENT", "id_reused", "as recorded"):
            assert words in told.stdout
        assert "LOST" not in told.stdout
        assert {"captures", "store", "decisions", "dead"} <= {one["source"] for one in record["moments"]}
        assert [one["at_ms"] for one in record["moments"]] == sorted(one["at_ms"] for one in record["moments"])

    async def test_committed_and_without_an_outcome_is_lost(self, line: RunningLine) -> None:
        """A capture that really was committed, with its outcome taken out of what was found, is called lost."""
        capture = line.capture()
        await line.send(Entity.CAPTURES, capture)
        await line.decisions([capture])
        traces = await committed(line, capture.capture_id)

        robbed = replace(traces, stores=Stores(), found={Entity.CAPTURES: traces.of(Entity.CAPTURES)})

        assert [Outcome.DECIDED.value] == [one.words.partition(":")[0] for one in stand(traces)]
        assert [True] == [one.words.endswith("no outcome: LOST") for one in stand(robbed)]

    async def test_a_capture_that_nobody_reads_waits(self, line: RunningLine, unique: str) -> None:
        """The site of its topic has no inspector: no offset was ever committed, and the history says so."""
        await create_topics(line.endpoints.kafka_bootstrap, [unique], partitions=1)
        capture = line.capture(site=unique)
        await line.send(Entity.CAPTURES, capture, site=unique)

        page = await history_text(where(line), capture.capture_id)

        assert f"capture {capture.capture_id}, site {unique}" in page
        assert "on the topic at captures-0@0, and no inspector ever committed on this partition: waiting" in page

    async def test_a_store_that_is_another_one_is_told_and_not_refused(self, line: RunningLine) -> None:
        """Who looks for a lost store must not be sent away because it is lost."""
        capture = line.capture()
        await line.send(Entity.CAPTURES, capture)
        await line.decisions([capture])

        page = await history_text(replace(where(line), store_id="another"), capture.capture_id, SITE)

        assert f"the store is not the pinned one: it says {line.store_id}, not another" in page

    async def test_an_unknown_capture_is_an_error_in_a_line(self, line: RunningLine) -> None:
        """No topic and no store names it."""
        capture = line.capture()

        told = await sideline(line, "explain", capture.capture_id, "--history")

        assert 1 == told.returncode
        assert f"no topic and no store names capture {capture.capture_id}" in told.stderr
