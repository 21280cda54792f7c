"""Captures and references held in memory: for whoever wants the very same bytes examined in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.messages import Product
from training.evaluation.source import RawCapture, RawReference, Source


@dataclass(frozen=True, slots=True, eq=False)
class KeptShot:
    """A capture that was taken."""

    number: int
    raw: RawCapture

    def take(self) -> RawCapture:
        """Return it."""
        return self.raw


@dataclass(frozen=True, slots=True, eq=False)
class KeptPose:
    """A reference that was taken."""

    raw: RawReference

    def take(self) -> RawReference:
        """Return it."""
        return self.raw


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Everything of a source, taken once."""

    name: str
    captures: Sequence[KeptShot]
    references: Sequence[KeptPose]
    products: Sequence[Product]

    @classmethod
    def of(cls, source: Source) -> Kept:
        """Take all captures and references of a small source."""
        return cls(
            name=f"kept {source.name}",
            captures=[KeptShot(shot.number, shot.take()) for shot in source.shots()],
            references=[KeptPose(pose.take()) for pose in source.poses()],
            products=source.catalogue(),
        )

    def shots(self) -> Sequence[KeptShot]:
        """Return all captures."""
        return self.captures

    def poses(self) -> Sequence[KeptPose]:
        """Return all references."""
        return self.references

    def pose_of(self, product_id: str) -> KeptPose | None:
        """Return a reference of a product, if it has any."""
        return next((pose for pose in self.references if pose.raw.product_id == product_id), None)

    def catalogue(self) -> list[Product]:
        """Return the products."""
        return list(self.products)
