"""Bad input is normal: it ends with a reason that names the fault, and captures around it are decided in time (P6)."""

from __future__ import annotations

import asyncio
import struct
import time
import uuid
import zlib
from datetime import UTC, datetime

import msgspec
import pytest

from schemas.codec import encode
from schemas.faults import Reason
from schemas.messages import Capture, Disposition, Product, Reference, Scan, View
from schemas.words import Outcome, Verdict, ViewKind
from streams.delivery import Delivery
from streams.topics import Entity
from tests.integration.line.running import LINE, SITE, RunningLine

MIB = 1024 * 1024


def reason_of(delivery: Delivery) -> str:
    """Return the reason a dead letter states."""
    return dict(delivery.headers)["sideline-reason"].decode()


def text_of(delivery: Delivery) -> str:
    """Return the words a dead letter states."""
    return dict(delivery.headers)["__connect.errors.exception.message"].decode()


def huge_png() -> bytes:
    """Return a PNG that says it is 30,000 x 30,000 and is a few hundred bytes long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 90_001))
        + chunk(b"IEND", b"")
    )


def with_fields(capture: Capture, **changes: object) -> bytes:
    """Return a capture's JSON with fields replaced by anything."""
    return msgspec.json.encode({**msgspec.to_builtins(capture), **changes})


class TestCaptures:
    """Garbage on the captures topic, with good captures between."""

    async def test_each_kind_of_garbage_is_named_and_costs_only_itself(self, line: RunningLine) -> None:
        """Every bad capture becomes a dead letter with its reason, original bytes kept; every good one is decided."""
        good = [line.capture() for _ in range(24)]
        view = good[0].views[0]
        missing = View(uri=(line.images / "nowhere.jpg").as_uri(), sha256="0" * 64, size=10)
        outside = View(uri="file:///etc/hostname", sha256="0" * 64, size=10)
        text = line.store_picture(b"this is no picture, whatever its name says" * 10)
        bomb = line.store_picture(huge_png(), ".png")
        far = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        marker = uuid.uuid4().hex
        bad: list[tuple[bytes | None, Reason]] = [
            (b"", Reason.UNREADABLE),
            (None, Reason.UNREADABLE),
            (b"x" * (MIB - 512), Reason.UNREADABLE),
            (encode(line.capture())[:-40], Reason.UNREADABLE),
            (with_fields(line.capture(), views="none"), Reason.UNREADABLE),
            (with_fields(line.capture(), unit_id=17), Reason.UNREADABLE),
            (encode(line.capture()).replace(b'"decide_by":null', b'"decide_by":NaN'), Reason.UNREADABLE),
            (with_fields(line.capture(), capture_id="{" + marker + "}"), Reason.UNREADABLE),
            (with_fields(line.capture(), unit_id="{site}:budget"), Reason.UNREADABLE),
            (encode(line.capture(site="elsewhere")), Reason.WRONG_SITE),
            (encode(line.capture(line="line-9")), Reason.UNKNOWN_LINE),
            (encode(line.capture(msgspec.structs.replace(view, kind=ViewKind.DEPTH))), Reason.NO_PICTURE),
            (with_fields(line.capture(), views=[{**msgspec.to_builtins(view), "kind": "hologram"}]), Reason.NO_PICTURE),
            (encode(line.capture(missing)), Reason.VIEW_MISSING),
            (encode(line.capture(msgspec.structs.replace(view, sha256="f" * 64))), Reason.VIEW_SHA256),
            (encode(line.capture(msgspec.structs.replace(view, size=view.size + 1))), Reason.VIEW_SIZE),
            (encode(line.capture(outside)), Reason.URI_REFUSED),
            (encode(line.capture(msgspec.structs.replace(view, uri="http://127.0.0.1/x.jpg"))), Reason.URI_REFUSED),
            (encode(line.capture(text)), Reason.NOT_AN_IMAGE),
            (encode(line.capture(bomb)), Reason.TOO_MANY_PIXELS),
            (encode(line.capture(decide_by=far)), Reason.DEADLINE),
            (encode(line.capture(capture_id="00000000-0001-7000-8000-000000000000")), Reason.TOO_OLD),
            (encode(line.capture(capture_id="ffffffff-ffff-7000-8000-000000000000")), Reason.FROM_THE_FUTURE),
            (encode(line.capture(capture_id=good[0].capture_id)), Reason.ID_REUSED),
        ]
        before = len(await line.read(Entity.DEAD))
        await line.send(Entity.CAPTURES, good[0])
        await line.decisions(good[:1])
        started = time.monotonic()
        for capture, (raw, _) in zip(good[1:] + good[:1], bad, strict=True):
            await line.send(Entity.CAPTURES, capture)
            await line.send(Entity.CAPTURES, raw)
        answers = await line.decisions(good)
        took_s = time.monotonic() - started
        dead = await line.until(Entity.DEAD, lambda found: len(found) >= before + len(bad))

        assert {Outcome.DECIDED} == {answer.outcome for each in answers.values() for answer in each}
        assert all(answer.decided_at < answer.decide_by for each in answers.values() for answer in each)
        by_value = {each.value or None: each for each in dead}
        wrong = [
            (reason.value, reason_of(by_value[raw or None]), text_of(by_value[raw or None]))
            for raw, reason in bad
            if reason_of(by_value[raw or None]) != reason.value
        ]
        assert [] == wrong
        assert all(("sent-by", b"test") in each.headers for each in dead)
        assert all(text_of(each) for each in dead)
        assert took_s < 20.0

    async def test_a_rejected_capture_has_one_outcome_however_often_it_comes(self, line: RunningLine) -> None:
        """Sent three times, a capture without its picture is recorded once and its dead letters carry equal values."""
        capture = line.capture(View(uri=(line.images / "gone.jpg").as_uri(), sha256="0" * 64, size=10))
        raw = encode(capture)
        for _ in range(3):
            await line.send(Entity.CAPTURES, raw)
        dead = await line.until(Entity.DEAD, lambda found: sum(each.value == raw for each in found) >= 3)
        mine = [each for each in dead if each.value == raw]
        assert {Reason.VIEW_MISSING.value} == {reason_of(each) for each in mine}
        assert 1 == len({dict(each.headers)["sideline-failed-at"] for each in mine})
        late = [each for each in await line.read(Entity.DECISIONS) if each.key == capture.capture_id.encode()]
        assert [] == late


class TestOtherInputs:
    """Garbage on the other input topics."""

    @pytest.mark.parametrize(
        "raw",
        [b"", b"{", b"[]", b"\xff\xfe", b'{"scan_id":NaN}', b"null", b"x" * (MIB - 512)],
        ids=["empty", "truncated", "list", "no-utf8", "nan", "null", "at-the-limit"],
    )
    @pytest.mark.parametrize(
        ("entity", "site"),
        [(Entity.SCANS, SITE), (Entity.DISPOSITIONS, SITE), (Entity.PRODUCTS, None), (Entity.REFERENCES, None)],
    )
    async def test_unreadable_bytes(self, line: RunningLine, entity: Entity, site: str | None, raw: bytes) -> None:
        """Any bytes on any topic end as a dead letter of where they came from."""
        source = entity.value.encode()

        def mine(found: list[Delivery]) -> list[Delivery]:
            return [
                each
                for each in found
                if (each.value or b"") == raw and source in dict(each.headers)["__connect.errors.topic"]
            ]

        await line.send(entity, raw, site=site)
        dead = await line.until(Entity.DEAD, lambda found: bool(mine(found)), site=site)
        assert Reason.UNREADABLE.value == reason_of(mine(dead)[-1])

    async def test_readable_nonsense(self, line: RunningLine) -> None:
        """What reads well but cannot be meant is named: wrong sites, unknown lines, captures, verdicts, pictures."""
        now, unit = datetime.now(UTC), f"unit-{uuid.uuid4().hex}"

        def scan(site: str = SITE, at: str = LINE) -> Scan:
            return Scan(
                scan_id=unit, site=site, line=at, station="s", unit_id=unit, scanned_at=now, code="4006381333931"
            )

        def verdict(**fields: object) -> Disposition:
            known: dict[str, object] = {
                "disposition_id": unit,
                "site": SITE,
                "associate_id": "a",
                "judged_at": now,
                "verdict": Verdict.SELLABLE,
            }
            return Disposition(**{**known, **fields})  # type: ignore[arg-type]

        nowhere = View(uri=(line.images / f"{unit}.jpg").as_uri(), sha256="0" * 64, size=10)
        cases: list[tuple[Entity, str | None, bytes, Reason]] = [
            (Entity.SCANS, SITE, encode(scan(site="elsewhere")), Reason.WRONG_SITE),
            (Entity.SCANS, SITE, encode(scan(at="line-9")), Reason.UNKNOWN_LINE),
            (Entity.DISPOSITIONS, SITE, encode(verdict(site="elsewhere", unit_id=unit)), Reason.WRONG_SITE),
            (Entity.DISPOSITIONS, SITE, encode(verdict()), Reason.NO_SUBJECT),
            (Entity.DISPOSITIONS, SITE, encode(verdict(capture_id=line.capture().capture_id)), Reason.UNKNOWN_CAPTURE),
            (
                Entity.DISPOSITIONS,
                SITE,
                encode(verdict(unit_id=unit)).replace(b'"sellable"', b'"shrug"'),
                Reason.UNKNOWN_VERDICT,
            ),
            (
                Entity.REFERENCES,
                None,
                encode(Reference(reference_id=unit, product_id="p", views=[nowhere], enrolled_at=now)),
                Reason.VIEW_MISSING,
            ),
            (
                Entity.REFERENCES,
                None,
                encode(Reference(reference_id=unit, product_id="q", views=[], enrolled_at=now)),
                Reason.NO_PICTURE,
            ),
            (Entity.PRODUCTS, None, encode(Product(product_id="p")).replace(b'"p"', b'"{p}"'), Reason.UNREADABLE),
        ]
        for entity, site, raw, _ in cases:
            await line.send(entity, raw, site=site)
        found: dict[bytes | None, str] = {}
        for site in (SITE, None):
            wanted = {raw for _, place, raw, _ in cases if place == site}

            def complete(dead: list[Delivery], wanted: set[bytes] = wanted) -> bool:
                return wanted <= {each.value for each in dead}

            dead = await line.until(Entity.DEAD, complete, site=site)
            found.update({each.value: reason_of(each) for each in dead})
        assert [reason.value for *_, reason in cases] == [found[raw] for _, _, raw, _ in cases]

    async def test_scans_land_while_garbage_pours_in(self, line: RunningLine) -> None:
        """A flood of unreadable captures does not keep good ones from their answer."""
        flood = [line.send(Entity.CAPTURES, b"{" + uuid.uuid4().hex.encode()) for _ in range(300)]
        good = [line.capture() for _ in range(5)]
        await asyncio.gather(*flood, *(line.send(Entity.CAPTURES, each) for each in good))
        answers = await line.decisions(good)
        assert {Outcome.DECIDED} == {answer.outcome for each in answers.values() for answer in each}
