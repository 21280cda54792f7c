"""What a verdict tells the gallery: a capture that a person cleared may become a reference, others speak against it."""

from __future__ import annotations

from typing import Final

from budget.records import Record, Settlement
from budget.store import DecisionStore
from schemas.codec import cloud_headers, decode, encode, rfc3339
from schemas.messages import Decision, Disposition, Judged, Reference, Sidelined
from schemas.words import IdentityMethod, Verdict
from streams.outbox import Outbox
from streams.topics import Entity, topic
from telemetry.metrics import METRICS

KNOWN_BY: Final = frozenset({IdentityMethod.SCAN, IdentityMethod.BARCODE})
AGAINST: Final = frozenset({Verdict.DAMAGED, Verdict.WRONG_ITEM})


class Proposer:
    """Publishes, for each judged stop whose product is known by a code, what the verdict means for the gallery.

    Only stops count, audits among them: the line chose them, so nobody chooses what may become a reference. The id of
    what is published comes from the capture and all else from the records, so that a redelivery repeats it.
    """

    def __init__(self, store: DecisionStore, outbox: Outbox, *, source: str) -> None:
        """Take where outcomes are kept and what sends."""
        self._store = store
        self._outbox = outbox
        self._source = source

    async def propose(self, disposition: Disposition, settlement: Settlement) -> None:
        """Publish what a settled or revising verdict says of the captures it was about.

        Raises:
            Retryable: `redis` or `kafka`.
        """
        for capture_id in settlement.captures:
            record = await self._store.look(disposition.site, capture_id)
            reference = None if record is None else proposal(record, disposition, first=settlement.state != "revised")
            if reference is None:
                continue
            await self._outbox.send(
                topic(Entity.REFERENCES),
                key=reference.reference_id.encode(),
                value=encode(reference),
                headers=cloud_headers(
                    entity="reference",
                    event_id=f"{reference.reference_id}.{disposition.disposition_id}",
                    source=f"/sideline/{disposition.site}/{self._source}",
                    time=rfc3339(disposition.judged_at),
                ),
            )
            METRICS.proposals.labels(site=disposition.site, verdict=disposition.verdict.value).inc()


def proposal(record: Record, disposition: Disposition, *, first: bool) -> Reference | None:
    """Return what a verdict on a capture means for the gallery, None where it means nothing.

    A capture is proposed by its first in-time verdict only; a later one can take it back, but not bring it in.
    """
    clears = disposition.verdict is Verdict.SELLABLE and first
    if record.sidelined is None or not (clears or disposition.verdict in AGAINST):
        return None
    decision, stop = decode(Decision, record.decision), decode(Sidelined, record.sidelined)
    identity = decision.identity
    if identity is None or identity.product_id is None or identity.method not in KNOWN_BY or identity.conflict:
        return None
    if not stop.pictures:  # a stop of a version that did not keep the digests of its views
        return None
    return Reference(
        reference_id=f"capture.{record.capture_id}",
        product_id=identity.product_id,
        views=stop.pictures,
        source=f"verdict:{disposition.disposition_id}",
        enrolled_at=decision.captured_at,
        judged=Judged(
            disposition_id=disposition.disposition_id,
            site=disposition.site,
            associate_id=disposition.associate_id,
            verdict=disposition.verdict,
            judged_at=disposition.judged_at,
            capture_id=record.capture_id,
            unit_id=decision.unit_id,
        ),
    )
