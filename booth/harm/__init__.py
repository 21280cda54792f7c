"""Damage: which kinds a unit can suffer, how often, and the functions that do it. One family per file.

Every function marks what it damages where it is: on vertices (`Part.harm`) or on the print (`Part.harm_print`).
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from booth.catalogue import SETS, Form, Spec
from booth.harm import apart, dents, marks, missing, openings, spills, tears
from booth.unit import Unit
from schemas.words import DamageKind, Severity


class Wound(Protocol):
    """Anything that damages a unit, minor or major, and marks where."""

    def __call__(self, unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
        """Return the damaged unit."""


WOUNDS: Final[dict[DamageKind, Wound]] = {
    DamageKind.PENETRATION: tears.penetrate,
    DamageKind.DEFORMATION: dents.deform,
    DamageKind.ACTUATION: openings.unseal,
    DamageKind.DECONSTRUCTION: apart.break_up,
    DamageKind.SPILLAGE: spills.spill,
    DamageKind.SUPERFICIAL: marks.scuff,
    DamageKind.MISSING_UNIT: missing.take_out,
}
_WEIGHTS: Final[dict[DamageKind, float]] = {
    DamageKind.PENETRATION: 0.19,
    DamageKind.DEFORMATION: 0.26,
    DamageKind.ACTUATION: 0.18,
    DamageKind.DECONSTRUCTION: 0.18,
    DamageKind.SPILLAGE: 0.12,
    DamageKind.SUPERFICIAL: 0.12,
    DamageKind.MISSING_UNIT: 0.5,
}
_SURFACE: Final = (DamageKind.PENETRATION, DamageKind.DEFORMATION, DamageKind.SUPERFICIAL, DamageKind.SPILLAGE)
# What comes first: print and shape while everything is in place, then what takes parts off, puddles last.
_ORDER: Final = (
    DamageKind.SUPERFICIAL, DamageKind.PENETRATION, DamageKind.MISSING_UNIT, DamageKind.ACTUATION,
    DamageKind.DECONSTRUCTION, DamageKind.DEFORMATION, DamageKind.SPILLAGE,
)  # fmt: skip
MINOR_SHARE: Final = 0.34
_SECOND_KIND: Final = 0.3
_NEVER_APART: Final = frozenset({Form.MAILER, Form.BUBBLE_MAILER, Form.POLY_BAG, Form.WRAPPED_BOX})


def possible(spec: Spec) -> tuple[DamageKind, ...]:
    """List the kinds of damage that a product's form can suffer."""
    never = set()
    if spec.form not in SETS:
        never.add(DamageKind.MISSING_UNIT)
    if spec.form in SETS:
        never.add(DamageKind.ACTUATION)
    if spec.form in _NEVER_APART or spec.form is Form.WRAPPED_SET:
        never.add(DamageKind.DECONSTRUCTION)
    return tuple(kind for kind in WOUNDS if kind not in never)


def choose(spec: Spec, rng: np.random.Generator) -> tuple[tuple[DamageKind, ...], Severity]:
    """Draw one kind, seldom two, that this product can suffer; a third are minor."""
    can = possible(spec)
    weights = np.array([_WEIGHTS[kind] for kind in can])
    first = can[int(rng.choice(len(can), p=weights / weights.sum()))]
    kinds = {first}
    if rng.random() < _SECOND_KIND:
        kinds.add(_SURFACE[int(rng.integers(len(_SURFACE)))])
    severity = Severity.MINOR if rng.random() < MINOR_SHARE else Severity.MAJOR
    return tuple(kind for kind in WOUNDS if kind in kinds), severity


def inflict(unit: Unit, kinds: tuple[DamageKind, ...], severity: Severity, rng: np.random.Generator) -> Unit:
    """Damage a unit by all these kinds."""
    for kind in _ORDER:
        if kind in kinds:
            unit = WOUNDS[kind](unit, rng, major=severity is Severity.MAJOR)
    return unit
