"""The one form that every data set takes in memory, wherever it came from: paths and truth, no pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.words import DamageKind, Severity
from training.data.findings import Finding

Box = tuple[float, float, float, float]  # x, y, width, height as fractions of the picture


@dataclass(frozen=True, slots=True)
class Image:
    """One view on disk. `depth` is a uint16 PNG of tenths of a millimetre; `item_mask` shows the item, not damage."""

    path: Path
    depth: Path | None = None
    item_mask: Path | None = None
    camera_id: str = "camera"
    boxes: tuple[Box, ...] = ()  # of damage that this view shows


@dataclass(frozen=True, slots=True)
class Label:
    """What is known about a unit. `kinds` may be empty for a damaged unit whose kinds nobody wrote down."""

    damaged: bool
    kinds: frozenset[DamageKind] = frozenset()
    severity: Severity = Severity.NONE  # UNKNOWN where damaged and nobody said how badly


@dataclass(frozen=True, slots=True)
class Sample:
    """A capture. `label` is None where it has none; `facts` are for slices: material, site, light, decoy, ..."""

    capture_id: str
    images: tuple[Image, ...]
    label: Label | None = None
    product_id: str | None = None
    split: str | None = None  # train, validation, test, as the data set says; never by picture
    facts: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0  # captures that this one stands for, where they were drawn with unequal probabilities


@dataclass(frozen=True, slots=True)
class Pristine:
    """A reference: pictures of an undamaged unit of a product."""

    reference_id: str
    product_id: str
    images: tuple[Image, ...]
    split: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """Samples and references of one data set.

    `notes` say in plain words what was odd and how it was taken; `findings` are the same for programs.
    """

    name: str
    root: Path
    samples: tuple[Sample, ...]
    references: tuple[Pristine, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
