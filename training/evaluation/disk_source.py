"""Captures of a data set on disk, as `training.data` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.faults import Poison, Reason
from schemas.messages import Product
from training.data.form import DataSet, Image, Pristine, Sample
from training.evaluation.source import RawCapture, RawReference, RawView


@dataclass(frozen=True, slots=True, eq=False)
class Disk:
    """Captures of a data set: those of one split, or all."""

    data: DataSet
    split: str | None = None

    @property
    def name(self) -> str:
        """Name the data set, the split, and how much is in it."""
        return f"{self.data.name} {self.data.root.resolve()} split={self.split or 'all'} samples={len(self.shots())}"

    def shots(self) -> list[DiskShot]:
        """Return all captures."""
        return [DiskShot(number, each) for number, each in enumerate(self.data.samples) if self._wanted(each.split)]

    def poses(self) -> list[DiskPose]:
        """Return the references of the split, and those that belong to none."""
        return [DiskPose(each) for each in self.data.references if each.split is None or self._wanted(each.split)]

    def pose_of(self, product_id: str) -> DiskPose | None:
        """Return the first reference of a product, if it has any."""
        return next((pose for pose in self.poses() if pose.pristine.product_id == product_id), None)

    def catalogue(self) -> list[Product]:
        """Return a product for each id; a data set knows no codes."""
        named = [pose.pristine.product_id for pose in self.poses()]
        named += [shot.sample.product_id for shot in self.shots() if shot.sample.product_id is not None]
        return [Product(product_id=product_id) for product_id in dict.fromkeys(named)]

    def _wanted(self, split: str | None) -> bool:
        return self.split is None or split == self.split


@dataclass(frozen=True, slots=True, eq=False)
class DiskShot:
    """One capture of a data set."""

    number: int
    sample: Sample

    def take(self) -> RawCapture:
        """Read it."""
        sample = self.sample
        return RawCapture(
            capture_id=sample.capture_id,
            views=tuple(_read(image) for image in sample.images),
            product_id=sample.product_id,
            label=sample.label,
            facts=dict(sample.facts),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DiskPose:
    """One reference of a data set."""

    pristine: Pristine

    def take(self) -> RawReference:
        """Read it."""
        return RawReference(
            self.pristine.reference_id, self.pristine.product_id, tuple(_read(image) for image in self.pristine.images)
        )


def _read(image: Image) -> RawView:
    """Read a view's files.

    Raises:
        Poison: the picture is not there. Depth that is not is left out, as on the line.
    """
    try:
        rgb = image.path.read_bytes()
    except OSError as error:
        raise Poison(Reason.VIEW_MISSING, f"{image.path.name}: {error.strerror}") from error
    return RawView(rgb, _bytes(image.depth), image.camera_id)


def _bytes(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError:
        return None
