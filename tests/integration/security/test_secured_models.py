"""The workers that ask models, on secured servers: everybody on the way of an event is nobody but themselves."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from booth.wire import Sender
from deploy.local.endpoints import Endpoints
from gallery.facts import State
from gallery.store import GalleryStore
from schemas.codec import decode, new_uuid7
from schemas.messages import Capture, Decision, Product, Reference, View
from schemas.words import Outcome
from streams.acls import Role
from streams.topics import Entity, topic
from tests.integration.security.conftest import SITE, Hands, as_user
from tests.integration.security.processes import LIMIT_S, credential, first, now_ms, worker
from tests.integration.security.secured_broker import SecuredBroker
from tests.integration.security.secured_store import SecuredStore

NOW = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)


def capture(folder: Path) -> Capture:
    """Return a capture of a picture of noise."""
    file = folder / "top.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (240, 240, 3), np.uint8)).save(file)
    raw = file.read_bytes()
    return Capture(
        capture_id=new_uuid7(at_ms=now_ms(), random_bits=7),
        site=SITE,
        line="line-1",
        station="s-1",
        unit_id="unit-secured",
        captured_at=datetime.now(UTC),
        views=[View(uri=file.as_uri(), sha256=hashlib.sha256(raw).hexdigest(), size=len(raw))],
    )


async def test_a_capture_is_decided(
    broker: SecuredBroker,
    decisions: SecuredStore,
    gallery: SecuredStore,
    hands: Hands,
    servers: Endpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The station's capture comes out as a decision made from its score, and neither store refused anything."""
    await hands.operator.sites()
    decisions.refused()
    gallery.refused()
    sent = capture(tmp_path)
    variables = credential(broker, decisions, Role.INSPECTOR, hands.store_id) | {
        "SIDELINE_REDIS_GALLERY_URL": f"redis://127.0.0.1:{gallery.port}/0",
        "SIDELINE_TRITON_URL": servers.triton_url,
        "SIDELINE_IMAGE_ROOTS": str(tmp_path),
        "SIDELINE_DECIDE_WITHIN_S": "60",  # the first inference of a process on a busy machine takes its time
    }
    as_user(monkeypatch, broker, Role.STATION.principal(SITE))
    async with Sender(broker.bootstrap, source="/test") as sender:
        about = {"entity": "capture", "event_id": sent.capture_id, "at": sent.captured_at}
        await sender.send(topic(Entity.CAPTURES, SITE), sent.unit_id, sent, **about)  # type: ignore[arg-type]
    as_user(monkeypatch, broker, Role.WMS.principal(SITE))
    async with worker("inspector", variables, tmp_path) as inspector:
        name, wanted = topic(Entity.DECISIONS, SITE), sent.capture_id.encode()
        answer = asyncio.create_task(first(broker, name, lambda one: one.key == wanted))
        ended = asyncio.create_task(inspector.process.wait())
        await asyncio.wait([answer, ended], return_when=asyncio.FIRST_COMPLETED)
        assert not ended.done(), "".join(inspector.said)[-3000:]
        ended.cancel()
    decision = decode(Decision, (await answer).value)
    assert Outcome.DECIDED is decision.outcome
    assert decision.score is not None
    assert [] == decisions.refused() + gallery.refused()


async def test_a_product_is_listed_and_a_reference_enrolled(
    broker: SecuredBroker,
    decisions: SecuredStore,
    gallery: SecuredStore,
    hands: Hands,
    servers: Endpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the catalogue publishes is in the gallery, and neither store refused the curator anything."""
    decisions.refused()
    gallery.refused()
    views = capture(tmp_path).views
    reference = Reference(
        reference_id="ref-secured", product_id="p-secured", enrolled_at=NOW, source="a test", views=views
    )
    listed = Product(product_id="p-secured", title="A thing")
    variables = credential(broker, decisions, Role.CURATOR, hands.store_id) | {
        "SIDELINE_REDIS_GALLERY_URL": f"redis://127.0.0.1:{gallery.port}/0",
        "SIDELINE_TRITON_URL": servers.triton_url,
        "SIDELINE_IMAGE_ROOTS": str(tmp_path),
    }
    as_user(monkeypatch, broker, Role.CATALOGUE.principal())
    async with Sender(broker.bootstrap, source="/test") as sender:
        await sender.send(topic(Entity.PRODUCTS), "p-secured", listed, entity="product", event_id="p", at=NOW)
        await sender.send(topic(Entity.REFERENCES), "ref-secured", reference, entity="reference", event_id="r", at=NOW)
    store = GalleryStore(gallery.url(Role.OPERATOR.principal()))
    async with worker("curator", variables, tmp_path) as curator, asyncio.timeout(2 * LIMIT_S):
        while (facts := await store.facts("ref-secured")) is None:
            assert curator.process.returncode is None, "".join(curator.said)[-3000:]
            await asyncio.sleep(0.1)
    await store.close()
    assert State.TRUSTED is facts.state
    with gallery.keeper() as keeper:
        assert keeper.hexists("gallery:products", "p-secured")
    assert [] == decisions.refused() + gallery.refused()
