"""The booth's world: products, references, and an endless row of captures whose truth is known.

Everything is a function of (seed, split, index): any shot can be asked for first, in any process, with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from booth.catalogue import SPLIT_NUMBER, Spec, Split, spec
from booth.damage import choose, inflict
from booth.draws import Domain, draws
from booth.lettering import Paint
from booth.light import camera, light
from booth.picture import Box, boxes, encode, render
from booth.unit import Unit, pristine
from schemas.messages import Product
from schemas.words import DamageKind, Severity

REFERENCES_PER_PRODUCT: Final = 2
_TWO_VIEWS: Final = 0.35  # share of captures that a second camera joins
_YAW_RAD: Final = 0.16  # how crooked units come along, one sigma


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really there. `boxes` say where in view 0: x, y, width, height as fractions of the picture."""

    damaged: bool
    kinds: tuple[DamageKind, ...]
    severity: Severity
    product_id: str
    boxes: tuple[Box, ...]
    wrong_label: bool = False  # the scanner reads another product's code off this unit


@dataclass(frozen=True, slots=True)
class Picture:
    """One view as the camera sends it."""

    jpeg: bytes
    camera_id: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """One view with its own truth: `boxes` are empty where this camera cannot see the damage."""

    picture: Picture
    boxes: tuple[Box, ...]


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


class World:
    """A site's products and the units that will come along.

    `split` keeps products apart: those of `train`, `test` and `run` are disjoint whatever the seed.
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
    ) -> None:
        if not 1 <= products <= 10_000:
            raise ValueError(f"products must be 1 to 10,000, not {products}")
        self._seed = seed
        self._split: Split = split
        self._count = products
        self._damage_rate, self._scan_missing, self._scan_wrong = damage_rate, scan_missing, scan_wrong
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
        unit = pristine(self.spec(number), rng, handled=False)
        yaw = float((-0.06, 0.06)[copy % 2] + rng.normal(0, 0.02))
        shown = self._photograph(unit, rng, key=(Domain.REFERENCE, *key), yaw=yaw, views=2)
        return tuple(exposure.picture for exposure in shown)

    def shot(self, index: int) -> Shot:
        """Return capture `index`: random access, the same bytes for the same world."""
        number, truth, exposures = self.expose(index)
        rng = draws(Domain.SCAN, self._seed, SPLIT_NUMBER[self._split], index)
        scan, wrong = self._scan(number, rng)
        line = self.lines[int(rng.integers(len(self.lines)))]
        whole = Truth(
            damaged=truth.damaged,
            kinds=truth.kinds,
            severity=truth.severity,
            product_id=truth.product_id,
            boxes=exposures[0].boxes,
            wrong_label=wrong,
        )
        return Shot(
            index=index,
            pictures=tuple(exposure.picture for exposure in exposures),
            truth=whole,
            scan=scan,
            unit_id=f"LPN{self._seed % 10_000:04d}{SPLIT_NUMBER[self._split]}{index:09d}",
            line=line,
            station=f"{line}-station",
        )

    def expose(self, index: int, *, views: int | None = None) -> tuple[int, Truth, tuple[Exposure, ...]]:
        """Return the product's number, the truth and every view with its own boxes: what training needs of a shot."""
        key = (self._seed, SPLIT_NUMBER[self._split], index)
        rng = draws(Domain.UNIT, *key)
        number = int(rng.integers(self._count))
        damaged = bool(rng.random() < self._damage_rate)
        two = bool(rng.random() < _TWO_VIEWS)
        product = self.spec(number)
        unit = pristine(product, rng, handled=True)
        kinds: tuple[DamageKind, ...] = ()
        severity = Severity.NONE
        if damaged:
            harm = draws(Domain.DAMAGE, *key)
            kinds, severity = choose(product.packaging, harm)
            unit = inflict(unit, kinds, severity, harm)
        yaw = float(rng.normal(0, _YAW_RAD))
        exposures = self._photograph(unit, rng, key=(Domain.SHOT, *key), yaw=yaw, views=views or 1 + two)
        truth = Truth(damaged, kinds, severity, product.product_id, exposures[0].boxes)
        return number, truth, exposures

    def _photograph(
        self, unit: Unit, rng: np.random.Generator, *, key: tuple[int, ...], yaw: float, views: int
    ) -> tuple[Exposure, ...]:
        scene = unit.scene(yaw, (float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5))))
        lamp = light(rng)
        shown = []
        for number in range(views):
            eye = camera(number, *key)
            picture: Paint = render(scene, eye, lamp, draws(Domain.SENSOR, number, *key))
            shown.append(Exposure(Picture(encode(picture), eye.camera_id), boxes(scene.marks, eye)))
        return tuple(shown)

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


def _reference_id(product_id: str, copy: int) -> str:
    return f"ref-{product_id}-{copy + 1}"


def _product(spec_: Spec) -> Product:
    codes = [spec_.product_id, *(code.text for code in spec_.codes if code.symbology == "Code128")]
    return Product(
        product_id=spec_.product_id,
        title=spec_.title,
        vendor=spec_.vendor,
        packaging=str(spec_.packaging),
        set_size=spec_.set_size,
        codes=codes,
    )
