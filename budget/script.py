"""Operations of `decision.lua`, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec

from budget.config import BudgetConfig
from budget.keys import SITES, STORE, SiteKeys
from budget.link import Argument, RedisLink
from schemas.faults import Fatal, Poison, Reason

_COMMON_KEYS: Final = ("store", "lines", "config", "budget", "counts", "open", "fusions", "clock")
_REFUSALS: Final = {
    Reason.UNKNOWN_SITE: "site {site} is not registered: `sideline site add {site}`",
    Reason.UNKNOWN_LINE: "line {line} is not registered at site {site}: `sideline site add {site} --line {line}`",
    Reason.ID_REUSED: "{about} was used before with other content",
    Reason.TOO_OLD: "{about} or its record is older than the horizon less an hour",
    Reason.FROM_THE_FUTURE: "{about} says it was made more than an hour after the store's clock",
    Reason.UNKNOWN_CAPTURE: "{about} has no outcome on record at site {site}",
}
_FATAL: Final = {
    "restoring": "site {site} is half restored: run `sideline restore` to its end before deciding",
    "not_restoring": "site {site} is not being restored: begin first",
    "conflict": "capture {about} has one decision on record and another on the topic: this store decided captures "
    "after it lost data; give `sideline restore` an empty store",
}


class Script:
    """The script on one store whose identity is pinned."""

    def __init__(self, link: RedisLink, store_id: str) -> None:
        """Run on `link`; `store_id` may be empty until the store has been initialised."""
        self.link = link
        self.store_id = store_id

    async def verify(self) -> None:
        """Check that this is the pinned store.

        Raises:
            Fatal: naming the fix.
        """
        found = await self.link.command("GET", STORE)
        self.check_id(found.decode() if found else None)

    def check_id(self, found: str | None) -> None:
        """Compare the id found in a store with the pinned one; raises like `verify`."""
        if not self.store_id:
            raise Fatal("no store id is pinned: run `sideline init` and set SIDELINE_STORE_ID to what it prints")
        if found is None:
            raise Fatal(
                f"the decision store is empty, it should be {self.store_id}: it lost its data or the URL points "
                "elsewhere; mend the URL, or rebuild it with `sideline restore`"
            )
        if found != self.store_id:
            raise Fatal(
                f"this is decision store {found}, pinned is {self.store_id}: mend SIDELINE_REDIS_DECISIONS_URL or "
                "SIDELINE_STORE_ID; deciding here would decide captures twice"
            )

    async def ask(
        self,
        keys: SiteKeys,
        operation: str,
        arguments: Sequence[Argument],
        extra: Sequence[str] = (),
        *,
        about: str = "",
        line: str = "",
    ) -> list[Any]:
        """Run an operation and return its answer; `about` and `line` name what a refusal is about.

        Raises:
            Poison: the script refused this message.
            Retryable: `redis`.
            Fatal: this is not the pinned store, it lost keys, or it is being restored.
        """
        answer = await self.link.run(*self.call(keys, operation, arguments, extra))
        await self.check(keys.site, answer, about=about, line=line)
        return answer

    def call(
        self, keys: SiteKeys, operation: str, arguments: Sequence[Argument], extra: Sequence[str] = ()
    ) -> tuple[list[str], list[Argument]]:
        """Return keys and arguments of one operation."""
        every = [*(keys.key(name) for name in _COMMON_KEYS), *extra]
        return every, [operation, keys.prefix, self.store_id, *arguments]

    async def check(self, site: str, answer: list[Any], *, about: str = "", line: str = "") -> None:
        """Raise what an answer refuses."""
        if answer[0] == b"refused":
            await self.refuse(site, Reason(answer[1].decode()), about=about, line=line)
        if answer[0] == b"fatal":
            problem = answer[1].decode()
            if problem == "store":
                self.check_id(answer[2].decode())
            raise Fatal(_FATAL[problem].format(site=site, about=about))

    async def refuse(self, site: str, reason: Reason, *, about: str = "", line: str = "") -> NoReturn:
        """Raise the refusal. An unknown site may be a known one whose keys were lost: that must not pass silently."""
        if reason is Reason.UNKNOWN_SITE:
            await self.verify()
            if await self.link.command("HEXISTS", SITES, site):
                raise Fatal(f"the keys of site {site} are gone from the decision store: run `sideline restore`")
        raise Poison(reason, _REFUSALS[reason].format(site=site, about=about, line=line))


def config_arguments(config: BudgetConfig, *, by: str, why: str) -> list[str]:
    """Return who changes it and why, the configuration, then name and value of each integer the script computes with.

    The first two are JSON. The integers of a line are named `<line>:<field>`.
    """
    arguments = [msgspec.json.encode({"by": by, "why": why}).decode(), msgspec.json.encode(config).decode()]
    for name, value in msgspec.structs.asdict(config).items():
        if name not in {"captures_per_s", "verdict_delay_ms", "lines"}:  # the first two only serve `check`
            arguments += [name, str(value or 0)]
    for line, budget in config.lines.items():
        arguments += [f"{line}:alpha_ppm", str(budget.alpha_ppm), f"{line}:burst_tokens", str(budget.burst_tokens)]
    return arguments
