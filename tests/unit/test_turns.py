"""Whose turn it is: the newest of a line, lines in rotation, suspects one at a time, nobody forgotten."""

from __future__ import annotations

import asyncio

from workers.turns import Turns


class Party:
    """Captures that want a turn, in the order in which they ask, and the order in which they got it."""

    def __init__(self, turns: Turns) -> None:
        """Take the turns."""
        self.turns = turns
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.may_end = asyncio.Event()
        self.most = 0
        self._at_work = 0

    async def ask(self, name: str, *, source: str = "a", made_at_ms: int = 0, begun: bool = False) -> None:
        """Ask for a turn and hold it until everybody may end."""
        self.tasks[name] = asyncio.create_task(self._hold(name, source, made_at_ms, begun=begun))
        await asyncio.sleep(0)

    async def _hold(self, name: str, source: str, made_at_ms: int, *, begun: bool) -> None:
        async with self.turns.turn(source, made_at_ms=made_at_ms, begun=begun):
            self.order.append(name)
            self._at_work += 1
            self.most = max(self.most, self._at_work)
            await self.may_end.wait()
            await asyncio.sleep(0)
            self._at_work -= 1

    async def end(self) -> list[str]:
        """Let everybody end and return the order."""
        self.may_end.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        return self.order


def nobody(_source: str) -> bool:
    """Suspect nobody."""
    return False


class TestTurns:
    """`Turns`."""

    async def test_no_more_than_allowed_at_once(self) -> None:
        """However many ask; and all of them get their turn."""
        party = Party(Turns(3, is_suspect=nobody))
        for number in range(20):
            await party.ask(str(number))
        assert len(await party.end()) == 20
        assert party.most == 3

    async def test_the_newest_of_a_line_is_next(self) -> None:
        """By when they were made, not by when they asked."""
        party = Party(Turns(1, is_suspect=nobody))
        await party.ask("first", made_at_ms=5)
        for name, made_at_ms in (("old", 1), ("new", 9), ("middle", 4)):
            await party.ask(name, made_at_ms=made_at_ms)
        assert await party.end() == ["first", "new", "middle", "old"]

    async def test_what_was_begun_goes_first(self) -> None:
        """Before newer ones of its line on which no work was done yet; not before those of another line."""
        party = Party(Turns(1, is_suspect=nobody))
        await party.ask("first", made_at_ms=5)
        for name, made_at_ms in (("newest", 9), ("begun", 1), ("begun later", 2), ("new", 8)):
            await party.ask(name, made_at_ms=made_at_ms, begun=name.startswith("begun"))
        await party.ask("quiet", source="b")
        assert await party.end() == ["first", "begun later", "quiet", "begun", "newest", "new"]

    async def test_lines_take_turns(self) -> None:
        """One capture of a quiet line waits for one of a busy line, not for all."""
        party = Party(Turns(1, is_suspect=nobody))
        for number in range(6):
            await party.ask(f"busy {number}", source="busy", made_at_ms=number)
        await party.ask("quiet", source="quiet")
        assert (await party.end()).index("quiet") <= 2

    async def test_suspects_have_one_turn_among_them(self) -> None:
        """The other turns stay free for everybody else."""
        party = Party(Turns(3, is_suspect=lambda source: source.startswith("bad")))
        for number in range(4):
            await party.ask(f"{number}", source=f"bad {number % 2}")
        await party.ask("good", source="good")
        assert party.order == ["0", "good"]
        assert sorted(await party.end()) == ["0", "1", "2", "3", "good"]

    async def test_who_gives_up_is_passed_over(self) -> None:
        """Whether it waited or had just been given its turn."""
        party = Party(Turns(1, is_suspect=nobody))
        for number in range(4):
            await party.ask(str(number), made_at_ms=number)
        party.tasks["3"].cancel()
        await asyncio.sleep(0)
        party.may_end.set()
        await party.tasks["0"]
        party.tasks["2"].cancel()  # its turn may have come already
        assert "1" in await party.end()
        await party.ask("later")
        assert (await party.end())[-1] == "later"
