"""The decision store: the one place where a capture gets its outcome and a verdict moves a token."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from budget.config import BudgetConfig
from budget.keys import SITES, STORE, SiteKeys, letter_key
from budget.link import Argument, RedisLink
from budget.records import (
    AssociateState,
    BudgetState,
    ConfigChange,
    LineState,
    Record,
    Request,
    Settlement,
    ThresholdState,
)
from budget.redrives import GRANT_MS, Answer, Permission, Rejected, Resent
from budget.rejections import RejectedCapture
from budget.restore import Plan, Restored, fingerprint, restore_site
from budget.script import Script, config_arguments
from budget.warm import WarmStart
from schemas.faults import Fatal, Poison, Reason
from schemas.messages import Disposition
from schemas.words import ID_PATTERN, Outcome, Verdict

_PLAIN_COUNTS: Final = frozenset(
    field for field in BudgetState.__dataclass_fields__ if BudgetState.__dataclass_fields__[field].default == 0
) - {"open_stops"}


class DecisionStore:
    """Outcomes and budgets of all sites, in one Redis that is never allowed to forget silently.

    `store_id` is the pinned identity of that Redis: every call that finds another one raises `Fatal`.
    """

    def __init__(self, url: str, *, store_id: str, timeout_s: float = 2.0, script: str | None = None) -> None:
        """Connect lazily to `url`; `script` replaces `decision.lua` in tests that plant a mistake in it."""
        self._link = RedisLink(url, timeout_s=timeout_s, script=script)
        self._script = Script(self._link, store_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    # Which store this is

    async def initialise(self) -> str:
        """Return the store's id, making one for a store that has none.

        Raises:
            Fatal: if an id is pinned and this store has another or none: the wrong store, or one that lost its data.
        """
        if self._script.store_id:
            await self.verify()
        else:
            await self._link.command("SET", STORE, str(uuid.uuid4()), "NX")
            self._script.store_id = (await self._link.command("GET", STORE)).decode()
        return self._script.store_id

    async def verify(self) -> None:
        """Check that this is the pinned store.

        Raises:
            Fatal: naming the fix.
        """
        await self._script.verify()

    # Sites and their configuration

    async def register(self, site: str, lines: Sequence[str], config: BudgetConfig) -> None:
        """Make a site known with a full burst of tokens, or add lines to a known one and change nothing else.

        Raises:
            Fatal: if the configuration cannot hold, naming the number it needs.
        """
        keys = SiteKeys(site)
        await self.verify()
        for name in (site, *lines):
            if not re.match(ID_PATTERN, name):
                raise Fatal(f"{name!r} cannot name a site or a line: it needs to match {ID_PATTERN}")
        if await self._link.command("HEXISTS", SITES, site) and not await self._link.command(
            "EXISTS", keys.key("budget")
        ):
            raise Fatal(f"the keys of site {site} are gone; a fresh budget would hide that: run `sideline restore`")
        arguments = (str(len(lines)), *lines, *config_arguments(config.check(), by="sideline", why="registered"))
        await self._script.ask(keys, "register", arguments)
        await self._link.command("HSETNX", SITES, site, str(time.time_ns() // 1_000_000))

    async def sites(self) -> dict[str, frozenset[str]]:
        """Return every registered site with its lines."""
        names = sorted(name.decode() for name in await self._link.command("HKEYS", SITES))
        if not names:
            return {}
        lines = await self._link.commands([("SMEMBERS", SiteKeys(name).key("lines")) for name in names])
        return {name: frozenset(line.decode() for line in found) for name, found in zip(names, lines, strict=True)}

    async def configure(self, site: str, config: BudgetConfig, *, by: str = "", why: str = "") -> int:
        """Put a configuration in force and return its version; the one already in force keeps its version.

        Lowering a burst destroys balance at once, raising it grants nothing. `by` and `why` are kept with the version.

        Raises:
            Fatal: if it cannot hold, naming the number it needs, or names a line that is not registered.
        """
        keys = SiteKeys(site)
        if config.check().lines:
            known = {line.decode() for line in await self._link.command("SMEMBERS", keys.key("lines"))}
            if strange := sorted(config.lines.keys() - known):
                raise Fatal(f"site {site} has no line {strange[0]}; its lines are {', '.join(sorted(known))}")
        answer = await self._script.ask(keys, "configure", config_arguments(config, by=by, why=why))
        return int(answer[1])

    async def changes(self, site: str) -> list[ConfigChange]:
        """Return every version of a site's configuration that its store has seen, oldest first."""
        keys = SiteKeys(site)
        configs, changes = await self._link.commands(
            [("HGETALL", keys.key("configs")), ("HGETALL", keys.key("changes"))]
        )
        found = []
        for version, raw in sorted(configs.items(), key=lambda item: int(item[0])):
            about = msgspec.json.decode(changes.get(version, b"{}"))
            found.append(
                ConfigChange(
                    int(version),
                    int(about.get("at_ms", 0)),
                    str(about.get("by", "")),
                    str(about.get("why", "")),
                    msgspec.json.decode(raw, type=BudgetConfig),
                )
            )
        return found

    async def associates(self, site: str) -> dict[str, AssociateState]:
        """Return what each associate's verdicts said lately."""
        raw = _integers(await self._link.command("HGETALL", SiteKeys(site).key("associates")))
        told: dict[str, dict[str, int]] = {}
        for name, value in raw.items():
            associate, _, what = name.rpartition(":")
            told.setdefault(associate, {})[what] = value
        return {associate: AssociateState(**counts) for associate, counts in sorted(told.items())}

    async def warm(self, site: str, fusion_version: str, start: WarmStart) -> bool:
        """Give a fusion version its first histogram; False if it has one already."""
        keys = SiteKeys(site)
        arguments: list[Argument] = [fusion_version, *start.arguments()]
        extra = (keys.threshold(fusion_version), keys.scores(fusion_version))
        answer = await self._script.ask(keys, "warm", arguments, extra)
        return bool(answer[1] == b"1")

    # Outcomes

    async def look(self, site: str, capture_id: str) -> Record | None:
        """Return the outcome on record, if there is one; writes nothing."""
        keys = SiteKeys(site)
        found, values = await self._link.commands(
            [
                ("GET", keys.key("store")),
                ("HMGET", keys.outcome(capture_id), "digest", "decision", "sidelined", "grant"),
            ]
        )
        if found is None or values[1] is None:
            return None
        self._script.check_id(found.decode())
        return _record(capture_id, values[:3], created=False, grant=int(values[3] or 0))

    async def decide(self, request: Request) -> Record:
        """Give a capture its one outcome, or return the one it has. Repeating a call is safe.

        Raises:
            Poison: `id_reused`, `unknown_site`, `unknown_line`, `too_old`, `from_the_future`.
            Retryable: `redis`.
            Fatal: this is not the pinned store, or its keys are damaged.
        """
        keys = SiteKeys(request.site)
        extra = (
            keys.outcome(request.capture_id),
            keys.unit(request.unit_id),
            keys.last(request.unit_id),
            keys.threshold(request.fusion_version),
            keys.scores(request.fusion_version),
        )
        arguments: tuple[Argument, ...] = (
            request.line,
            request.capture_id,
            request.unit_id,
            request.digest,
            request.append_ms,
            request.decide_by_ms,
            request.ask.value,
            request.reason,
            "" if request.score is None else request.score,
            int(request.major),
            int(request.identity_conflict),
            request.audit_draw_ppm,
            request.fusion_version,
            request.decision_head,
            request.sidelined_head,
            request.recheck_draw_ppm,
            request.redrive,
        )
        answer = await self._script.ask(keys, "decide", arguments, extra, about=request.capture_id, line=request.line)
        return _record(request.capture_id, answer[1:], created=answer[0] == b"created")

    async def redrive(self, site: str, rejected: Rejected, *, for_ms: int = GRANT_MS) -> Permission:
        """Permit one more decision of a rejected capture, for a while. Repeating a call is safe.

        Raises:
            Poison: `unknown_site`.
            Retryable: `redis`.
            Fatal: this is not the pinned store, or its keys are damaged.
        """
        keys = SiteKeys(site)
        extra, arguments = (keys.outcome(rejected.capture_id),), rejected.arguments(for_ms)
        _, answer, redrives = await self._script.ask(keys, "redrive", arguments, extra)
        return Permission(Answer(answer.decode()), int(redrives))

    async def resent(self, letter: str) -> Resent | None:
        """Return how often a dead letter without a recorded outcome was sent again; `letter` names its place."""
        await self.verify()
        times, at_ms = await self._link.command("HMGET", letter_key(letter), "times", "at_ms")
        return None if times is None else Resent(int(times), int(at_ms))

    async def note_resent(self, letter: str, *, keep_ms: int) -> None:
        """Remember for `keep_ms` that a dead letter without a recorded outcome was sent again."""
        key, now_ms = letter_key(letter), time.time_ns() // 1_000_000
        changes = [("HINCRBY", key, "times", 1), ("HSET", key, "at_ms", now_ms), ("PEXPIRE", key, keep_ms)]
        await self._link.commands(changes, atomic=True)

    async def settle(self, disposition: Disposition) -> Settlement:
        """Let a verdict settle the tokens of its capture or unit, once; a redelivery gets the first answer again.

        Raises:
            Poison: `unknown_site`, `unknown_capture`, `unknown_verdict`, `no_subject`, `id_reused`.
            Retryable: `redis`.
            Fatal: this is not the pinned store, or its keys are damaged.
        """
        if disposition.verdict is Verdict.UNKNOWN:
            raise Poison(Reason.UNKNOWN_VERDICT, f"disposition {disposition.disposition_id} has a verdict unknown here")
        keys = SiteKeys(disposition.site)
        if disposition.capture_id is not None:
            mode, subject, subject_key, last_key = "capture", disposition.capture_id, "outcome:", "unit:"
        elif disposition.unit_id is not None:
            mode, subject, subject_key, last_key = "unit", disposition.unit_id, "unit:", "last:"
        else:
            raise Poison(Reason.NO_SUBJECT, f"disposition {disposition.disposition_id} names neither capture nor unit")
        extra = (
            keys.verdict(disposition.disposition_id),
            keys.key(subject_key + subject),
            keys.key(last_key + subject),
        )
        arguments = (fingerprint(disposition), disposition.verdict.value, mode, subject, disposition.associate_id)
        answer = await self._script.ask(keys, "settle", arguments, extra, about=subject)
        _, state, returned, spent, *captures = answer[1].decode().split(" ")
        return Settlement(state=state, returned=int(returned), spent=int(spent), captures=tuple(captures))

    async def sweep(self, site: str, *, limit: int = 1_000) -> int:
        """Expire up to `limit` stops that no one judged in time, and return how many. Calls do this by themselves."""
        return int((await self._script.ask(SiteKeys(site), "sweep", (limit,)))[1])

    async def restore(
        self,
        site: str,
        lines: Sequence[str],
        config: BudgetConfig,
        *,
        decisions: Iterable[bytes],
        sidelined: Iterable[bytes],
        dispositions: Iterable[bytes],
        rejected: Iterable[RejectedCapture] = (),
    ) -> Restored:
        """Rebuild a site's outcomes, open stops and `seq` from the values on its topics; balances restart at zero.

        Rejections stand on no topic but the dead one: `rejected` tells them.

        For an empty store, to which the pinned id is given again, or one that fell behind its topics. Can be run again
        when it was interrupted; until it ends the site decides nothing.

        Raises:
            Fatal: another store, or a store that decided a capture differently from its topic.
        """
        plan = Plan(config.check(), sidelined=sidelined, dispositions=dispositions)
        return await restore_site(self._script, site, lines, plan, decisions, rejected)

    # Looking at a budget

    async def sequence(self, site: str) -> int:
        """Return the last sequence number given out at a site, 0 if there is none."""
        return int(await self._link.command("HGET", SiteKeys(site).key("budget"), "seq") or 0)

    async def state(self, site: str) -> BudgetState:
        """Return one consistent picture of a site's budget.

        Raises:
            Poison: `unknown_site`.
        """
        keys = SiteKeys(site)
        found, config, budget, counts, stops, fusions, lines = await self._link.commands(
            [
                ("GET", keys.key("store")),
                ("HMGET", keys.key("config"), "json", "version"),
                ("HGETALL", keys.key("budget")),
                ("HGETALL", keys.key("counts")),
                ("ZCARD", keys.key("open")),
                ("SMEMBERS", keys.key("fusions")),
                ("HGETALL", keys.key("line_budgets")),
            ],
            atomic=True,
        )
        if found is None:
            await self._script.refuse(site, Reason.UNKNOWN_SITE)
        self._script.check_id(found.decode())
        if config[0] is None or b"seq" not in budget:
            raise Fatal(f"site {site} has lost its budget or its configuration: run `sideline restore`")
        tokens = _integers(budget)
        known = {name: value for name, value in _integers(counts).items() if name in _PLAIN_COUNTS}
        return BudgetState(
            site=site,
            config=msgspec.json.decode(config[0], type=BudgetConfig),
            config_version=int(config[1]),
            seq=tokens["seq"],
            balance=tokens["balance"],
            pending=tokens["pending"],
            identity_balance=tokens["identity_balance"],
            identity_pending=tokens["identity_pending"],
            diverts_balance=tokens["diverts"],
            thresholds=await self._thresholds(keys, sorted(name.decode() for name in fusions)),
            open_stops=stops,
            lines=_lines(_integers(lines)),
            **known,
        )

    async def configuration(self, site: str, version: int) -> BudgetConfig | None:
        """Return the configuration a decision was taken under."""
        found = await self._link.command("HGET", SiteKeys(site).key("configs"), str(version))
        return msgspec.json.decode(found, type=BudgetConfig) if found else None

    async def _thresholds(self, keys: SiteKeys, fusions: list[str]) -> dict[str, ThresholdState]:
        if not fusions:
            return {}
        fields = ("threshold", "location", "scale", "captures", "moves")
        found = await self._link.commands([("HMGET", keys.threshold(name), *fields) for name in fusions])
        return {
            name: ThresholdState(*(int(value) for value in values))
            for name, values in zip(fusions, found, strict=True)
            if values[0] is not None  # a version no one scores with any more has expired
        }


class _Tail(msgspec.Struct):
    """What a record says of itself outside the bytes, read from the bytes."""

    outcome: Outcome
    reason: str
    decided_at: str
    rejections: list[msgspec.Raw] = []


def _record(capture_id: str, values: Sequence[Any], *, created: bool, grant: int = 0) -> Record:
    digest, decision, sidelined = values
    tail = msgspec.json.decode(decision, type=_Tail)
    return Record(
        capture_id=capture_id,
        outcome=tail.outcome,
        reason=tail.reason,
        digest=digest.decode(),
        decision=decision,
        sidelined=sidelined or None,
        decided_at=tail.decided_at,
        created=created,
        redrives=len(tail.rejections),
        grant=grant,
    )


def _lines(fields: dict[str, int]) -> dict[str, LineState]:
    told: dict[str, dict[str, int]] = {}
    for name, value in fields.items():
        line, _, what = name.rpartition(":")
        told.setdefault(line, {})[what] = value
    return {line: LineState(**numbers) for line, numbers in sorted(told.items())}


def _integers(fields: dict[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in fields.items()}
