"""Which damage a unit gets: kinds that its packaging allows, severity, and the functions that do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from booth import openings, wounds
from booth.catalogue import Packaging
from booth.unit import Unit
from schemas.words import DamageKind, Severity


class Wound(Protocol):
    """Anything that damages a unit, minor or major, and marks where."""

    def __call__(self, unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
        """Return the damaged unit."""


WOUNDS: Final[dict[DamageKind, Wound]] = {
    DamageKind.PENETRATION: wounds.penetrate,
    DamageKind.DEFORMATION: wounds.deform,
    DamageKind.ACTUATION: openings.unseal,
    DamageKind.DECONSTRUCTION: openings.break_up,
    DamageKind.SPILLAGE: openings.spill,
    DamageKind.SUPERFICIAL: wounds.scuff,
    DamageKind.MISSING_UNIT: wounds.take_out,
}
_WEIGHTS: Final[dict[DamageKind, float]] = {
    DamageKind.PENETRATION: 0.2,
    DamageKind.DEFORMATION: 0.3,
    DamageKind.ACTUATION: 0.13,
    DamageKind.DECONSTRUCTION: 0.1,
    DamageKind.SPILLAGE: 0.12,
    DamageKind.SUPERFICIAL: 0.15,
    DamageKind.MISSING_UNIT: 0.35,
}
_SURFACE: Final = (DamageKind.PENETRATION, DamageKind.DEFORMATION, DamageKind.SUPERFICIAL, DamageKind.SPILLAGE)


def choose(packaging: Packaging, rng: np.random.Generator) -> tuple[tuple[DamageKind, ...], Severity]:
    """Draw one kind, seldom two, that this packaging can suffer; a third are minor."""
    possible = [kind for kind in WOUNDS if _can(packaging, kind)]
    weights = np.array([_WEIGHTS[kind] for kind in possible])
    first = possible[int(rng.choice(len(possible), p=weights / weights.sum()))]
    kinds = {first}
    if rng.random() < 0.18:
        kinds.add(_SURFACE[int(rng.integers(len(_SURFACE)))])
    severity = Severity.MINOR if rng.random() < 0.35 else Severity.MAJOR
    return tuple(kind for kind in WOUNDS if kind in kinds), severity


def inflict(unit: Unit, kinds: tuple[DamageKind, ...], severity: Severity, rng: np.random.Generator) -> Unit:
    """Damage a unit: what changes its print first, what takes its lid off last."""
    order: list[DamageKind] = sorted(kinds, key=lambda kind: kind not in _SURFACE)
    for kind in order:
        wound: Callable[..., Unit] = WOUNDS[kind]
        unit = wound(unit, rng, major=severity is Severity.MAJOR)
    return unit


def _can(packaging: Packaging, kind: DamageKind) -> bool:
    if kind is DamageKind.MISSING_UNIT:
        return packaging is Packaging.MULTIPACK
    if kind is DamageKind.DECONSTRUCTION:
        return packaging is not Packaging.MAILER
    if kind is DamageKind.ACTUATION:
        return packaging is not Packaging.MULTIPACK
    return True
