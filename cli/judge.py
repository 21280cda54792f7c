"""`sideline judge`: a person's verdict, given by hand."""

from __future__ import annotations

import asyncio
import enum
import getpass
import re
import secrets
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.find import find_decision
from cli.here import Line, here
from cli.wording import verdict_word
from schemas.codec import cloud_headers, encode, new_uuid7, rfc3339
from schemas.faults import Fatal
from schemas.messages import Disposition
from schemas.words import DamageKind, Divert, Severity, Verdict
from streams.outbox import Outbox
from streams.topics import Entity, topic


class Said(enum.StrEnum):
    """The four verdicts as they are typed."""

    DAMAGED = "damaged"
    SELLABLE = "sellable"
    WRONG_ITEM = "wrong-item"
    UNSURE = "unsure"

    @property
    def verdict(self) -> Verdict:
        """The same as it travels."""
        return Verdict(self.value.replace("-", "_"))


_EXAMPLES = """Examples:

  sideline judge 01890a5d-ac96-774b-bcce-b302099a8057 sellable

  sideline judge 01890a5d-ac96-774b-bcce-b302099a8057 damaged --kind deformation --kind spillage --severity major
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(judge)


def judge(
    capture_id: Annotated[str, typer.Argument(help="The capture, as `sideline tail sidelined` shows it.")],
    said: Annotated[Said, typer.Argument(metavar="VERDICT", help="damaged, sellable, wrong-item or unsure.")],
    kind: Annotated[list[DamageKind] | None, typer.Option(help="What is damaged; may be given more than once.")] = None,
    severity: Annotated[Severity, typer.Option(help="How bad it is.")] = Severity.UNKNOWN,
    associate: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who judges; default: you.")] = None,
    note: Annotated[str, typer.Option(help="Anything worth keeping.")] = "",
    site: Annotated[str | None, typer.Option(help="The capture's site; default: all are searched.")] = None,
) -> None:
    """Answer a sidelined unit by hand: is it damaged?

    The first verdict on a stop settles its token: `damaged` and `wrong-item` return it to the budget, the others spend
    it. Later verdicts are kept as labels.
    """
    name = associate if associate is not None else f"hand-{re.sub(r'[^A-Za-z0-9._-]', '-', getpass.getuser())}"
    asyncio.run(_judge(here(), capture_id, said.verdict, kind or [], severity, name, note, site))


async def _judge(
    line: Line,
    capture_id: str,
    verdict: Verdict,
    kinds: list[DamageKind],
    severity: Severity,
    associate_id: str,
    note: str,
    site: str | None,
) -> None:
    decision = await find_decision(line, capture_id, site)
    if decision is None:
        raise Fatal(f"no capture {capture_id} was decided: sideline tail sidelined shows those that wait for a verdict")
    now = datetime.now(UTC)
    disposition = Disposition(
        disposition_id=new_uuid7(at_ms=time.time_ns() // 1_000_000, random_bits=secrets.randbits(74)),
        site=decision.site,
        associate_id=associate_id,
        judged_at=now,
        verdict=verdict,
        capture_id=capture_id,
        unit_id=decision.unit_id,
        kinds=kinds,
        severity=severity,
        note=note,
    )
    outbox = Outbox(line.bootstrap, client_id="sideline-judge")
    try:
        await outbox.send(
            topic(Entity.DISPOSITIONS, decision.site),
            key=decision.unit_id.encode(),
            value=encode(disposition),
            headers=cloud_headers(
                entity="disposition",
                event_id=disposition.disposition_id,
                source=f"/sideline/{decision.site}/judge",
                time=rfc3339(now),
            ),
        )
    finally:
        await outbox.close()
    word = verdict_word(decision)
    effect = "it settles the stop, if it is the first" if decision.divert != Divert.NONE else "kept as a label"
    print(f"{verdict.value} by {associate_id} for unit {decision.unit_id} ({word}): {effect}")
