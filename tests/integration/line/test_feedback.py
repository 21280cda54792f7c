"""What people say of a running line comes back as a data set, in the settler's own reading."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from budget.store import DecisionStore
from gallery.store import GalleryStore
from schemas.codec import encode
from schemas.faults import Reason
from schemas.messages import Capture, Decision, Disposition, Product, Reference, Scan
from schemas.words import MICRO, DamageKind, Divert, Severity, Verdict
from streams.topics import Entity
from tests.integration.line.running import LINE, SITE, RunningLine, picture
from tests.integration.line.test_cli_commands import sideline
from training.data import open_data_set
from training.data.claim import REPORT, Told
from training.data.form import Label

CAPTURES = 48
GTINS = ("04006381333931", "05901234123457", "09501101530003", "00012345678905")


@pytest.fixture
async def store(line: RunningLine) -> AsyncIterator[DecisionStore]:
    """The line's store, with every pass of the site audited while the test runs."""
    store = DecisionStore(line.endpoints.redis_decisions_url, store_id=line.store_id)
    before = (await store.state(SITE)).config
    await store.configure(SITE, msgspec.structs.replace(before, audit_ppm=MICRO))
    yield store
    await store.configure(SITE, before)
    await store.close()


async def stock(line: RunningLine) -> None:
    """Publish four products with a reference each, and wait until the gallery has them."""
    for gtin in GTINS:
        await line.send(Entity.PRODUCTS, Product(product_id=gtin, codes=[gtin]), site=None)
        view = line.store_picture(picture(f"reference of {gtin}"))
        reference = Reference(
            reference_id=f"ref-{gtin}", product_id=gtin, views=[view], source="test", enrolled_at=datetime.now(UTC)
        )
        await line.send(Entity.REFERENCES, reference, site=None)
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    try:
        async with asyncio.timeout(30):
            while None in [await gallery.facts(f"ref-{gtin}") for gtin in GTINS]:
                await asyncio.sleep(0.2)
    finally:
        await gallery.close()


async def capture_all(line: RunningLine) -> dict[str, Decision]:
    """Send scanned units through the line; return the decisions of those that were decided, by capture."""
    captures: list[Capture] = []
    for number in range(CAPTURES):
        capture = line.capture()
        scan = Scan(
            scan_id=f"scan-{capture.capture_id}",
            site=SITE,
            line=LINE,
            station="scanner-1",
            unit_id=capture.unit_id,
            scanned_at=capture.captured_at,
            code=GTINS[number % len(GTINS)],
        )
        await line.send(Entity.SCANS, scan)
        await line.send(Entity.CAPTURES, capture)
        captures.append(capture)
        await asyncio.sleep(0.1)  # a pace that a busy machine keeps its deadlines at
    answers = await line.decisions(captures)
    return {name: found[0] for name, found in answers.items() if found[0].divert is not Divert.NONE}


def verdict(number: int, decision: Decision, said: Verdict, **changes: object) -> Disposition:
    """Return a person's verdict on a capture."""
    whole = Disposition(
        disposition_id=f"said-{decision.capture_id}-{number}",
        site=SITE,
        associate_id="anna",
        judged_at=datetime.now(UTC),
        verdict=said,
        capture_id=decision.capture_id,
        unit_id=decision.unit_id,
    )
    return msgspec.structs.replace(whole, **changes)


async def counts(store: DecisionStore) -> dict[str, int]:
    """Return how many first verdicts the store has heard, by what they found."""
    state = await store.state(SITE)
    return {
        "true": state.confirmed + state.identity_confirmed + state.audit_damaged,
        "other": state.cleared + state.identity_cleared + state.audit_cleared,
        "revised": state.revised,
    }


async def judge_all(line: RunningLine, decisions: list[Decision]) -> dict[str, Disposition]:
    """Say something of every divert; return the verdicts that should be labels, by capture."""
    first: dict[str, Disposition] = {}
    for number, decision in enumerate(decisions):
        if number == 0:
            said = verdict(0, decision, Verdict.UNSURE)
        elif number == 1:
            said = verdict(0, decision, Verdict.SELLABLE, capture_id=None)  # by unit
        elif number % 2:
            severity = Severity.MAJOR if number % 4 == 1 else Severity.MINOR
            said = verdict(0, decision, Verdict.DAMAGED, kinds=[DamageKind.SPILLAGE], severity=severity)
        else:
            said = verdict(0, decision, Verdict.SELLABLE)
        first[decision.capture_id] = said
        await line.send(Entity.DISPOSITIONS, said)
    return first


async def say_more(
    line: RunningLine, first: dict[str, Disposition], *, disputed: Decision, forged: Decision, of_tomorrow: Decision
) -> None:
    """Contradict one verdict, repeat one, forge one under its id, and name a kind of damage that nobody knows."""
    await line.send(Entity.DISPOSITIONS, verdict(1, disputed, Verdict.DAMAGED))
    said = first[forged.capture_id]
    await line.send(Entity.DISPOSITIONS, said)
    await line.send(Entity.DISPOSITIONS, msgspec.structs.replace(said, verdict=Verdict.DAMAGED))
    unknown = json.loads(encode(verdict(2, of_tomorrow, Verdict.DAMAGED)))
    await line.send(Entity.DISPOSITIONS, json.dumps(unknown | {"kinds": ["scorched"]}).encode())
    name = said.disposition_id.encode()
    dead = await line.until(Entity.DEAD, lambda found: any(name in (each.value or b"") for each in found))
    headers = [value for each in dead if name in (each.value or b"") for _, value in each.headers]
    assert Reason.ID_REUSED.value.encode() in headers


class TestExport:
    """From captures and verdicts to samples."""

    @pytest.mark.timeout(240)
    async def test_what_was_said_is_what_is_read_back(
        self, line: RunningLine, store: DecisionStore, tmp_path: Path
    ) -> None:
        """Labels, products, weights; a picture that is gone, a second opinion, a forged and a repeated verdict."""
        await stock(line)
        begun = datetime.now(UTC) - timedelta(seconds=1)
        before = await counts(store)
        diverts = await capture_all(line)
        assert len(diverts) >= CAPTURES - 4, "too many captures met no deadline to test anything"
        decisions = list(diverts.values())
        first = await judge_all(line, decisions)
        disputed, forged, gone = decisions[2], decisions[4], decisions[6]
        async with asyncio.timeout(60):
            while sum((await counts(store)).values()) < sum(before.values()) + len(first):
                await asyncio.sleep(0.2)
        await say_more(line, first, disputed=disputed, forged=forged, of_tomorrow=decisions[3])
        async with asyncio.timeout(30):
            while (await counts(store))["revised"] < before["revised"] + 2:
                await asyncio.sleep(0.2)
        (line.images / Path(gone.views[0]).name).unlink()

        out = tmp_path / "set"
        words = ("dataset", "export", "--site", SITE, "--since", begun.isoformat(), "--out", str(out))
        exported = await sideline(line, *words)
        assert 0 == exported.returncode, exported.stderr
        told = msgspec.json.decode((out / REPORT).read_bytes(), type=Told)
        heard = await counts(store)
        labels = {name: said for name, said in first.items() if said.verdict is not Verdict.UNSURE}

        assert sum(heard.values()) - heard["revised"] == sum(before.values()) - before["revised"] + len(first)
        found_true = sum(number for name, number in told.verdicts.items() if name.endswith(" damaged"))
        assert heard["true"] - before["true"] == found_true
        assert (len(diverts), 1, 1, 2) == (told.diverts, told.missing, told.contradicted, told.revised)
        assert {"refused": 1, "repeated": 1}.items() <= told.dispositions_left_out.items()
        assert told.missing_named[0].startswith(gone.capture_id)
        assert told.estimate.passes_estimated == told.estimate.passes, "every pass was audited, so each stands for one"

        data = open_data_set(out)
        samples = {sample.capture_id: sample for sample in data.samples}
        assert samples.keys() == labels.keys() - {gone.capture_id}
        for name, sample in samples.items():
            said, decision = labels[name], diverts[name]
            damaged = said.verdict is Verdict.DAMAGED
            assert Label(damaged, frozenset(said.kinds), said.severity if damaged else Severity.NONE) == sample.label
            product = decision.identity.product_id if decision.identity else None
            assert (product, 1.0, decision.divert.value) == (sample.product_id, sample.weight, sample.facts["divert"])
            assert hashlib.sha256(sample.images[0].path.read_bytes()).hexdigest() in decision.views[0]
            assert ("yes" if name == disputed.capture_id else "no") == sample.facts["contradicted"]
        assert {sample.product_id for sample in data.samples} >= set(GTINS)
        assert set(GTINS) == {one.product_id for one in data.references}

        checked = await sideline(line, "dataset", "check", str(out), "--deep")
        assert 0 == checked.returncode, checked.stdout + checked.stderr

        dates = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        started = time.monotonic()
        again = await sideline(line, *words)
        assert (0, exported.stdout) == (again.returncode, again.stdout), f"after {time.monotonic() - started:.1f} s"
        assert dates == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
