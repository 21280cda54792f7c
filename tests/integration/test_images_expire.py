"""`sideline images expire` on a real store and real topics: what should go goes, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import redis.asyncio

from budget.config import DAY_MS, BudgetConfig
from budget.sample import Trial
from deploy.local.endpoints import Endpoints
from deploy.local.folder import checkout
from gallery.facts import Facts, State
from schemas.codec import decode, encode, new_uuid7
from schemas.messages import Capture, Decision, Judged, Message, Reference, View
from schemas.words import Verdict
from streams.outbox import Outbox
from streams.topics import Entity, create_topics, topic
from tests.integration.conftest import environment as plain_environment

DATABASE = 11  # of its own beside what other tests keep on the same server
OLD_DAYS = 20  # the gallery's window, a day and the verdict timeout are less, 28 days for labelled ones are more
SCORE = 5_000_000  # asks for a stop


@dataclass
class Yard:
    """A site in its own store, its topics, and an image root."""

    trial: Trial
    other: Trial
    gallery: redis.asyncio.Redis
    outbox: Outbox
    root: Path
    environment: dict[str, str]
    pictures: dict[str, Path] = field(default_factory=dict)

    def picture(self, name: str, *, days: float = OLD_DAYS) -> str:
        """Put a picture below the root, last written so many days ago; return its URI."""
        path = self.root / "day" / f"{name}.jpg"
        path.write_bytes(f"picture {name}".encode())
        at = time.time() - days * 86_400
        os.utime(path, (at, at))
        self.pictures[name] = path
        return path.as_uri()

    async def decide(self, *uris: str, score: int = -4_000_000, trial: Trial | None = None) -> Decision:
        """Decide a capture of these pictures at the store's time, and publish what was decided."""
        trial = trial or self.trial
        head = json.loads(trial.line.request(now_ms=trial.now_ms()).decision_head + b"}")
        request = trial.line.request(now_ms=trial.now_ms(), score=score)
        own = json.loads(request.decision_head + b"}") | {"views": list(uris), "evidence": head["evidence"]}
        record = await trial.decide(score, capture_id=request.capture_id, decision_head=json.dumps(own).encode()[:-1])
        await self.send(Entity.DECISIONS, record.decision, site=trial.name)
        return decode(Decision, record.decision)

    async def send(self, entity: Entity, value: Message | bytes, *, site: str | None) -> None:
        """Put an event on a topic."""
        raw = encode(value) if isinstance(value, Message) else value
        key = value.reference_id.encode() if isinstance(value, Reference) else b"key"
        await self.outbox.send(topic(entity, site), key=key, value=raw, headers=[("sent-by", b"test")])

    async def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command as people type it."""
        args = [sys.executable, "-m", "cli.main", "images", "expire", "--site", self.trial.name, *words]
        return await asyncio.to_thread(
            subprocess.run, args, env=self.environment, cwd=checkout(), capture_output=True, text=True, check=False
        )

    async def expire(self, *words: str) -> str:
        """Run the command and return what it says."""
        result = await self.run(*words)
        assert 0 == result.returncode, result.stdout + result.stderr
        return result.stdout

    def gone(self) -> set[str]:
        """Return the names of the pictures that are not there any more."""
        return {name for name, path in self.pictures.items() if not path.exists()}


@pytest.fixture
async def yard(servers: Endpoints, unique: str, tmp_path: Path) -> AsyncIterator[Yard]:
    """A yard whose store's clock stands twenty days back, so that what it decides is old."""
    url = servers.redis_decisions_url.rsplit("/", 1)[0] + f"/{DATABASE}"
    config = BudgetConfig(audit_ppm=0, start_threshold=0, floor=-2_000_000)
    trial, other = await Trial.open(url, unique, config), await Trial.open(url, f"{unique}-2", config)
    await create_topics(servers.kafka_bootstrap, [trial.name, other.name], partitions=2)
    outbox = Outbox(servers.kafka_bootstrap, client_id="test")
    (tmp_path / "images" / "day").mkdir(parents=True)
    environment = {
        **plain_environment(),
        **servers.variables(),
        "SIDELINE_RUN_DIR": str(tmp_path / "run"),
        "SIDELINE_REDIS_DECISIONS_URL": url,
        "SIDELINE_REDIS_GALLERY_URL": servers.redis_gallery_url.rsplit("/", 1)[0] + f"/{DATABASE}",
        "SIDELINE_STORE_ID": trial.store_id,
        "SIDELINE_IMAGE_ROOTS": str(tmp_path / "images"),
    }
    gallery = redis.asyncio.Redis.from_url(environment["SIDELINE_REDIS_GALLERY_URL"])
    await gallery.set("gallery:epoch", "test")
    yield Yard(trial, other, gallery, outbox, tmp_path / "images", environment)
    await trial.redis.delete("sideline:sites")  # commands of later tests read the topics of every registered site
    await gallery.flushdb()
    await gallery.aclose()
    await outbox.close()
    await trial.close()
    await other.close()


async def furnish(yard: Yard) -> None:
    """Make one picture for each thing that may be said of one. Names say what should become of them."""
    await yard.decide(yard.picture("needed-recent"), yard.picture("needed-shared"))
    await yard.trial.advance(-OLD_DAYS * DAY_MS)
    await yard.other.advance(-OLD_DAYS * DAY_MS)
    await yard.decide(
        yard.picture("goes-plain"), yard.picture("goes-second-view"), yard.pictures["needed-shared"].as_uri()
    )
    await yard.decide(yard.picture("needed-rewritten", days=1))
    await yard.decide(yard.picture("needed-open"), score=SCORE)
    settled = await yard.decide(yard.picture("labelled"), score=SCORE)
    disposition = yard.trial.line.disposition(Verdict.DAMAGED, capture_id=settled.capture_id)
    await yard.send(Entity.DISPOSITIONS, disposition, site=yard.trial.name)
    await yard.trial.store.settle(disposition)
    judged = await yard.decide(yard.picture("needed-unsettled"))
    unheard = yard.trial.line.disposition(Verdict.UNSURE, capture_id=judged.capture_id)
    await yard.send(Entity.DISPOSITIONS, unheard, site=yard.trial.name)
    await yard.decide(yard.picture("needed-reference"), yard.picture("goes-withdrawn"))
    await refer(yard, "needed-reference")
    await refer(yard, "goes-withdrawn")
    await refer(yard, "goes-withdrawn", withdrawn=True)
    await yard.decide(*(yard.picture(name) for name in ("needed-candidate", "needed-proposed", "goes-dropped")))
    await yard.decide(yard.picture("goes-contradicted"))
    await refer(yard, "needed-candidate", judged=Verdict.SELLABLE, state=State.CANDIDATE)
    await refer(yard, "needed-proposed", judged=Verdict.SELLABLE)
    await refer(yard, "goes-dropped", judged=Verdict.SELLABLE, state=State.WITHDRAWN)
    await refer(yard, "goes-contradicted", judged=Verdict.DAMAGED)
    await yard.decide(yard.picture("needed-other-site"))
    await yard.decide(yard.pictures["needed-other-site"].as_uri(), trial=yard.other)
    await yard.decide(yard.picture("needed-undecided"))
    await yard.send(Entity.CAPTURES, capture_of(yard, "needed-undecided"), site=yard.other.name)
    yard.picture("needed-nobody-knows")
    yard.picture("stray", days=40)


async def refer(
    yard: Yard, name: str, *, withdrawn: bool = False, judged: Verdict | None = None, state: State | None = None
) -> None:
    """Publish a reference that shows a picture, or withdraw it; `state` is where the gallery has it."""
    path = yard.pictures[name]
    reference = Reference(
        reference_id=f"{yard.trial.name}-{name}",
        product_id="p",
        views=[] if withdrawn else [View(uri=path.as_uri(), sha256="0" * 64, size=path.stat().st_size)],
        enrolled_at=datetime.now(UTC),
        withdrawn=withdrawn,
        judged=None if judged is None else judgement(yard, judged),
    )
    if state is not None:
        facts = Facts("p", "test", 0, (path.as_uri(),), state=state)
        await yard.gallery.hset("gallery:facts", reference.reference_id, msgspec.json.encode(facts))
    await yard.send(Entity.REFERENCES, reference, site=None)


def judgement(yard: Yard, verdict: Verdict) -> Judged:
    """Return a person's judgement of a capture."""
    return Judged(
        disposition_id="d",
        site=yard.trial.name,
        associate_id="anna",
        verdict=verdict,
        judged_at=datetime.now(UTC),
        capture_id=new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=2),
        unit_id="u",
    )


def capture_of(yard: Yard, name: str) -> Capture:
    """Return a capture that nobody has decided yet."""
    return Capture(
        capture_id=new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=1),
        site=yard.other.name,
        line="line-1",
        station="s",
        unit_id="u",
        captured_at=datetime.now(UTC),
        views=[View(uri=yard.pictures[name].as_uri(), sha256="0" * 64, size=1)],
    )


class TestExpire:
    """One site's pictures."""

    async def test_deletes_what_nothing_needs_and_nothing_else(self, yard: Yard) -> None:
        """First in words only; labelled ones when their own time is over; strays when asked for."""
        await furnish(yard)
        due = {name for name in yard.pictures if name.startswith("goes")}
        size = sum(yard.pictures[name].stat().st_size for name in due)

        said = await yard.expire("--dry-run")
        assert f"{len(due)} pictures would be deleted, {size} bytes" in said
        assert set() == yard.gone()

        said = await yard.expire()
        assert f"{len(due)} pictures deleted, {size} bytes" in said
        assert due == yard.gone()
        for why in ("recent", "labelled", "open stop", "unsettled verdict", "reference", "other site"):
            assert f"old ones are kept: {why}" in said
        assert "1 are named by no record for 31 days" in said

        assert "0 pictures deleted" in await yard.expire()
        await yard.expire("--keep-labelled-days", "1", "--strays")
        assert due | {"labelled", "stray"} == yard.gone()

    async def test_hostile_names_delete_nothing(self, yard: Yard, tmp_path: Path) -> None:
        """Captures may name whatever their sender likes: links, and paths that leave the root."""
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "diary.jpg").write_bytes(b"dear diary")
        (yard.root / "file.jpg").symlink_to(secret / "diary.jpg")
        (yard.root / "folder").symlink_to(secret)
        for path in (secret / "diary.jpg", secret):
            os.utime(path, (0, 0))
        await yard.trial.advance(-OLD_DAYS * DAY_MS)
        uri = yard.root.as_uri()
        await yard.decide(
            f"{uri}/file.jpg", f"{uri}/folder/diary.jpg", f"{uri}/../secret/diary.jpg", yard.picture("goes")
        )
        await yard.decide((secret / "diary.jpg").as_uri(), "s3://bucket-1/a.jpg", "http://example.com/a.jpg")

        said = await yard.expire("--strays")

        assert {"goes"} == yard.gone()
        assert b"dear diary" == (secret / "diary.jpg").read_bytes()
        assert (yard.root / "file.jpg").is_symlink()
        assert "5 names of pictures lead outside the image roots or through a link: refused" in said
        assert "1 are in buckets" in said


class TestRefusals:
    """When nothing may be concluded, nothing is deleted."""

    async def test_a_store_that_forgot_its_stops(self, yard: Yard) -> None:
        """Behind its topic: what it does not wait for any more may still be open."""
        await yard.trial.advance(-OLD_DAYS * DAY_MS)
        await yard.decide(yard.picture("a"), score=SCORE)
        await yard.trial.redis.hset(yard.trial.keys.key("budget"), "seq", 0)
        result = await yard.run()
        assert "sideline restore" in result.stderr
        assert set() == yard.gone()

    async def test_a_gallery_that_forgot_what_it_took(self, yard: Yard) -> None:
        """An empty one would give up every picture that became a reference."""
        yard.picture("a")
        await refer(yard, "a", judged=Verdict.SELLABLE)
        await yard.gallery.delete("gallery:epoch")
        result = await yard.run()
        assert "the gallery's store is empty" in result.stderr

    async def test_another_store(self, yard: Yard) -> None:
        """An empty one waits for nothing, so it must not be asked."""
        await yard.trial.advance(-OLD_DAYS * DAY_MS)
        await yard.decide(yard.picture("a"), score=SCORE)
        yard.environment["SIDELINE_STORE_ID"] = "another"
        result = await yard.run()
        assert 1 == result.returncode
        assert set() == yard.gone()

    async def test_longer_than_records_last(self, yard: Yard) -> None:
        """Then no record would name the picture when its time is over, and it would stay for ever."""
        result = await yard.run("--keep-days", "20")
        assert "decisions name them for 30" in result.stderr
