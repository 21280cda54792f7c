"""The table of commands: what `sideline --help` shows, and which module is imported once one is called.

Only that module is imported: the help of all commands must not cost the imports of all.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperGroup

_LINE: Final = "The line"
_SITES: Final = "Sites and budgets"
_RECORDS: Final = "What it decided"
_LAB: Final = "The laboratory"
_PARTS: Final = "The parts on this machine"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its module's `register` adds it under `name`, and its help begins with `line`."""

    name: str
    module: str
    panel: str
    line: str


COMMANDS: Final = (
    Entry("run", "cli.run", _LINE, "Play captures through the whole line, watch it live, and check its promises."),
    Entry("inspect", "cli.inspect", _LINE, "Send a folder of pictures through the line: a row per picture."),
    Entry("init", "cli.site", _SITES, "Give the decision store its id and make the topics; idempotent."),
    Entry("site", "cli.site", _SITES, "Register sites, and list them."),
    Entry("budget", "cli.site", _SITES, "Show a site's budget, or change its configuration while the line runs."),
    Entry(
        "associates", "cli.site", _SITES, "Show how often each associate confirms a stop, and whose verdicts stand out."
    ),
    Entry("acls", "cli.acls", _SITES, "Show who may do what on the broker and in the stores, or put it in force."),
    Entry("restore", "cli.restore", _SITES, "Rebuild a site's decision store from its topics after it lost data."),
    Entry("tail", "cli.tail", _RECORDS, "Watch what the line decides, sidelines, is told by people, or refuses."),
    Entry("explain", "cli.explain", _RECORDS, "Say in words and as a picture why a capture was answered as it was."),
    Entry("dead", "cli.dead.command", _RECORDS, "Look at what could not be processed, and send it again."),
    Entry("replay", "cli.replay.command", _RECORDS, "Make decisions again from their records, also with changes."),
    Entry("gallery", "cli.gallery", _RECORDS, "Look at references; withdraw one, or let one in by hand."),
    Entry("judge", "cli.judge", _RECORDS, "Give a person's verdict on a capture."),
    Entry("images", "cli.images", _RECORDS, "Delete pictures that nothing needs any more."),
    Entry("booth", "cli.booth", _LAB, "Look at the photo booth's pictures, and write data sets of them."),
    Entry("dataset", "cli.dataset", _LAB, "Check a data set in plain words, or make one of what people judged."),
    Entry("train", "cli.train", _LAB, "Train a classifier, an embedding or the fusion from a data set or the booth."),
    Entry("evaluate", "cli.evaluate", _LAB, "Measure models on captures they never saw, and write a report."),
    Entry("score", "cli.score", _LAB, "Give each picture its log-odds of damage."),
    Entry("identify", "cli.identify", _LAB, "Name the product in each picture by its looks."),
    Entry("read-codes", "cli.read_codes", _LAB, "Read the codes in pictures."),
    Entry("up", "cli.parts", _PARTS, "Start Kafka, Redis, Triton and the workers; what runs already stays as it is."),
    Entry("down", "cli.parts", _PARTS, "Stop everything that `up` started; data stays."),
    Entry("status", "cli.parts", _PARTS, "Show every part: does it run, since when, is it healthy."),
    Entry("logs", "cli.parts", _PARTS, "Print the end of a part's log."),
    Entry("doctor", "cli.doctor", _PARTS, "Examine the machine and the line, and say how to mend what is wrong."),
)


class LazyGroup(TyperGroup):
    """A group whose commands are place-holders with a name and a line, until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - typer's
        """Find the command that was typed, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = next((entry for entry in COMMANDS if entry.name == name), None)
        return name, command if entry is None else load(entry), rest


def load(entry: Entry) -> Any:  # noqa: ANN401 - typer hides its own command type
    """Import the command's module and return the command."""
    alone = typer.Typer()
    importlib.import_module(entry.module).register(alone)
    return typer.main.get_group(alone).commands[entry.name]


def announce(app: typer.Typer, entries: Sequence[Entry] = COMMANDS) -> None:
    """Add a place-holder for each command."""
    for entry in entries:
        app.command(entry.name, help=entry.line, rich_help_panel=entry.panel)(_place_holder)


def _place_holder() -> None:
    """Stand for a command that was not imported."""
