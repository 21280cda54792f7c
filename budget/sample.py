"""Ordinary requests, as an inspector makes them, and a site to send them to: for tests and benchmarks."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import asyncio as aioredis

from budget.config import BudgetConfig
from budget.heads import render_head
from budget.keys import SiteKeys
from budget.records import Record, Request, Settlement
from budget.store import DecisionStore
from schemas.codec import new_uuid7
from schemas.messages import DecisionHead, Disposition, Evidence, Identity, SidelinedHead, Versions
from schemas.words import MICRO, DamageKind, IdentityMethod, Outcome, Pattern, Severity, Verdict


@dataclass(slots=True)
class Line:
    """One line of a site whose captures are drawn from a seed."""

    site: str
    line: str = "line-1"
    fusion_version: str = "2026-11-20.1"
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def request(self, *, now_ms: int, capture_id: str = "", unit_id: str = "", **changes: Any) -> Request:  # noqa: ANN401
        """Return a request for a decision made at `now_ms`, with any field of `Request` changed."""
        capture_id = capture_id or new_uuid7(at_ms=now_ms, random_bits=self.rng.getrandbits(74))
        unit_id = unit_id or f"LPNSL{self.rng.randrange(10**8):08d}"
        where: dict[str, Any] = {
            "capture_id": capture_id,
            "site": self.site,
            "line": changes.get("line", self.line),
            "station": "st-04",
            "unit_id": unit_id,
        }
        views = [
            f"file:///images/{self.site}/2026/11/20/{capture_id}/{camera}.jpg" for camera in ("top", "left", "right")
        ]
        head = DecisionHead(
            **where,
            captured_at=datetime.fromtimestamp(now_ms / 1000, tz=UTC),
            views=views,
            identity=Identity(
                product_id="00012345678905",
                method=IdentityMethod.SCAN,
                confidence_ppm=999_000,
                claims=["scan:00012345678905", "image:00012345678905"],
            ),
            evidence=Evidence(
                pattern=Pattern.GALLERY_BY_CODE,
                classifier=-4_218_733,
                kinds=[-5_102_334, -4_218_733, -6_330_128, -7_002_551, -6_871_900, -4_900_017, -8_120_443],
                severity=Severity.NONE,
                discrepancy=182_406,
                references=["ref-000182-a", "ref-000182-b", "ref-000182-c"],
                view=1,
                place=[412_500, 287_500, 100_000, 100_000],
            ),
            versions=Versions(
                software="0.1.0",
                classifier="damage_classifier:1",
                embedding="gallery_embedding:1",
                fusion=self.fusion_version,
            ),
            audit_draw_ppm=MICRO - 1,
        )
        side = SidelinedHead(**where, product_id="00012345678905", views=views, kinds=[DamageKind.DEFORMATION])
        request = Request(
            site=self.site,
            line=self.line,
            capture_id=capture_id,
            unit_id=unit_id,
            digest=hashlib.sha256(capture_id.encode()).hexdigest(),
            append_ms=now_ms,
            decide_by_ms=now_ms + 3_000,
            ask=Outcome.DECIDED,
            score=-4_000_000,
            fusion_version=self.fusion_version,
            decision_head=render_head(head),
            sidelined_head=render_head(side),
        )
        return replace(request, **changes)

    def disposition(
        self,
        verdict: Verdict,
        *,
        capture_id: str | None = None,
        unit_id: str | None = None,
        disposition_id: str = "",
        associate_id: str = "associate-12",
    ) -> Disposition:
        """Return a person's verdict on a capture or a unit."""
        return Disposition(
            disposition_id=disposition_id or f"disp-{self.rng.getrandbits(64):016x}",
            site=self.site,
            associate_id=associate_id,
            judged_at=datetime.now(UTC),
            verdict=verdict,
            capture_id=capture_id,
            unit_id=unit_id,
        )


@dataclass(slots=True)
class Trial:
    """A registered site, its store, a raw connection to it, and the store's clock."""

    store: DecisionStore
    redis: aioredis.Redis
    line: Line
    keys: SiteKeys
    url: str
    store_id: str
    config: BudgetConfig
    offset_ms: int = 0

    @classmethod
    async def open(cls, url: str, name: str, config: BudgetConfig, *, script: str | None = None) -> Trial:
        """Register site `name` in the store at `url`, with `script` in place of decision.lua where it is given."""
        first = DecisionStore(url, store_id="")
        store_id = await first.initialise()
        await first.close()
        store = DecisionStore(url, store_id=store_id, timeout_s=10.0, script=script)
        await store.register(name, ["line-1", "line-2"], config)
        return cls(store, aioredis.Redis.from_url(url), Line(name), SiteKeys(name), url, store_id, config)

    async def close(self) -> None:
        """Close the connections."""
        await self.store.close()
        await self.redis.aclose()

    @property
    def name(self) -> str:
        """The site's name."""
        return self.line.site

    def now_ms(self) -> int:
        """Return the store's time, give or take the milliseconds of a call."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    async def advance(self, by_ms: int) -> None:
        """Move the store's clock for this site."""
        self.offset_ms += by_ms
        await self.redis.set(self.keys.key("clock"), self.offset_ms)

    async def configure(self, **changes: Any) -> int:  # noqa: ANN401 - fields of many types
        """Put the configuration in force with these changes."""
        self.config = msgspec.structs.replace(self.config, **changes)
        return await self.store.configure(self.name, self.config)

    async def decide(self, score: int = -4_000_000, **changes: Any) -> Record:  # noqa: ANN401
        """Decide a new capture."""
        return await self.store.decide(self.line.request(now_ms=self.now_ms(), score=score, **changes))

    async def judge(self, verdict: Verdict, capture_id: str, *, associate_id: str = "associate-12") -> Settlement:
        """Give a verdict on a capture."""
        return await self.store.settle(self.line.disposition(verdict, capture_id=capture_id, associate_id=associate_id))

    def another_worker(self) -> DecisionStore:
        """Return a second client of the same store."""
        return DecisionStore(self.url, store_id=self.store_id, timeout_s=10.0)
