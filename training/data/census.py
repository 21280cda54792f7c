"""What a data set is, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from training.data.findings import printable
from training.data.form import DataSet, Sample

UNNAMED = "no split"
_MOST_MATERIALS = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One split, or all of it."""

    samples: int
    views: int
    damaged: int
    intact: int
    unlabelled: int
    products: int
    references: int
    with_depth: int  # views
    with_mask: int  # views


@dataclass(frozen=True, slots=True)
class Census:
    """Counts of samples unless they say otherwise. A sample with two kinds counts for both."""

    whole: Part
    splits: Mapping[str, Part]
    kinds: Mapping[str, int]
    severities: Mapping[str, int]  # of damaged samples
    materials: Mapping[str, int]  # the most frequent 20; empty where nobody stated any
    references_per_product: tuple[int, float, int] | None  # fewest, median, most; of products that have any


def count(data: DataSet) -> Census:
    """Count a data set."""
    splits = {sample.split or UNNAMED for sample in data.samples}
    splits |= {reference.split for reference in data.references if reference.split}
    labels = [sample.label for sample in data.samples if sample.label is not None]
    shown = Counter(reference.product_id for reference in data.references)
    materials = Counter(sample.facts["material"] for sample in data.samples if "material" in sample.facts)
    return Census(
        whole=_part(data.samples, len(data.references)),
        splits={
            printable(split): _part(
                [sample for sample in data.samples if (sample.split or UNNAMED) == split],
                sum((reference.split or UNNAMED) == split for reference in data.references),
            )
            for split in sorted(splits)
        },
        kinds=_sorted(Counter(str(kind) for label in labels for kind in label.kinds)),
        severities=_sorted(Counter(str(label.severity) for label in labels if label.damaged)),
        materials={printable(name): number for name, number in materials.most_common(_MOST_MATERIALS)},
        references_per_product=(
            (min(shown.values()), float(median(shown.values())), max(shown.values())) if shown else None
        ),
    )


def _part(samples: Iterable[Sample], references: int) -> Part:
    samples = list(samples)
    labels = [sample.label.damaged for sample in samples if sample.label is not None]
    views = [image for sample in samples for image in sample.images]
    return Part(
        samples=len(samples),
        views=len(views),
        damaged=sum(labels),
        intact=len(labels) - sum(labels),
        unlabelled=len(samples) - len(labels),
        products=len({sample.product_id for sample in samples if sample.product_id is not None}),
        references=references,
        with_depth=sum(image.depth is not None for image in views),
        with_mask=sum(image.item_mask is not None for image in views),
    )


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
