"""Shares of a data set that no product and no reference has a foot in two of."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from schemas.faults import Fatal
from training.data.form import DataSet, Pristine, Sample

_LASTING: Final = (("train", 0.7), ("validation", 0.8), ("test", 1.0))


def split_by_product(data: DataSet, shares: Mapping[str, float], seed: int) -> dict[str, DataSet]:
    """Split by product, never by picture: with a product go all its samples and references.

    Products are taken in an order that the seed shuffles, each into the split that lacks most samples, so that shares
    hold to within the largest product. A sample without a product is a product of its own. The order of the data set
    changes nothing; the names of its own splits are overwritten.

    Raises:
        Fatal: shares that are none.
    """
    total = sum(shares.values())
    if not shares or not all(math.isfinite(share) and share >= 0 for share in shares.values()) or total <= 0:
        raise Fatal(f"shares must be numbers from 0 and not all of them 0, these are {dict(shares)}")
    samples: dict[str, list[Sample]] = defaultdict(list)
    references: dict[str, list[Pristine]] = defaultdict(list)
    for sample in data.samples:
        samples[_group(sample)].append(sample)
    for reference in data.references:
        references[f"product {reference.product_id}"].append(reference)
    missing = {name: share / total * len(data.samples) for name, share in shares.items() if share}
    place: dict[str, str] = {}
    for group in sorted({*samples, *references}, key=lambda group: _shuffled(seed, group)):
        name = max(missing, key=lambda name: missing[name])
        if samples[group]:
            missing[name] -= len(samples[group])
        else:  # only references: nothing to balance, so they are spread by chance
            name = sorted(missing)[int.from_bytes(_shuffled(seed, group)[:8]) % len(missing)]
        place[group] = name
    return {
        name: DataSet(
            name=f"{data.name}:{name}",
            root=data.root,
            samples=tuple(replace(sample, split=name) for sample in data.samples if place[_group(sample)] == name),
            references=tuple(
                replace(reference, split=name)
                for reference in data.references
                if place[f"product {reference.product_id}"] == name
            ),
            notes=data.notes,
            findings=data.findings,
        )
        for name in shares
    }


def lasting_split(group: str, seed: int) -> str:
    """Return the split that a product has in every data set with this seed.

    Data sets that are collected month by month are then tested on products that no earlier one trained on. Shares hold
    on average only: 70 % of products are in train, 10 % in validation, 20 % in test.
    """
    place = int.from_bytes(_shuffled(seed, group)[:8]) / 2**64
    return next(name for name, up_to in _LASTING if place < up_to)


def _group(sample: Sample) -> str:
    return f"capture {sample.capture_id}" if sample.product_id is None else f"product {sample.product_id}"


def _shuffled(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode(errors="surrogateescape")).digest()
