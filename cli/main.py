"""The `sideline` command: gathers the commands, and turns our errors into one line each."""

from __future__ import annotations

import os
import sys

import typer

from cli.commands import LazyGroup, announce
from schemas.faults import SidelineError
from telemetry.plain import plain_lines

app = typer.Typer(
    cls=LazyGroup,
    name="sideline",
    help="Finds damaged goods on the lines of fulfilment centres, and never floods people with false alarms.",
    epilog="Each command's --help has examples. SIDELINE_DEBUG=1 shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
announce(app)


def main() -> None:
    """Run the command line; exit 1 with the reason and the fix in a line, 130 when interrupted.

    What the parts log goes to standard error: standard output holds a command's answer and nothing else.
    """
    from telemetry import logs  # here, because whoever only imports the list of commands need not wait for it

    logs.configure_command()
    try:
        app()
    except SidelineError as error:
        if os.environ.get("SIDELINE_DEBUG"):
            raise
        sys.stdout.flush()
        print(f"sideline: {plain_lines(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
