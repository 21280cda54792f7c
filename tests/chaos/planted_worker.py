"""A worker with a mistake planted in it: `python -m tests.chaos.planted_worker inspector debit-again`.

The worker may be named as a part is (`inspector-1`), and the mistake by the environment (SIDELINE_PLANTED_BUG), for
whoever starts parts with settings only. Everything else is the worker's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from streams.host import main as serve
from tests.chaos.core.planted import Bug, plant
from workers import inspector


def main(arguments: Sequence[str]) -> None:
    """Plant the mistake and work until told to stop."""
    name, *rest = arguments or [""]
    bug = rest[0] if rest else os.environ.get("SIDELINE_PLANTED_BUG", "")
    if name.partition("-")[0] != "inspector" or bug not in set(Bug):
        sys.exit(f"usage: python -m tests.chaos.planted_worker inspector BUG; the bugs are {', '.join(Bug)}")
    with plant(Bug(bug)):
        serve("inspector", inspector.opening)


if __name__ == "__main__":
    main(sys.argv[1:])
