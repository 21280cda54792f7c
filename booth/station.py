"""Stations and scanners: they stock the gallery, then send captures and scans at a steady pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from booth.ahead import Ready, ready_shots, store_views
from booth.draws import Domain, draws, fresh_seed
from booth.turns import Goods
from booth.wire import Sender
from booth.world import Truth
from schemas.codec import new_uuid7
from schemas.messages import Capture, Product, Reference, Scan
from streams.topics import Entity, topic

_SEEN_THROUGH_S: Final = 3.0  # a send that is on its way when the booth is stopped
_EARLY_S: Final = 0.6  # scans run ahead of their capture by less than this
_BIRTH: Final = datetime(2025, 1, 1, tzinfo=UTC)  # every stocking writes the same bytes, so it is of one date
_PICTURES: Final = "booth"  # folder below the image root


@dataclass(frozen=True, slots=True)
class Sent:
    """A capture that Kafka acknowledged, and what the line should find."""

    capture_id: str
    unit_id: str
    sent_at: datetime
    truth: Truth
    decide_by: datetime
    index: int  # of the capture in its world


class Booth:
    """Plays the outside world against a running line.

    The topics, the site and its lines must exist. Pictures go below `image_root`, named by their content.
    """

    def __init__(
        self,
        world: Goods,
        *,
        kafka_bootstrap: str,
        site: str,
        lines: Sequence[str],
        image_root: Path,
        seed: int,
        decide_within_s: float = 3.0,
    ) -> None:
        self._world = world
        self._bootstrap = kafka_bootstrap
        self._site = site
        self._line = {name: lines[place % len(lines)] for place, name in enumerate(world.lines)}
        self._pictures = image_root / _PICTURES
        self._seed = seed
        self._decide_within = timedelta(seconds=decide_within_s)
        self._run = f"{fresh_seed():08x}"  # tells the units of one run from those of the next with the same seed

    async def stock(self) -> None:
        """Publish all products and two references of each; doing it again sends the same events again.

        Raises:
            KafkaError: the broker refused an event, or was away for longer than two minutes.
        """
        references = await asyncio.to_thread(self._references)
        products, shelf = topic(Entity.PRODUCTS), topic(Entity.REFERENCES)
        async with Sender(self._bootstrap, source="/booth/catalogue") as sender, asyncio.TaskGroup() as group:
            for product in self._world.products():
                group.create_task(self._publish_product(sender, products, product))
            for reference in references:
                group.create_task(self._publish_reference(sender, shelf, reference))

    async def play(self, *, captures: int | None, rate_per_s: float, on_sent: Callable[[Sent], None]) -> None:
        """Send captures, and scans around their times, at a steady rate; until cancelled where `captures` is None.

        A capture that is not rendered in time moves all later ones: the pace never exceeds the rate to catch up.

        Args:
            captures: how many.
            rate_per_s: captures a second over all lines.
            on_sent: called for each capture when Kafka has acknowledged it.

        Raises:
            ExceptionGroup: of KafkaError, when the broker refused an event or was away for longer than two minutes.
        """
        shots = ready_shots(self._world, self._pictures, count=captures)
        async with (
            Sender(self._bootstrap, source=f"/booth/{self._site}") as sender,
            aclosing(shots),
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic() + _EARLY_S
            async for shot in shots:
                due = max(due, time.monotonic() + _EARLY_S)
                await asyncio.sleep(due - _EARLY_S - time.monotonic())
                group.create_task(self._send_capture(sender, shot, due, on_sent))
                if shot.scan is not None:
                    group.create_task(self._send_scan(sender, shot, due + max(shot.scan.delay_s, -_EARLY_S)))
                due += 1 / rate_per_s

    async def _send_capture(self, sender: Sender, shot: Ready, due: float, on_sent: Callable[[Sent], None]) -> None:
        await asyncio.sleep(due - time.monotonic())
        now = datetime.now(UTC)
        bits = draws(Domain.EVENT, self._seed, int(self._run, 16), shot.index).bytes(10)
        capture = Capture(
            capture_id=new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=int.from_bytes(bits) >> 6),
            site=self._site,
            line=self._line[shot.line],
            station=f"{self._line[shot.line]}-camera",
            unit_id=self._unit(shot),
            captured_at=now,
            views=list(shot.views),
            decide_by=now + self._decide_within,
        )
        sent = Sent(capture.capture_id, capture.unit_id, now, shot.truth, now + self._decide_within, shot.index)
        sending = asyncio.ensure_future(
            sender.send(
                topic(Entity.CAPTURES, self._site),
                capture.unit_id,
                capture,
                entity="capture",
                event_id=capture.capture_id,
                at=now,
            )
        )
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            # It may be on its topic already: whoever stops the booth has to know of every capture that is.
            done, _ = await asyncio.wait({sending}, timeout=_SEEN_THROUGH_S)
            sending.cancel()
            if done and sending.exception() is None:
                on_sent(sent)
            raise
        on_sent(sent)

    async def _send_scan(self, sender: Sender, shot: Ready, due: float) -> None:
        if shot.scan is None:
            return
        await asyncio.sleep(due - time.monotonic())
        now = datetime.now(UTC)
        scan = Scan(
            scan_id=f"scan-{self._run}-{shot.index}",
            site=self._site,
            line=self._line[shot.line],
            station=f"{self._line[shot.line]}-scanner",
            unit_id=self._unit(shot),
            scanned_at=now,
            code=shot.scan.code,
            symbology=shot.scan.symbology,
        )
        await sender.send(
            topic(Entity.SCANS, self._site), scan.unit_id, scan, entity="scan", event_id=scan.scan_id, at=now
        )

    async def _publish_product(self, sender: Sender, name: str, product: Product) -> None:
        key = product.product_id
        await sender.send(name, key, product, entity="product", event_id=f"product-{key}", at=_BIRTH)

    async def _publish_reference(self, sender: Sender, name: str, reference: Reference) -> None:
        key = reference.reference_id
        await sender.send(name, key, reference, entity="reference", event_id=key, at=_BIRTH)

    def _references(self) -> list[Reference]:
        """Render and store the references' pictures."""
        return [
            Reference(
                reference_id=reference_id,
                product_id=product_id,
                views=list(store_views(pictures, self._pictures)),
                source="booth",
                enrolled_at=_BIRTH,
            )
            for reference_id, product_id, pictures in self._world.references()
        ]

    def _unit(self, shot: Ready) -> str:
        return f"{shot.unit_id}-{self._run}"
