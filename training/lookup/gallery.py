"""Which pictures show which product, from any data set or folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.faults import Fatal
from training.data.form import DataSet
from training.data.read import open_data_set


@dataclass(frozen=True, slots=True)
class Packshot:
    """A picture of a pristine product."""

    product_id: str
    path: Path


def packshots(path: Path) -> list[Packshot]:
    """List the references of a data set, by product.

    A data set with references is taken at its word. In a manifest without any, every picture with a product is one;
    in a bare folder a picture's sub-folder names its product, or its file name where it lies in no sub-folder.

    Raises:
        Fatal: there are none.
    """
    data = open_data_set(path)
    found = [Packshot(each.product_id, image.path) for each in data.references for image in each.images]
    if not found:
        found = [
            Packshot(product, image.path)
            for sample in data.samples
            for image in sample.images
            if (product := sample.product_id or sample.facts.get("label") or _named_by_place(image.path, data))
        ]
    if not found:
        raise Fatal(f"{path} names no products: a manifest needs a column product_id, or label with split reference")
    return sorted(found, key=lambda each: (each.product_id, str(each.path)))


def _named_by_place(path: Path, data: DataSet) -> str:
    """Return the product that a picture's place in a folder names, "" if a manifest lists it without one."""
    root = data.root.resolve()
    if not root.is_dir() or not path.resolve().is_relative_to(root):
        return ""
    inner = path.resolve().relative_to(root)
    return inner.parent.as_posix() if len(inner.parts) > 1 else inner.stem
