"""Moves references through their lives by the rules: the curator's arm, between the stored lives and the pure rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from gallery.aging import Patience, age
from gallery.entry import Vectors
from gallery.facts import State
from gallery.index import GalleryIndex
from gallery.lives import Cast, Lives, Move
from gallery.rules import Neighbour, Rules, Ruling, missing, rule
from gallery.seen import Look, Seen, Sighting
from gallery.store import GalleryStore
from gallery.thinning import thin

COHORT_SIZE: Final = 8  # other products, the most alike: those that a new reference could be taken for
ATTEMPTS: Final = 3  # where somebody else changed the product meanwhile; the next verdict tries again
_log = structlog.get_logger(__name__)


class Promoter:
    """Promotes, thins and ages references. Methods raise `Retryable` of `gallery` while Redis is away."""

    def __init__(
        self, store: GalleryStore, lives: Lives, index: GalleryIndex, *, rules: Rules, patience: Patience
    ) -> None:
        """Take the gallery; `index` is kept current by somebody else and chooses the cohort."""
        self._store = store
        self._lives = lives
        self._index = index
        self._rules = rules
        self._patience = patience

    async def consider(self, product_id: str) -> Ruling:
        """Promote a product's candidates if the rules say so, and return what they said."""
        ruling = Ruling((), "somebody else changes this product")
        for _ in range(ATTEMPTS):
            cast = await self._lives.of(product_id)
            ruling, done = await self._consider(cast)
            if done:
                break
        _log.info("candidates considered", product_id=product_id, why=ruling.why, enrol=ruling.enrol, **ruling.figures)
        return ruling

    async def tidy(self, product_id: str) -> tuple[str, ...]:
        """Retire what a product has too much of, and return it."""
        cast = await self._lives.of(product_id)
        held = cast.standing(State.TRUSTED, State.FADING)
        if len(held) <= self._rules.max_references:
            return ()
        surplus = await asyncio.to_thread(thin, await self._looks(held), self._rules)
        now_ms = _now_ms()
        return surplus if await self._lives.move(cast, _retired(cast, surplus, now_ms), at_ms=now_ms) else ()

    async def age(self) -> dict[str, State]:
        """Let the references of all products that are in motion fade, retire or recover; candidates expire."""
        changed: dict[str, State] = {}
        for product_id in await self._lives.moving():
            changed |= await self._age(await self._lives.of(product_id))
        return changed

    async def _consider(self, cast: Cast) -> tuple[Ruling, bool]:
        """Return a ruling, and whether it stands: it does not if the product changed while it was made."""
        if cast.held:
            return Ruling((), f"held back: {cast.held}"), True
        seen = self._counted(cast)
        if (why := missing([each for each in seen.values() if each.cleared], self._rules)) is not None:
            return Ruling((), why), True
        looks = {each.reference_id: each for each in await self._looks(seen)}
        sightings = [Sighting(looks[key], each) for key, each in seen.items() if key in looks]
        references = await self._looks(cast.standing(State.TRUSTED, State.FADING))
        cohort = await self._cohort(cast.product_id, seen)
        ruling = await asyncio.to_thread(rule, sightings, references, cohort, self._rules)
        if not ruling.enrol:
            return ruling, True
        now_ms = _now_ms()
        beside = tuple(sorted(key for key, each in seen.items() if each.cleared))
        moves = []
        for key in ruling.enrol:
            facts = cast.facts[key].moved(State.TRUSTED, at_ms=now_ms, why=ruling.why)
            facts = msgspec.structs.replace(facts, beside=beside, figures=ruling.figures)
            moves.append(Move(key, facts, seen[key]))
        surplus = await asyncio.to_thread(thin, [*(looks[key] for key in ruling.enrol), *references], self._rules)
        moves += _retired(cast, (each for each in surplus if each not in ruling.enrol), now_ms)
        return ruling, await self._lives.move(cast, moves, at_ms=now_ms)

    def _counted(self, cast: Cast) -> dict[str, Seen]:
        """Return the judged captures that count: not too old, of this model, and candidates if they were cleared."""
        oldest_ms = _now_ms() - round(1000 * self._rules.window_s)
        return {
            key: seen
            for key, seen in cast.seen.items()
            if seen.at_ms >= oldest_ms
            and seen.model_version == self._index.model_version
            and (not seen.cleared or (key in cast.facts and cast.facts[key].state is State.CANDIDATE))
        }

    async def _looks(self, reference_ids: Iterable[str]) -> list[Look]:
        """Return what the store has the patch maps of, in the order asked for."""
        names = list(reference_ids)
        maps = await self._store.patches(names, model_version=self._index.model_version)
        return [Look(each, maps[each]) for each in names if each in maps]

    async def _cohort(self, product_id: str, seen: Mapping[str, Seen]) -> list[Neighbour]:
        """Return the products that captures of this one could be taken for."""
        alike: dict[str, float] = {}
        for vectors in _vectors(seen.values()):
            for near in self._index.nearest(vectors, k=COHORT_SIZE + 1):
                if near.product_id != product_id:
                    alike[near.product_id] = max(alike.get(near.product_id, -1.0), near.similarity)
        chosen = sorted(alike, key=lambda each: (-alike[each], each))[:COHORT_SIZE]
        cohort = []
        for each in chosen:
            cleared = [key for key, other in (await self._lives.of(each)).seen.items() if other.cleared]
            references = await self._looks(self._index.references_of(each)[: self._rules.max_references])
            cohort.append(Neighbour(each, references, await self._looks(cleared)))
        return cohort

    async def _age(self, cast: Cast) -> dict[str, State]:
        now_ms = _now_ms()
        held = cast.standing(State.TRUSTED, State.FADING)
        compared, last = await self._lives.compared(cast.product_id, list(held))
        if unmarked := {each: cast.product_id for each in held if each not in last}:
            await self._lives.tally(unmarked, {cast.product_id: 0}, at_ms=now_ms)
        changes = age(held, last, compared=compared, now_ms=now_ms, patience=self._patience)
        moves = [
            Move(key, cast.facts[key].moved(state, at_ms=now_ms, why=why)) for key, (state, why) in changes.items()
        ]
        candidates = cast.standing(State.CANDIDATE)
        oldest_ms = now_ms - round(1000 * self._rules.window_s)
        expired = [key for key in candidates if key not in cast.seen or cast.seen[key].at_ms < oldest_ms]
        moves += [Move(key, None) for key in expired]
        if moves and not await self._lives.move(cast, moves, at_ms=now_ms):
            return {}
        if len(candidates) == len(expired) and len(held) <= 1:
            await self._lives.at_rest(cast.product_id)
        return {key: state for key, (state, _) in changes.items()}


def _retired(cast: Cast, reference_ids: Iterable[str], now_ms: int) -> list[Move]:
    why = "near-duplicate, or more than a product may have"
    return [Move(each, cast.facts[each].moved(State.RETIRED, at_ms=now_ms, why=why)) for each in reference_ids]


def _vectors(seen: Iterable[Seen]) -> Sequence[Vectors]:
    return [each.reference.unpack() for each in seen if each.cleared]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
