"""Say what is wrong with a data set before somebody trains on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from training.data.census import Census, count
from training.data.files import Look, Unusable, look_at
from training.data.findings import Finding, Gravity, Matter, Notebook, printable
from training.data.form import DataSet, Image, Label
from training.data.layers import depth_fault, mask_fault
from training.data.telltale import SPOIL, Telltale, telltales

DECODED: Final = 400  # pictures, spread over the set, when not all are; a few seconds
TINY: Final = 20  # samples of a class: below, an error bar on its recall is wider than 40 points


@dataclass(frozen=True, slots=True)
class Report:
    """What a data set is and what was found, the worst first."""

    name: str
    census: Census
    pictures: int
    decoded: int
    findings: tuple[Finding, ...]
    telltales: tuple[Telltale, ...]

    @property
    def spoiled(self) -> bool:
        """Tell whether something would spoil training or measuring."""
        return any(finding.matter.gravity is Gravity.SPOILS for finding in self.findings)


def check(data: DataSet, *, deep: bool = False, say: Callable[[int, int], None] | None = None) -> Report:
    """Check a data set that was opened. Every file is looked at; all pictures are decoded with `deep`, else some.

    `say` is told after each picture how many of how many were looked at.
    """
    notebook = Notebook()
    _check_labels(data, notebook)
    _check_products(data, notebook)
    eye = _Eye(data, notebook, whole=deep)
    views = list(_views(data))
    every = 1 if deep else max(1, -(-len(views) // DECODED))
    for number, view in enumerate(views):
        eye.look(view, decoded=number % every == 0)
        if say is not None:
            say(number + 1, len(views))
    told = eye.telling()
    for tale in told:
        matter = Matter.GIVEAWAY if tale.auroc >= SPOIL else Matter.TELLTALE
        notebook.note(matter, f"{tale.name}: AUROC {tale.auroc:.2f}")
    found = (*data.findings, *notebook.findings())
    found = tuple(sorted(found, key=lambda finding: list(Gravity).index(finding.matter.gravity)))
    return Report(printable(data.name), count(data), len(views), eye.decoded, found, tuple(told))


@dataclass(frozen=True, slots=True)
class _View:
    image: Image
    name: str
    split: str | None
    label: Label | None
    views: int = 0  # of the sample that this is the first view of; 0 for all others
    reference: bool = False


def _views(data: DataSet) -> Iterator[_View]:
    for sample in data.samples:
        for number, image in enumerate(sample.images):
            yield _View(image, sample.capture_id, sample.split, sample.label, 0 if number else len(sample.images))
    for reference in data.references:
        for image in reference.images:
            yield _View(image, reference.reference_id, reference.split, None, reference=True)


@dataclass(slots=True)
class _Eye:
    """Looks at files and remembers what it saw: sixteen bytes and a few numbers for each."""

    data: DataSet
    notebook: Notebook
    whole: bool  # files are compared whole, not by their ends
    decoded: int = 0
    _contents: dict[bytes, _View] = field(default_factory=dict)
    _prints: dict[int, _View] = field(default_factory=dict)
    _numbers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _words: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _damaged: list[bool] = field(default_factory=list)
    _looks: list[tuple[float, float] | None] = field(default_factory=list)  # brightness, contrast

    def look(self, view: _View, *, decoded: bool) -> None:
        """Look at a view and its mask and depth."""
        image = view.image
        try:
            seen = look_at(image.path, decoded=decoded, whole=self.whole)
        except Unusable as unusable:
            self.notebook.note(unusable.matter, f"{self._name(view.image.path)}: {unusable}")
            return
        self.decoded += seen.decoded
        self._compare(view, seen)
        if image.item_mask is not None and (
            fault := mask_fault(image.item_mask, seen.width, seen.height, decoded=decoded)
        ):
            self.notebook.note(fault[0], f"{image.item_mask.name} {fault[1]}".rstrip())
        if image.depth is not None and (fault := depth_fault(image.depth, seen.width, seen.height, decoded=decoded)):
            self.notebook.note(fault[0], f"{image.depth.name} {fault[1]}".rstrip())
        if view.label is not None and view.views:
            self._damaged.append(view.label.damaged)
            self._take_down(view, seen)

    def telling(self) -> list[Telltale]:
        """Return what tells the label without showing it."""
        tales = telltales(self._numbers, self._words, self._damaged)
        decoded = [place for place, look in enumerate(self._looks) if look is not None]
        looks = [look for look in self._looks if look is not None]
        shown = {
            "brightness": [brightness for brightness, _ in looks],
            "contrast": [contrast for _, contrast in looks],
        }
        return tales + telltales(shown, {}, [self._damaged[place] for place in decoded])

    def _take_down(self, view: _View, seen: Look) -> None:
        self._numbers["file size"].append(seen.size_bytes)
        self._numbers["bytes per pixel"].append(seen.size_bytes / (seen.width * seen.height))
        self._numbers["width"].append(seen.width)
        self._numbers["height"].append(seen.height)
        self._numbers["width to height"].append(seen.width / seen.height)
        self._numbers["JPEG compression"].append(seen.compression)
        self._numbers["number of views"].append(view.views)
        self._words["width x height"].append(f"{seen.width} x {seen.height}")
        self._words["file format"].append(seen.form)
        self._words["camera"].append(view.image.camera_id)
        self._words["has depth"].append(str(view.image.depth is not None))
        self._words["has mask"].append(str(view.image.item_mask is not None))
        self._looks.append((seen.brightness, seen.contrast) if seen.decoded else None)

    def _compare(self, view: _View, seen: Look) -> None:
        """Note pictures that were seen before."""
        first = self._contents.setdefault(seen.content, view)
        if first is not view:
            pair = f"{self._name(first.image.path)} = {self._name(view.image.path)}"
            if first.split and view.split and first.split != view.split:
                self.notebook.note(Matter.SAME_IN_SPLITS, f"{pair} ({first.split}, {view.split})")
            elif first.label and view.label and first.label.damaged is not view.label.damaged:
                self.notebook.note(Matter.SAME_TWO_LABELS, pair)
            elif first.reference is not view.reference:
                self.notebook.note(Matter.SAME_AS_REFERENCE, pair)
            else:
                self.notebook.note(Matter.SAME_PICTURE, pair)
        elif seen.fingerprint is not None:
            alike = self._prints.setdefault(seen.fingerprint, view)
            if alike.split and view.split and alike.split != view.split:
                self.notebook.note(
                    Matter.LOOKS_IN_SPLITS, f"{self._name(alike.image.path)} ~ {self._name(view.image.path)}"
                )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.data.root).as_posix() if path.is_relative_to(self.data.root) else path.name


def _check_labels(data: DataSet, notebook: Notebook) -> None:
    classes: Counter[str] = Counter()
    for sample in data.samples:
        label = sample.label
        if label is None:
            notebook.note(Matter.NO_LABELS, sample.capture_id)
            continue
        classes["damaged" if label.damaged else "intact"] += 1
        if label.damaged:
            classes.update(str(kind) for kind in label.kinds)
            classes[f"severity {label.severity}"] += 1
            if not label.kinds:
                notebook.note(Matter.NO_KINDS, sample.capture_id)
    labelled = classes["damaged"] + classes["intact"]
    if labelled and not (classes["damaged"] and classes["intact"]):
        notebook.note(Matter.ONE_LABEL, f"{labelled} samples, all {'damaged' if classes['damaged'] else 'intact'}")
    for name, samples in sorted(classes.items()):
        if 0 < samples < TINY:
            notebook.note(Matter.TINY_CLASS, f"{name}: {samples}")


def _check_products(data: DataSet, notebook: Notebook) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in data.samples:
        if sample.product_id is not None and sample.split is not None:
            splits[sample.product_id].add(sample.split)
    referred = set()
    for reference in data.references:
        referred.add(reference.product_id)
        if reference.split is not None:
            splits[reference.product_id].add(reference.split)
    for product, names in splits.items():
        if len(names) > 1:
            notebook.note(Matter.PRODUCT_IN_SPLITS, f"{product} in {', '.join(sorted(names))}")
    if referred:
        for product in sorted({sample.product_id for sample in data.samples if sample.product_id} - referred):
            notebook.note(Matter.NO_REFERENCE, product)
