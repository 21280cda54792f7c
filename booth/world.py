"""The booth's world: products, references, and an endless row of captures whose truth is known.

Everything is a function of (seed, split, index): any shot can be asked for first, in any process, with the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from booth.catalogue import SETS, SPLIT_NUMBER, Spec, Split, redesigned, spec
from booth.draws import Domain, draws
from booth.harm import choose, inflict, possible
from booth.mesh import Shown
from booth.optics import Box, boxes, camera, depth_png, jpeg, take
from booth.packs import build
from booth.stage import SITE_STYLES, Stage, stage
from booth.unit import Unit
from booth.wear import handle
from schemas.messages import Product
from schemas.words import KINDS, DamageKind, Severity

SiteStyle = Literal["standard", "dim", "tray", "sharp", "mixed"]
Mask = NDArray[np.uint8]

REFERENCES_PER_PRODUCT: Final = 2
_TWO_VIEWS: Final = 0.35  # share of captures that a second camera joins
_YAW_RAD: Final = 0.16  # how crooked units come along, one sigma


@dataclass(frozen=True, slots=True)
class Report:
    """What the label of a capture says, which may be wrong where a world has noisy labels."""

    damaged: bool
    kinds: tuple[DamageKind, ...]
    severity: Severity


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really there. `boxes` say where in view 0: x, y, width, height as fractions of the picture.

    `facts` are words to slice figures by: material, form, decoy, wear, site_style, light, redesigned, set, odd.
    `damage_share` is the share of the unit's area seen in view 0 that is damage. `reported` is what a data set's label
    would say: the truth, except in worlds with noisy labels (None means the truth as well).
    """

    damaged: bool
    kinds: tuple[DamageKind, ...]
    severity: Severity
    product_id: str
    boxes: tuple[Box, ...]
    wrong_label: bool = False  # the scanner reads another product's code off this unit
    facts: Mapping[str, str] = field(default_factory=dict)
    damage_share: float = 0.0
    reported: Report | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One view as the camera sends it; `depth_png` uint16 tenths of a millimetre where the camera has depth."""

    jpeg: bytes
    camera_id: str
    depth_png: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """One view with its own truth: `boxes` and `mask` are empty where this camera cannot see the damage."""

    picture: Picture
    boxes: tuple[Box, ...]
    mask: Mask = field(default_factory=lambda: np.zeros((120, 120), np.uint8))  # uint8[120, 120], 255 is all damage
    unit: Mask = field(default_factory=lambda: np.zeros((120, 120), np.uint8))  # uint8[120, 120], where the unit is


@dataclass(frozen=True, slots=True)
class PlannedScan:
    """What the scanner will say, `delay_s` after the capture (before it where negative)."""

    code: str
    symbology: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One capture to be: its pictures, its scan, its truth."""

    index: int
    pictures: tuple[Picture, ...]
    truth: Truth
    scan: PlannedScan | None
    unit_id: str
    line: str
    station: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a capture will be: which product in which design, how damaged, how many views, with depth or without."""

    number: int
    product: Spec
    damaged: bool
    kinds: tuple[DamageKind, ...]
    severity: Severity
    two_views: bool
    depth: bool


class World:
    """A site's products and the units that will come along.

    `split` keeps products apart: those of `train`, `test` and `run` are disjoint whatever the seed. `redesigned` is the
    share of captures that come in the product's next design while its references show the first. `depth` is the share
    of captures whose cameras measure distance; references have depth as soon as any capture may. `label_noise` is the
    share of captures whose `Truth.reported` is wrong; the truth itself never is.
    """

    def __init__(
        self,
        seed: int,
        *,
        products: int = 40,
        damage_rate: float = 0.04,
        scan_missing: float = 0.15,
        scan_wrong: float = 0.01,
        split: Split = "run",
        lines: Sequence[str] = ("line-1", "line-2"),
        redesigned: float = 0.0,
        site_style: SiteStyle = "standard",
        depth: float = 0.5,
        label_noise: float = 0.0,
    ) -> None:
        if not 1 <= products <= 10_000:
            raise ValueError(f"products must be 1 to 10,000, not {products}")
        if site_style not in {*SITE_STYLES, "mixed"}:
            raise ValueError(f"site style must be one of {', '.join(SITE_STYLES)} or mixed, not {site_style!r}")
        self._seed = seed
        self._split: Split = split
        self._count = products
        self._damage_rate, self._scan_missing, self._scan_wrong = damage_rate, scan_missing, scan_wrong
        self._redesigned, self._site_style = redesigned, site_style
        self._depth, self._label_noise = depth, label_noise
        self.lines = tuple(lines)
        self._specs: dict[int, Spec] = {}

    def spec(self, number: int) -> Spec:
        """Return product `number` of this world."""
        if number not in self._specs:
            self._specs[number] = spec(self._seed, self._split, number)
        return self._specs[number]

    def products(self) -> list[Product]:
        """List the catalogue. `codes` hold the GTIN's 13 digits and any other code printed on the pack."""
        return [_product(self.spec(number)) for number in range(self._count)]

    def reference_ids(self) -> list[str]:
        """List the ids of all references, without taking their pictures."""
        return [
            _reference_id(self.spec(number).product_id, copy)
            for number in range(self._count)
            for copy in range(REFERENCES_PER_PRODUCT)
        ]

    def references(self) -> Iterator[tuple[str, str, tuple[Picture, ...]]]:
        """Yield reference id, product id and both cameras' pictures, two pristine units of every product."""
        for number in range(self._count):
            for copy in range(REFERENCES_PER_PRODUCT):
                product_id = self.spec(number).product_id
                yield _reference_id(product_id, copy), product_id, self.reference(number, copy)

    def reference(self, number: int, copy: int) -> tuple[Picture, ...]:
        """Photograph one pristine, unhandled unit of product `number` with both cameras."""
        key = (self._seed, SPLIT_NUMBER[self._split], number, copy)
        rng = draws(Domain.REFERENCE, *key)
        unit = build(self.spec(number), rng)
        yaw = float((-0.06, 0.06)[copy % 2] + rng.normal(0, 0.02))
        set_up = stage(self._style(rng), Domain.REFERENCE, *key)
        whole = (Domain.REFERENCE, *key)
        shown = self._photograph(unit, set_up, rng, key=whole, yaw=yaw, views=2, depth=self._depth > 0)
        return tuple(exposure.picture for exposure in shown)

    def shot(self, index: int) -> Shot:
        """Return capture `index`: random access, the same bytes for the same world."""
        number, truth, exposures = self.expose(index)
        rng = draws(Domain.SCAN, self._seed, SPLIT_NUMBER[self._split], index)
        scan, wrong = self._scan(number, rng)
        line = self.lines[int(rng.integers(len(self.lines)))]
        return Shot(
            index=index,
            pictures=tuple(exposure.picture for exposure in exposures),
            truth=dataclasses.replace(truth, wrong_label=wrong),
            scan=scan,
            unit_id=f"LPN{self._seed % 10_000:04d}{SPLIT_NUMBER[self._split]}{index:09d}",
            line=line,
            station=f"{line}-station",
        )

    def plan(self, index: int) -> Plan:
        """Say what capture `index` will be, without taking its pictures: a thousand times as fast."""
        key = (self._seed, SPLIT_NUMBER[self._split], index)
        rng = draws(Domain.UNIT, *key)
        number = int(rng.integers(self._count))
        rates = (self._damage_rate, _TWO_VIEWS, self._redesigned, self._depth)
        damaged, two, later, deep = (bool(chance < rate) for chance, rate in zip(rng.random(4), rates, strict=True))
        product = redesigned(self.spec(number)) if later else self.spec(number)
        kinds, severity = choose(product, draws(Domain.DAMAGE, *key)) if damaged else ((), Severity.NONE)
        return Plan(number, product, damaged, kinds, severity, two, deep)

    def expose(self, index: int, *, views: int | None = None) -> tuple[int, Truth, tuple[Exposure, ...]]:
        """Return the product's number, the truth and every view with its own boxes: what training needs of a shot."""
        plan = self.plan(index)
        key = (self._seed, SPLIT_NUMBER[self._split], index)
        rng = draws(Domain.PLACE, *key)
        set_up = stage(self._style(rng), Domain.SHOT, *key)
        unit, worn = handle(build(plan.product, draws(Domain.MESH, *key)), draws(Domain.WEAR, *key))
        if plan.damaged:
            unit = inflict(unit, plan.kinds, plan.severity, draws(Domain.DAMAGE, *key, 1))
        yaw = float(rng.normal(0, _YAW_RAD))
        exposures = self._photograph(
            unit, set_up, rng, key=(Domain.SHOT, *key), yaw=yaw, views=views or 1 + plan.two_views, depth=plan.depth
        )
        number, product, kinds, severity = plan.number, plan.product, plan.kinds, plan.severity
        damaged = plan.damaged
        first = exposures[0]
        seen = float(np.maximum(first.unit, first.mask).sum())
        truth = Truth(
            damaged,
            kinds,
            severity,
            product.product_id,
            first.boxes,
            facts=_facts(product, set_up, worn),
            damage_share=float(first.mask.sum()) / seen if seen and first.boxes else 0.0,
            reported=self._report(Report(damaged, kinds, severity), product, key),
        )
        return number, truth, exposures

    def _style(self, rng: np.random.Generator) -> str:
        chosen = SITE_STYLES[int(rng.integers(len(SITE_STYLES)))]
        return chosen if self._site_style == "mixed" else self._site_style

    def _photograph(
        self,
        unit: Unit,
        set_up: Stage,
        rng: np.random.Generator,
        *,
        key: tuple[int, ...],
        yaw: float,
        views: int,
        depth: bool,
    ) -> tuple[Exposure, ...]:
        scene = unit.scene(yaw, (float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5))))
        shown = []
        for number in range(views):
            eye = camera(number, set_up, *key)
            seen = take(scene, eye, set_up, draws(Domain.SENSOR, number, *key), depth=depth)
            shown.append(_exposure(seen, eye.camera_id))
        return tuple(shown)

    def _report(self, truth: Report, product: Spec, key: tuple[int, ...]) -> Report:
        """Say what the label says: the truth, or at the rate of `label_noise` a miss, a false alarm or a wrong kind."""
        rng = draws(Domain.LABELS, *key)
        noisy, turn = rng.random(2)
        if noisy >= self._label_noise:
            return truth
        if not truth.damaged:
            kinds = possible(product)
            return Report(True, (kinds[int(rng.integers(len(kinds)))],), Severity.MINOR)
        if turn < 0.5:
            return Report(False, (), Severity.NONE)
        other = Severity.MINOR if truth.severity is Severity.MAJOR else Severity.MAJOR
        kinds = tuple(kind for kind in KINDS if kind not in truth.kinds)
        return Report(True, (kinds[int(rng.integers(len(kinds)))],), other)

    def _scan(self, number: int, rng: np.random.Generator) -> tuple[PlannedScan | None, bool]:
        """Plan the scan: missing at times, seldom another product's code, mostly around the capture's moment."""
        missing, wrong, delay_s = (
            rng.random() < self._scan_missing,
            rng.random() < self._scan_wrong,
            rng.normal(-0.15, 0.12),
        )
        other = int(rng.integers(1, max(2, self._count)))
        if missing:
            return None, False
        read = self.spec((number + other) % self._count if wrong else number)
        code = read.codes[0]
        if code.symbology == "DataMatrix":  # scanners send element strings without brackets
            return PlannedScan(
                code.text.replace("(", "").replace(")", ""), code.symbology, float(delay_s)
            ), wrong and self._count > 1
        return PlannedScan(code.text, code.symbology, float(delay_s)), bool(wrong and self._count > 1)


def _exposure(seen: Shown, camera_id: str) -> Exposure:
    depth = None if seen.depth_mm10 is None else depth_png(seen.depth_mm10)
    found = boxes(seen.harm)
    mask = seen.harm if found else np.zeros_like(seen.harm)  # specks too small for a box are no damage to be seen
    return Exposure(Picture(jpeg(seen.rgb, seen.quality), camera_id, depth), found, mask, seen.unit)


def _facts(product: Spec, set_up: Stage, worn: str) -> dict[str, str]:
    odd = "none" if product.odd < 0 else "empty" if product.empty_by_design else "colour"
    return {
        "material": str(product.material),
        "form": str(product.form),
        "decoy": product.decoy.name.lower(),
        "wear": worn,
        "site_style": set_up.site_style,
        "light": set_up.light.name,
        "redesigned": "yes" if product.version else "no",
        "set": "yes" if product.form in SETS else "no",
        "odd": odd,
    }


def _reference_id(product_id: str, copy: int) -> str:
    return f"ref-{product_id}-{copy + 1}"


def _product(spec_: Spec) -> Product:
    codes = [spec_.product_id, *(code.text for code in spec_.codes if code.symbology == "Code128")]
    return Product(
        product_id=spec_.product_id,
        title=spec_.title,
        vendor=spec_.vendor,
        packaging=str(spec_.material),
        set_size=spec_.set_size,
        codes=codes,
    )
