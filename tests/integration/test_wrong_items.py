"""From a conflict of sources to what a person reads: the inspector's own request, decided by the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from budget.config import BudgetConfig
from budget.restore import sidelined_again
from budget.sample import Trial
from deploy.local.endpoints import Endpoints
from deploy.local.triton import model_repository
from evidence.calibration import Calibration
from schemas.codec import decode, new_uuid7
from schemas.messages import Capture, Decision, Evidence, Identity, Sidelined, View
from schemas.words import MICRO, Divert, IdentityMethod, Pattern
from tests.integration.conftest import environment
from workers.answers import Answers, Arrival, Findings, Served

DATABASE = 9  # of its own beside what other tests keep on the same server
CLAIMS = ["scan:4001053840005", "barcode:4001053840012", "barcode~:?X0014KQZ7T", "image:4001053840012"]
IDENTITY = Identity(
    product_id="4001053840005", method=IdentityMethod.SCAN, confidence_ppm=332_214, conflict=True, claims=CLAIMS
)
EVIDENCE = Evidence(
    pattern=Pattern.CLASSIFIER,
    classifier=-4_218_733,
    kinds=[-5_102_334, -4_218_733, -6_330_128, -7_002_551, -6_871_900, -4_900_017, -8_120_443],
    place=[412_500, 287_500, 100_000, 100_000],
)


@pytest.fixture
async def site(servers: Endpoints, unique: str) -> AsyncIterator[Trial]:
    """A site with one token for identities."""
    config = BudgetConfig(
        start_threshold=0, burst_identity=1, alpha_identity_ppm=0, audit_ppm=0, verdict_delay_ms=1_000
    )
    trial = await Trial.open(f"{servers.redis_decisions_url.rsplit('/', 1)[0]}/{DATABASE}", unique, config)
    yield trial
    await trial.close()


def answers() -> Answers:
    """Return what renders requests, as an inspector has it."""
    calibration = Calibration.load(model_repository(environment()) / "fusion.json")
    return Answers(calibration=calibration, served=Served(calibration.classifier, calibration.embedding), audit_key="k")


def arrival(site: Trial, number: int) -> Arrival:
    """Return a capture of two views."""
    capture_id = new_uuid7(at_ms=site.now_ms(), random_bits=number)
    views = [
        View(
            uri=f"s3://captures/{site.name}/2026/11/25/{capture_id}/{camera}.jpg",
            sha256="9b74c9897bac770ffc029102a200c5de0f9d3b1f4c5d6e7f8091a2b3c4d5e6f7",
            size=184_213,
            camera_id=camera,
        )
        for camera in ("top", "left")
    ]
    capture = Capture(
        capture_id=capture_id,
        site=site.name,
        line="line-1",
        station="tunnel-2a",
        unit_id=f"LPN-7QX2M{number:05d}",
        captured_at=datetime.now(UTC),
        views=views,
    )
    now_ms = site.now_ms()
    return Arrival(capture, "0" * 64, now_ms, now_ms + 3_000)


class TestWrongItem:
    """Scan and picture name different products."""

    async def test_the_person_reads_what_disagrees(self, site: Trial) -> None:
        """The event has every claim; what agrees, or is stopped for damage alone, carries none."""
        record = await site.store.decide(
            answers().decided(arrival(site, 1), Findings(EVIDENCE, IDENTITY), score=-4 * MICRO)
        )
        assert record.sidelined is not None
        event = decode(Sidelined, record.sidelined)
        assert (Divert.IDENTITY, CLAIMS, "4001053840005") == (event.divert, event.claims, event.product_id)
        agreed = msgspec.structs.replace(IDENTITY, conflict=False)
        record = await site.store.decide(
            answers().decided(arrival(site, 2), Findings(EVIDENCE, agreed), score=4 * MICRO)
        )
        assert record.sidelined is not None
        assert b"claims" not in record.sidelined

    async def test_without_a_token_it_passes_and_is_counted(self, site: Trial) -> None:
        """The second one in a row is withheld: its decision says so, and keeps the claims."""
        for number in (1, 2):
            record = await site.store.decide(
                answers().decided(arrival(site, number), Findings(EVIDENCE, IDENTITY), score=-4 * MICRO)
            )
        decision = decode(Decision, record.decision)
        assert (Divert.NONE, "identity_no_token", None) == (decision.divert, decision.reason, record.sidelined)
        assert decision.identity is not None
        assert CLAIMS == decision.identity.claims
        assert 1 == (await site.store.state(site.name)).withheld_identity

    async def test_a_restored_event_says_the_same(self, site: Trial) -> None:
        """Made again from the decision, because the first one never reached its topic."""
        record = await site.store.decide(
            answers().decided(arrival(site, 1), Findings(EVIDENCE, IDENTITY), score=-4 * MICRO)
        )
        again = decode(Sidelined, sidelined_again(decode(Decision, record.decision)))
        assert (Divert.IDENTITY, CLAIMS) == (again.divert, again.claims)

    async def test_its_record_takes_at_most_4_kb(self, site: Trial) -> None:
        """Twice an ordinary capture's: pictures and claims for the person. Stops are a few in a hundred."""
        arrived = arrival(site, 1)
        await site.store.decide(answers().decided(arrived, Findings(EVIDENCE, IDENTITY), score=-4 * MICRO))
        used = await site.redis.memory_usage(site.keys.outcome(arrived.capture.capture_id), samples=0)
        assert used is not None
        assert used <= 4_096
