"""What comes in while faults happen: the booth's captures, people's verdicts, and whatever stations do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from booth.associate import Associate
from booth.station import Booth, Sent
from booth.turns import Goods
from booth.world import Truth
from cli.checker.charge import Known
from cli.tape import TopicReader
from evidence.code_reader import LONG_SIDE, read_codes
from evidence.decode import decode as decode_picture
from gallery.store import GalleryStore
from schemas.codec import decode, encode, new_uuid7
from schemas.faults import Poison, Retryable
from schemas.messages import Capture, Disposition, Reference, View
from schemas.words import Verdict, ViewKind
from streams.delivery import Delivery
from streams.outbox import Outbox
from streams.topics import Entity, topic
from tests.chaos.stage import RATE_PER_S, Stage

VERDICT_DELAY_S: Final = 2.0
FROM_BUCKET_EVERY_S: Final = 2.0
REMEMBERED: Final = 200  # captures that stations may send again
SHIFTS_S: Final = (-2.5 * 86_400, -7_200, -300, -20, 20, 600, 86_400)
LIKE: Final = "like-"  # begins the unit ids of captures that are made of others
JUDGED_BEHIND: Final = 30  # captures between one and the verdict on it
_CUT: Final = 24  # bytes of a message that garbage may begin with
log = structlog.get_logger(__name__)


class Traffic:
    """Sends to one site of a line, and remembers what the broker acknowledged."""

    def __init__(self, stage: Stage, site: str, goods: Goods, *, seed: int) -> None:
        """Take the line and the goods; `running` starts sending."""
        self._stage = stage
        self._site = site
        self._goods = goods
        self._seed = seed
        self._outbox = Outbox(stage.line.bootstrap, client_id="chaos")
        self._recent: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._patterns: deque[Delivery] = deque(maxlen=REMEMBERED)  # those of the booth itself
        self.truth: dict[str, Truth] = {}  # of every capture that the broker acknowledged
        self._turn = itertools.count()

    def known(self) -> dict[str, Known]:
        """Return the truth in the checker's words."""
        return {key: Known(damaged=one.damaged, product_id=one.product_id) for key, one in self.truth.items()}

    def forget_recent(self) -> None:
        """Send nothing again of what was sent so far. A restored store does not know what its captures were made of."""
        self._recent.clear()

    async def stock(self, *, within_s: float = 120.0) -> None:
        """Fill the gallery, and wait until it has everything."""
        await self._booth().stock()
        gallery = GalleryStore(self._stage.line.endpoints.redis_gallery_url)
        missing = list(self._goods.reference_ids())
        try:
            async with asyncio.timeout(within_s):
                while missing:
                    if await gallery.facts(missing[-1]) is None:
                        await asyncio.sleep(0.2)
                    else:
                        missing.pop()
        finally:
            await gallery.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Play the booth and its people while the block runs; captures stop at its end, verdicts with `people`."""
        tasks = [asyncio.create_task(run) for run in (self._play(), self._remember(), self._from_the_bucket())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error

    @contextlib.asynccontextmanager
    async def people(self) -> AsyncIterator[None]:
        """Judge what is sidelined while the block runs."""
        associate = Associate(
            kafka_bootstrap=self._stage.line.bootstrap,
            site=self._site,
            truth=self.truth.get,
            delay_s=VERDICT_DELAY_S,
            seed=self._seed,
            people=("associate-1", "associate-2"),
        )
        task = asyncio.create_task(associate.work())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.close()

    async def collect(self, count: int, *, within_s: float = 60.0) -> None:
        """Play the booth until there are so many captures to make others of."""
        remembering = asyncio.create_task(self._remember())
        try:
            await asyncio.sleep(1.0)
            await self._play(count)
            async with asyncio.timeout(within_s):
                while len(self._patterns) < count // 2:
                    await asyncio.sleep(0.1)
        finally:
            remembering.cancel()
            await asyncio.gather(remembering, return_exceptions=True)

    async def keep_nameless(self) -> int:
        """Make others only of captures that no code names: they are laid over references. Return of how many."""
        codes = await asyncio.to_thread(lambda: [_codes(decode(Capture, each.value)) for each in self._patterns])
        kept = [each for each, found in zip(list(self._patterns), codes, strict=True) if not found]
        self._patterns = deque(kept, maxlen=REMEMBERED)
        return len(kept)

    async def like(self) -> None:
        """Send a capture with the pictures of another one."""
        await self.send_like(next(self._turn), at=datetime.now(UTC))

    async def close(self) -> None:
        """Let go of the broker."""
        await self._outbox.close()

    async def resend(self, count: int, *, backwards: bool = False) -> None:
        """Send some captures again as they were; backwards, the newest of them first."""
        again = list(self._recent)[-count:]
        for each in reversed(again) if backwards else again:
            await self._send(each.topic, key=each.key, value=each.value, headers=each.headers)

    async def from_other_times(self, draw: float) -> None:
        """Send captures whose station's clock is off, ids and times alike."""
        for place, shift_s in enumerate(SHIFTS_S):
            await self.send_like(place, at=datetime.now(UTC) + timedelta(seconds=shift_s * (0.5 + draw)))

    async def reuse_ids(self, count: int) -> None:
        """Send captures of other units under ids that are taken."""
        for each in list(self._recent)[-count:]:
            capture = decode(Capture, each.value)
            other = msgspec.structs.replace(
                capture, unit_id=f"{capture.unit_id}-other"[:64], station=f"{capture.station}-2"[:64]
            )
            await self._send(each.topic, key=other.unit_id.encode(), value=encode(other), headers=each.headers)

    async def broken(self, count: int) -> None:
        """Send captures whose pictures are not there: they are refused for good, and that is on record."""
        for place in range(count):
            await self.send_like(place, at=datetime.now(UTC), missing=True)

    async def enrol(self) -> None:
        """Send a reference that the gallery does not have, with the pictures of a capture."""
        if not self._patterns:
            return
        capture = decode(Capture, self._patterns[-1].value)
        reference = Reference(
            reference_id=f"chaos.{uuid.uuid4()}",
            product_id=self.truth[capture.capture_id].product_id,
            views=[view for view in capture.views if view.kind is ViewKind.RGB],
            source="chaos",
            enrolled_at=datetime.now(UTC),
        )
        key = reference.reference_id.encode()
        await self._send(topic(Entity.REFERENCES), key=key, value=encode(reference), headers=())

    async def judge(self) -> None:
        """Send a verdict on a capture of a while ago, whether it was sidelined or not: that is a label."""
        if len(self._patterns) < JUDGED_BEHIND:
            return
        capture = decode(Capture, self._patterns[-JUDGED_BEHIND].value)
        verdict = Disposition(
            disposition_id=f"chaos.{uuid.uuid4()}",
            site=self._site,
            associate_id="associate-3",
            judged_at=datetime.now(UTC),
            verdict=Verdict.DAMAGED if self.truth[capture.capture_id].damaged else Verdict.SELLABLE,
            capture_id=capture.capture_id,
        )
        key = capture.unit_id.encode()
        await self._send(topic(Entity.DISPOSITIONS, self._site), key=key, value=encode(verdict), headers=())

    async def garbage(self, count: int, *, seed: int) -> None:
        """Send bytes that are no message to the topics that stations, scanners and people write to."""
        rng = random.Random(f"garbage {seed}")
        for number in range(count):
            entity = (Entity.CAPTURES, Entity.SCANS, Entity.DISPOSITIONS)[number % 3]
            start = self._recent[-1].value[:_CUT] if self._recent and self._recent[-1].value and number % 2 else b""
            raw = start + rng.randbytes(rng.randrange(2_000))
            await self._send(topic(entity, self._site), key=rng.randbytes(8), value=raw, headers=())

    def _booth(self) -> Booth:
        return Booth(
            self._goods,
            kafka_bootstrap=self._stage.line.bootstrap,
            site=self._site,
            lines=self._goods.lines,
            image_root=self._stage.parts.folder.images,
            seed=self._seed,
        )

    async def _play(self, captures: int | None = None) -> None:
        def on_sent(sent: Sent) -> None:
            self.truth[sent.capture_id] = sent.truth

        await self._booth().play(captures=captures, rate_per_s=RATE_PER_S, on_sent=on_sent)

    async def _remember(self) -> None:
        """Follow the captures, so that they can be sent again."""
        name = topic(Entity.CAPTURES, self._site)
        while True:
            try:
                async with TopicReader(self._stage.line.bootstrap, [name], start="latest") as reader:
                    async for each in reader.follow():
                        with contextlib.suppress(Poison):
                            capture = decode(Capture, each.value)
                            if capture.capture_id in self.truth:
                                self._recent.append(each)
                                if not capture.unit_id.startswith(LIKE):
                                    self._patterns.append(each)
            except Exception as error:  # noqa: BLE001 - the broker is one of the things that are killed here
                log.info("following the captures again", error=str(error))
                await asyncio.sleep(1.0)

    async def _from_the_bucket(self) -> None:
        """Send now and then a capture whose pictures lie in the bucket."""
        place = 0
        while True:
            await asyncio.sleep(FROM_BUCKET_EVERY_S)
            place += 1
            await self.send_like(place, at=datetime.now(UTC), in_bucket=True)

    async def send_like(self, place: int, *, at: datetime, in_bucket: bool = False, missing: bool = False) -> None:
        """Send a capture of another unit with the pictures of one that was sent before."""
        if not self._patterns:
            return
        pattern = self._patterns[-1 - place % len(self._patterns)]
        capture = decode(Capture, pattern.value)
        views = list(capture.views)
        if in_bucket:
            files = [_file(view) for view in views]
            uris = [await asyncio.to_thread(self._stage.upload, file) for file in files]
            views = [msgspec.structs.replace(view, uri=uri) for view, uri in zip(views, uris, strict=True)]
        if missing:
            views = [msgspec.structs.replace(view, uri=f"{view.uri}.gone") for view in views]
        capture_id = new_uuid7(at_ms=round(at.timestamp() * 1000), random_bits=uuid.uuid4().int >> 54)
        like = msgspec.structs.replace(
            capture, capture_id=capture_id, unit_id=f"{LIKE}{capture_id}", captured_at=at, views=views, decide_by=None
        )
        await self._send(pattern.topic, key=like.unit_id.encode(), value=encode(like), headers=())
        self.truth[capture_id] = self.truth[capture.capture_id]

    async def _send(
        self, name: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Send like a station: again and again until the broker has it."""
        while True:
            try:
                await self._outbox.send(name, key=key, value=value, headers=headers)
            except Retryable:
                await asyncio.sleep(0.5)
            else:
                return


def _codes(capture: Capture) -> int:
    """Count the codes that can be read in a capture's pictures."""
    raws = [_file(view).read_bytes() for view in capture.views if view.kind is ViewKind.RGB]
    return sum(len(read_codes(decode_picture(raw, long_side=LONG_SIDE)[0], view=0)) for raw in raws)


def _file(view: View) -> Path:
    """Return where the booth stored a view."""
    return Path(unquote(urlsplit(view.uri).path))


def now_ms() -> int:
    """Return the time as topics have it."""
    return time.time_ns() // 1_000_000
