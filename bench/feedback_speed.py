"""What an export and an expiry cost: topics full of decisions, a share of them diverted, judged and pictured.

    python -m bench.feedback_speed [--decisions 200000] [--diverts 1000]

Starts the servers in a folder of its own, writes decisions, sidelined events, dispositions and pictures as a line would
have left them, then times `gather` (reading the topics), `export` (pictures checked, copied, cropped) and what
`sideline images expire` does. CPU is this process's, so that a busy machine matters less.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import cv2
import msgspec
import numpy as np
from redis import asyncio as aioredis

from budget.keys import SiteKeys
from cli.here import Line
from cli.images import Rule, hear
from cli.site import add_site, initialise
from cli.verdicts import fetching, gather
from deploy.local.parts import Parts
from schemas.codec import decode, encode, new_uuid7
from schemas.messages import Decision, Disposition, Message, Sidelined, View
from schemas.words import MICRO, Action, Divert, Outcome, Verdict
from settings.line import Settings
from streams.documents import GOLDEN
from streams.outbox import Outbox
from streams.topics import Entity, topic
from training.data.claim import Order
from training.data.export import export

SITE = "bench"
PICTURES = 3  # of a capture
IN_FLIGHT = 500
T = TypeVar("T")


def picture(number: int, side: int) -> bytes:
    """Return a JPEG of blurred noise."""
    coarse = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    return data.tobytes()


async def fill(line: Line, decisions: int, diverts: int, side: int) -> None:
    """Write what a line would have left."""
    golden = decode(Decision, (GOLDEN / "decision" / "full.json").read_bytes())
    now = datetime.now(UTC)
    outbox = Outbox(line.bootstrap, client_id="bench")
    sending: list[Awaitable[None]] = []

    async def send(entity: Entity, key: str, message: Message) -> None:
        sending.append(outbox.send(topic(entity, SITE), key=key.encode(), value=encode(message), headers=[]))
        if len(sending) >= IN_FLIGHT:
            await asyncio.gather(*sending)
            sending.clear()

    for number in range(decisions):
        name = new_uuid7(at_ms=round(now.timestamp() * 1000), random_bits=number)
        stopped = number < diverts
        views = [store(line, picture(number * PICTURES + each, side)) for each in range(PICTURES)] if stopped else []
        decision = msgspec.structs.replace(
            golden,
            capture_id=name,
            site=SITE,
            unit_id=f"unit-{number}",
            views=[view.uri for view in views]
            or [f"{line.folder.images.as_uri()}/{name}-{each}.jpg" for each in "abc"],
            outcome=Outcome.DECIDED,
            action=Action.PASS,
            divert=Divert.AUDIT if stopped else Divert.NONE,
            seq=number + 1,
            audit_ppm=max(1, diverts * MICRO // decisions),
            config_version=1,
            decided_at=now - timedelta(minutes=30) * (1 - number / decisions),
        )
        await send(Entity.DECISIONS, name, decision)
        if not stopped:
            continue
        fields = {each: getattr(decision, each) for each in Sidelined.__struct_fields__ if hasattr(decision, each)}
        await send(Entity.SIDELINED, name, Sidelined(**fields, pictures=views))
        said = Disposition(
            disposition_id=f"said-{number}",
            site=SITE,
            associate_id="anna",
            judged_at=now,
            verdict=Verdict.DAMAGED if number % 5 == 0 else Verdict.SELLABLE,
            capture_id=name,
        )
        await send(Entity.DISPOSITIONS, name, said)
    await asyncio.gather(*sending)
    await outbox.close()


def store(line: Line, data: bytes) -> View:
    """Put a picture below the image root, dated a month back."""
    digest = hashlib.sha256(data).hexdigest()
    path = line.folder.images / f"{digest}.jpg"
    path.write_bytes(data)
    os.utime(path, (time.time() - 30 * 86_400,) * 2)
    return View(uri=path.as_uri(), sha256=digest, size=len(data))


async def timed(name: str, of: int, unit: str, work: Awaitable[T]) -> T:
    """Do something and print what it took."""
    began, cpu = time.monotonic(), time.process_time()
    done = await work
    took, busy = time.monotonic() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<8} {took:7.1f} s, CPU {busy:6.1f} s, {of / took:9,.0f} {unit}/s, peak {peak:,.0f} MiB")  # noqa: T201
    return done


def quiet(*_: object) -> None:
    """Say nothing."""


async def measure(parts: Parts, out: Path, decisions: int, diverts: int, side: int) -> None:
    """Fill, then time."""
    unpinned = Line(parts.endpoints(), parts.folder)
    await initialise(unpinned, partitions=4)
    await add_site(unpinned, SITE, ("line-1",), partitions=4)
    line = Line(parts.endpoints(), parts.folder)
    async with aioredis.Redis.from_url(line.endpoints.redis_decisions_url) as redis:
        # As if it had decided what lies on the topics, and heard the verdicts.
        await redis.hset(SiteKeys(SITE).key("budget"), "seq", decisions)
        await redis.mset({SiteKeys(SITE).verdict(f"said-{number}"): "" for number in range(diverts)})
    await timed("fill", decisions, "decisions", fill(line, decisions, diverts, side))
    until = datetime.now(UTC)
    since = until - timedelta(hours=1)
    heap = await timed("gather", decisions, "decisions", gather(line, SITE, since, until))
    order = Order(SITE, since, until, "A", 0, "1h", "0m")
    async with fetching(line) as fetch:
        work = export(
            order,
            out,
            heap.docket,
            passes=heap.passes,
            audits_refused=heap.audits_refused,
            pictures=heap.pictures,
            references=[],
            fetch=fetch,
            now_ms=round(until.timestamp() * 1000),
            say=quiet,
        )
        told = await timed("export", diverts * PICTURES, "pictures", work)
    print(f"         {sum(told.samples.values()):,} samples, {told.missing} missing")  # noqa: T201
    rule = Rule(plain_s=0, labelled_s=0, now=time.time() + 86_400)
    hearing, _ = await timed("expire", decisions, "decisions", hear(line, Settings(), SITE, rule))
    print(f"         {len(hearing.condemned()):,} of {len(hearing.files):,} old pictures may go")  # noqa: T201


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=200_000)
    parser.add_argument("--diverts", type=int, default=1_000)
    parser.add_argument("--side", type=int, default=480, help="of a picture, pixels")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder) / "run", environ=dict(os.environ))
        try:
            parts.up(say=quiet)
            asyncio.run(measure(parts, Path(folder) / "set", asked.decisions, asked.diverts, asked.side))
        finally:
            parts.down(say=quiet)


if __name__ == "__main__":
    main()
