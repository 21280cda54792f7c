"""Who may go on: every exchange of a simulated process with the outside waits here until the schedule lets it.

Between two turns nothing of any process is under way, so a seed decides the order of everything, and a process can be
ended between any two steps.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from budget.link import Argument, RedisLink
from schemas.faults import Retryable
from streams.fault_points import FaultPoint

T = TypeVar("T")
QUIET_ROUNDS: Final = 3  # of the event loop in which nothing was ready: a timer of 0 s needs one, what it wakes another


class Killed(BaseException):
    """What ends a simulated process; no handler can catch it as an error."""


class Fate(enum.Enum):
    """What becomes of a request or of its answer."""

    ARRIVES = "arrives"
    LOST = "lost"  # the caller hears that the other side is away
    LATE = "late"  # the same, and the request arrives later


@dataclass(slots=True, eq=False)
class Life:
    """One process from its start to its end. `dies_at` is the point that ends it, at its `passes_left`-th pass."""

    name: str
    dies_at: FaultPoint | None = None
    passes_left: int = 1
    ended: bool = False

    def pass_by(self, point: FaultPoint) -> bool:
        """Note that the process came to a point; return whether it dies there."""
        if point is self.dies_at:
            self.passes_left -= 1
        return point is self.dies_at and self.passes_left <= 0


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)  # of the process whose code is running


@dataclass(slots=True, eq=False)
class Turn:
    """A step that waits to be let go. `act` is what it asks of the outside, None for an answer on its way back."""

    life: Life
    what: str
    act: Callable[[], Awaitable[object]] | None
    go: asyncio.Future[Fate]


@dataclass(slots=True)
class Turns:
    """All waiting steps, and the requests of callers that no longer listen."""

    waiting: list[Turn] = field(default_factory=list)
    in_flight: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    _outside: int = 0

    async def exchange(self, what: str, act: Callable[[], Awaitable[T]], away: Retryable) -> T:
        """Do `act` when the schedule says so; answer when it says so, or raise `away` where it has that in mind.

        Called by no simulated process it is done at once.
        """
        life = LIFE.get()
        if life is None:
            return await act()
        fate = await self._turn(life, what, act)
        if fate is Fate.LATE:
            self.in_flight.append(act)
        if fate is not Fate.ARRIVES:
            raise away
        self._outside += 1
        try:
            answer = await act()
        finally:
            self._outside -= 1
        if await self._turn(life, f"answer to {what}", None) is not Fate.ARRIVES:
            raise away
        return answer

    async def pause(self, what: str) -> None:
        """Wait for a turn without asking anything of the outside."""
        if (life := LIFE.get()) is not None:
            await self._turn(life, what, None)

    async def _turn(self, life: Life, what: str, act: Callable[[], Awaitable[object]] | None) -> Fate:
        if life.ended:
            raise Killed
        turn = Turn(life, what, act, asyncio.get_running_loop().create_future())
        self.waiting.append(turn)
        return await turn.go

    def let_go(self, turn: Turn, fate: Fate = Fate.ARRIVES) -> None:
        """Let one step go on."""
        self.waiting.remove(turn)
        if not turn.go.done():
            turn.go.set_result(fate)

    def die_here(self, point: FaultPoint) -> None:
        """End the process whose code is running if this is where it dies."""
        life = LIFE.get()
        if life is None:
            return
        if not life.ended and life.pass_by(point):
            life.ended = True
            self.deaths[point] += 1
        if life.ended:
            raise Killed

    def end(self, life: Life, *, sent: Callable[[], bool]) -> None:
        """End a process: nothing of it goes on. `sent` says of each of its requests whether it had left already."""
        life.ended = True
        for turn in [turn for turn in self.waiting if turn.life is life]:
            self.waiting.remove(turn)
            if turn.act is not None and sent():
                self.in_flight.append(turn.act)
            turn.go.cancel()

    async def settle(self) -> None:
        """Wait until every task waits for a turn."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        quiet = 0
        while quiet < QUIET_ROUNDS or self._outside:
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1
        self.waiting = [turn for turn in self.waiting if not turn.go.done()]  # those cancelled meanwhile


class TurnedLink(RedisLink):
    """The link to the real decision store, one turn for each request and one for its answer."""

    def __init__(self, url: str, turns: Turns) -> None:
        """Connect lazily to `url`."""
        super().__init__(url, timeout_s=10.0)
        self.turns = turns

    async def command(self, *words: Argument) -> Any:  # noqa: ANN401 - as the real one
        """Run one command in its turn."""
        return await self._in_turn(str(words[0]), lambda: RedisLink.command(self, *words))

    async def commands(self, batch: Sequence[Sequence[Argument]], *, atomic: bool = False) -> list[Any]:
        """Run several commands in one turn."""
        return await self._in_turn("commands", lambda: RedisLink.commands(self, batch, atomic=atomic))

    async def run(self, keys: Sequence[str], arguments: Sequence[Argument]) -> list[Any]:
        """Run the script in its turn."""
        return await self._in_turn(str(arguments[0]), lambda: RedisLink.run(self, keys, arguments))

    async def _in_turn(self, what: str, act: Callable[[], Awaitable[T]]) -> T:
        return await self.turns.exchange(what, act, Retryable("redis", f"{what} was not answered"))
