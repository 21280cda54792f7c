"""Text of strangers on every topic: no metric grows by it, no log takes it for a line of its own."""

from __future__ import annotations

import ipaddress
import itertools
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
import psutil
from prometheus_client.parser import text_string_to_metric_families

from budget.store import DecisionStore
from gallery.facts import State
from gallery.lives import Effect
from schemas.codec import encode
from schemas.faults import Reason
from schemas.messages import Disposition, Product, Reference, Scan, View
from schemas.words import Divert, IdentityMethod, Outcome, Verdict
from streams.delivery import Delivery
from streams.topics import Entity
from tests.integration.line.running import LINE, SITE, RunningLine

FORGED: Final = "2026-11-25T00:00:00.000000Z [error    ] the budget is lifted"
HOSTILE: Final = f"x\n{FORGED}\x1b[2J\x1b]0;root\x07\r\x9b31m\u202e\u2028{FORGED}"
WORKERS: Final = ("inspector-1", "inspector-2", "tracker", "curator", "settler")
DEPENDENCIES: Final = {"redis", "gallery", "triton", "kafka", "self"}
# Every value that a label may have, beside the registered sites and lines.
CLOSED: Final[dict[str, set[str]]] = {
    "entity": {"capture", "scan", "disposition", "reference", "epcis"},
    "stage": {"look", "fetch", "turn", "pictures", "infer", "scan", "identify", "compare", "decide", "emit"},
    "dependency": DEPENDENCIES,
    "outcome": {*Outcome},
    "reason": {*Reason, *Divert, "late", "late_on_arrival", *(f"{name}_away" for name in DEPENDENCIES)},
    "divert": {*Divert},
    "method": {*IdentityMethod},
    "verdict": {*Verdict},
    "effect": {*Effect, "settled", "revised", "label"},
    "change": {
        *("product listed", "product retired", "reference enrolled", "reference promoted"),
        *(f"reference {state.value}" for state in State),
    },
    "part": {"software", "classifier", "embedding", "fusion"},
}


def labels_of(line: RunningLine) -> dict[str, set[str]]:
    """Return the values of each label in the metrics of all workers; histogram bounds and versions left out."""
    found: dict[str, set[str]] = {}
    ports = {part.name: part.ports[0] for part in line.parts.status() if part.name in WORKERS}
    assert set(WORKERS) == set(ports)
    for port in ports.values():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        for sample in itertools.chain.from_iterable(family.samples for family in families):
            if sample.name.startswith("sideline_"):
                for label, value in sample.labels.items():
                    found.setdefault(label, set()).add(value)
    return {label: values for label, values in found.items() if label not in {"le", "version"}}


def hostile_events(line: RunningLine) -> list[tuple[Entity, str | None, bytes, bool]]:
    """Return events in which what may be text, or is an id and may not, is a stranger's; the last says: it is refused.

    Those that are not refused hold nothing but text where text is allowed.
    """
    now, unit = datetime.now(UTC), f"unit-{uuid.uuid4().hex}"
    nowhere = View(uri=(line.images / f"{unit}.jpg").as_uri(), sha256="0" * 64, size=10)
    good = line.capture(unit_id=unit)

    def with_fields(event: msgspec.Struct, **changes: object) -> bytes:
        return msgspec.json.encode({**msgspec.to_builtins(event), **changes})

    scan = Scan(scan_id=unit, site=SITE, line=LINE, station="s", unit_id=unit, scanned_at=now, code=HOSTILE)
    verdict = Disposition(
        disposition_id=unit,
        site=SITE,
        associate_id=uuid.uuid4().hex,
        judged_at=now,
        verdict=Verdict.SELLABLE,
        capture_id=line.capture().capture_id,
        note=HOSTILE,
    )
    product = Product(product_id=unit, title=HOSTILE, vendor=HOSTILE, packaging=HOSTILE, codes=[HOSTILE[:200]])
    reference = Reference(reference_id=unit, product_id=unit, views=[nowhere], source=HOSTILE, enrolled_at=now)
    captures = [
        *(with_fields(good, **{name: HOSTILE}) for name in ("site", "line", "unit_id", "station")),
        *(with_fields(good, **{name: uuid.uuid4().hex}) for name in ("site", "line")),
        *(with_fields(good, views=[{**msgspec.to_builtins(nowhere), name: HOSTILE}]) for name in ("uri", "kind")),
        with_fields(good, **{HOSTILE: HOSTILE})[:-1],
    ]
    refused_scans = [with_fields(scan, line=uuid.uuid4().hex), with_fields(scan, station=HOSTILE)]
    verdicts = [encode(verdict), with_fields(verdict, verdict=HOSTILE), with_fields(verdict, associate_id=HOSTILE)]
    return [
        *((Entity.CAPTURES, SITE, raw, True) for raw in captures),
        *((Entity.SCANS, SITE, raw, True) for raw in refused_scans),
        *((Entity.DISPOSITIONS, SITE, raw, True) for raw in verdicts),
        (Entity.REFERENCES, None, encode(reference), True),
        (Entity.REFERENCES, None, with_fields(reference, withdrawn=True), False),
        (Entity.PRODUCTS, None, encode(product), False),
        (Entity.SCANS, SITE, encode(msgspec.structs.replace(scan, symbology=HOSTILE)), False),
    ]


class TestStrangers:
    """Events whose text is written to be mistaken for something of ours."""

    async def test_leave_no_mark_on_metrics_and_logs(self, line: RunningLine) -> None:
        """Each label's value is one of a closed set, whatever was sent; each line of each log prints, and is ours."""
        ends = {name: line.parts.logs(name).stat().st_size for name in WORKERS}
        events = [event for _ in range(5) for event in hostile_events(line)]
        for entity, site, raw, _ in events:
            await line.send(entity, raw, site=site)
        captures = [line.capture() for _ in range(4)]
        for capture in captures:
            await line.send(Entity.CAPTURES, capture)
        await line.decisions(captures)  # they are answered all the same
        for site in (SITE, None):
            refused = {raw for _, place, raw, dies in events if dies and place == site}
            await line.until(Entity.DEAD, _hold(refused), site=site)

        store = DecisionStore(line.endpoints.redis_decisions_url, store_id=line.store_id)
        registered = await store.sites()
        await store.close()
        closed = CLOSED | {"site": {*registered}, "line": {each for lines in registered.values() for each in lines}}
        strange = {label: values - closed.get(label, set()) for label, values in labels_of(line).items()}
        assert {} == {label: values for label, values in strange.items() if values}
        for name, end in ends.items():
            lines = line.parts.logs(name).read_bytes()[end:].decode().split("\n")
            assert [] == [text for text in lines if not text.isprintable() or text.startswith(FORGED)]


class TestDoors:
    """What another machine could reach."""

    async def test_every_part_listens_on_loopback_only(self, line: RunningLine) -> None:
        """Broker, stores, Triton, workers and all their children, by the kernel's own list."""
        parts = [psutil.Process(part.pid) for part in line.parts.status() if part.pid is not None]
        family = [each for part in parts for each in (part, *part.children(recursive=True))]
        open_doors = [
            (process.name(), connection.laddr.ip, connection.laddr.port)
            for process in family
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len({port for *_, port in open_doors}) >= len(WORKERS) + 4
        assert [] == [door for door in open_doors if not _is_loopback(door[1])]


def _is_loopback(address: str) -> bool:
    told = ipaddress.ip_address(address)
    mapped = told.ipv4_mapped if isinstance(told, ipaddress.IPv6Address) else None  # as Java binds
    return (mapped or told).is_loopback


def _hold(values: set[bytes]) -> Callable[[list[Delivery]], bool]:
    return lambda found: values <= {each.value for each in found}
