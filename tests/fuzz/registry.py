"""Every target, by family: `family.name`. A family is a module of `tests.fuzz.targets` with its TARGETS."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from tests.fuzz.target import Target

FAMILIES: Final = (
    "messages",
    "headers",
    "pictures",
    "codes",
    "datasets",
    "configuration",
    "stored",
    "records",
)


def find(name: str) -> Target:
    """Import the family of a target and return it. Exits with the names that exist for one that does not."""
    family, _, _ = name.partition(".")
    try:
        known = {target.name: target for target in of_family(family)}
    except ModuleNotFoundError:
        known = {}
    if name not in known:
        sys.exit(f"there is no target {name}; there are {', '.join(known or FAMILIES)}")
    return known[name]


def of_family(family: str) -> tuple[Target, ...]:
    """Return the targets of one family."""
    found: tuple[Target, ...] = importlib.import_module(f"tests.fuzz.targets.{family}").TARGETS
    return found


def everything() -> tuple[Target, ...]:
    """Return all targets; imports most of the project."""
    return tuple(target for family in FAMILIES for target in of_family(family))
