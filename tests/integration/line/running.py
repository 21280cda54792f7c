"""What the tests of this folder do with a running line: send anything, and wait for what comes out."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from cli.tape import TopicReader
from deploy.local.endpoints import Endpoints
from deploy.local.parts import Parts
from schemas.codec import decode, encode, new_uuid7
from schemas.faults import Retryable
from schemas.messages import Capture, Decision, Message, View
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, topic

SITE: Final = "test-site"
LINE: Final = "line-1"
LIMIT_S: Final = 30.0


@dataclass(slots=True)
class RunningLine:
    """The line, what was sent through it, and how to ask what came out."""

    parts: Parts
    endpoints: Endpoints
    store_id: str
    outbox: Outbox
    images: Path
    sent: list[str] = field(default_factory=list)

    def store_picture(self, data: bytes, suffix: str = ".jpg") -> View:
        """Put bytes below the image root and return a view that announces them."""
        digest = hashlib.sha256(data).hexdigest()
        file = self.images / f"{digest}{suffix}"
        file.write_bytes(data)
        return View(uri=file.as_uri(), sha256=digest, size=len(data))

    def capture(self, *views: View, **changes: object) -> Capture:
        """Make a capture of a unit of its own."""
        capture_id = new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=uuid.uuid4().int >> 54)
        fields: dict[str, object] = {
            "capture_id": capture_id,
            "site": SITE,
            "line": LINE,
            "station": "station-1",
            "unit_id": f"unit-{capture_id}",
            "captured_at": datetime.now(UTC),
            "views": list(views) or [self.store_picture(picture(capture_id))],
        }
        return Capture(**{**fields, **changes})  # type: ignore[arg-type]

    async def send(self, entity: Entity, value: Message | bytes | None, *, site: str | None = SITE) -> None:
        """Put an event, or any bytes, on a topic; like a station, again and again until it is there."""
        raw = encode(value) if isinstance(value, Message) else value
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    key = uuid.uuid4().bytes  # spreads the events over all partitions
                    await self.outbox.send(topic(entity, site), key=key, value=raw, headers=[("sent-by", b"test")])
                except Retryable:
                    await asyncio.sleep(0.5)
                else:
                    return

    async def read(self, entity: Entity, *, site: str | None = SITE) -> list[Delivery]:
        """Return everything on a topic."""
        async with TopicReader(self.endpoints.kafka_bootstrap, [topic(entity, site)]) as reader:
            return await reader.rest()

    async def until(
        self,
        entity: Entity,
        enough: Callable[[list[Delivery]], bool],
        *,
        site: str | None = SITE,
        limit_s: float = LIMIT_S,
    ) -> list[Delivery]:
        """Follow a topic until what is on it is enough.

        Raises:
            AssertionError: that did not happen in time; names what is there.
        """
        found: list[Delivery] = []
        async with TopicReader(self.endpoints.kafka_bootstrap, [topic(entity, site)]) as reader:
            try:
                async with asyncio.timeout(limit_s):
                    async for delivery in reader.follow():
                        found.append(delivery)
                        if enough(found):
                            return found
            except TimeoutError:
                raise AssertionError(f"{len(found)} events on {topic(entity, site)} and still not enough") from None
        raise AssertionError

    async def decisions(self, captures: list[Capture], *, limit_s: float = LIMIT_S) -> dict[str, list[Decision]]:
        """Wait until every capture has a decision; return all there are, by capture."""
        wanted = {capture.capture_id for capture in captures}

        def all_there(found: list[Delivery]) -> bool:
            return wanted <= {(each.key or b"").decode() for each in found}

        found = await self.until(Entity.DECISIONS, all_there, limit_s=limit_s)
        answers: dict[str, list[Decision]] = {capture_id: [] for capture_id in wanted}
        for each in found:
            if (key := (each.key or b"").decode()) in wanted:
                answers[key].append(decode(Decision, each.value))
        return answers


def picture(seed: str) -> bytes:
    """Return a small JPEG of noise that is the same for the same seed."""
    rng = np.random.default_rng(list(seed.encode()))
    coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC))
    return data.tobytes()
