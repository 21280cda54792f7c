"""`sideline doctor`: examines the machine and the line."""

from __future__ import annotations

import os
from typing import Final

import typer
from rich.text import Text

from cli.here import here
from cli.screen import Screen
from deploy.local import doctor as examination
from deploy.local.doctor import Verdict
from deploy.local.folder import default_run_dir
from deploy.local.parts import Parts
from schemas.faults import SidelineError

_STYLES: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(doctor)


_EXAMPLES = """Examples:

  sideline doctor

  sideline doctor && sideline run --captures 500
"""


def doctor() -> None:
    """Examine the machine and the line, and say how to mend what is wrong.

    Asks every model for a real inference. The exit status is 1 if anything failed.
    """
    console = Screen()
    parts = Parts(default_run_dir(os.environ))
    worst = Verdict.OK
    for finding in examination.examine(os.environ, parts, _store_id()):
        line = Text.assemble(
            (f"{finding.verdict:<5}", _STYLES[finding.verdict]), f"{finding.subject:<24} ", finding.said
        )
        if finding.fix:
            line.append(f"\n      -> {finding.fix}", "bold")
        console.print(line, soft_wrap=True, highlight=False)
        worst = Verdict.FAIL if Verdict.FAIL in {worst, finding.verdict} else finding.verdict
    raise typer.Exit(1 if worst is Verdict.FAIL else 0)


def _store_id() -> str:
    try:
        return here().store_id
    except SidelineError:
        return ""  # nothing was started yet; the examination says so
