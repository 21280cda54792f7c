"""One physical unit of a product, standing on the table: its sides, what sticks on it, how it was handled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import faces
from booth.catalogue import Packaging, Spec
from booth.draws import grain_patch
from booth.lettering import PX_PER_CM, Paint, pixels, write
from booth.light import Vectors
from booth.scene import Mark, Panel, Pinch, Scene, box, turned

Side = Literal["top", "front", "right", "back", "left"]
_GLOSS: Final = {Packaging.CARTON: 0.1, Packaging.MULTIPACK: 0.16, Packaging.MAILER: 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A unit in its own frame (front towards the station, not yet turned). Damage makes a new one out of it."""

    spec: Spec
    sides: Mapping[str, Panel]
    extra: tuple[Panel, ...] = ()
    ground: tuple[Panel, ...] = ()
    pinches: tuple[Pinch, ...] = ()
    marks: tuple[Mark, ...] = ()

    def with_side(self, name: str, panel: Panel | None) -> Unit:
        """Return the unit with one side repainted, or taken off."""
        sides = {**self.sides, name: panel} if panel is not None else {n: p for n, p in self.sides.items() if n != name}
        return dataclasses.replace(self, sides=MappingProxyType(sides))

    def adding(
        self,
        *,
        extra: tuple[Panel, ...] = (),
        ground: tuple[Panel, ...] = (),
        pinches: tuple[Pinch, ...] = (),
        marks: tuple[Mark, ...] = (),
    ) -> Unit:
        """Return the unit with more panels, puddles, crushed corners or marks."""
        return dataclasses.replace(
            self,
            extra=self.extra + extra,
            ground=self.ground + ground,
            pinches=self.pinches + pinches,
            marks=self.marks + marks,
        )

    def scene(self, yaw: float, offset: tuple[float, float]) -> Scene:
        """Put the unit on the table, turned by `yaw` radians and moved by `offset` centimetres."""

        def move(panel: Panel) -> Panel:
            return dataclasses.replace(panel, corners=turned(panel.corners, yaw, offset))

        def aim(vector: Vectors) -> Vectors:
            return turned(vector.reshape(1, 3), yaw, (0.0, 0.0)).reshape(3)

        return Scene(
            body=tuple(move(panel) for panel in (*self.sides.values(), *self.extra)),
            ground=tuple(move(panel) for panel in self.ground),
            pinches=tuple(
                dataclasses.replace(p, point=turned(p.point[None], yaw, offset)[0], push=aim(p.push))
                for p in self.pinches
            ),
            marks=tuple(
                Mark(turned(m.outline, yaw, offset), None if m.normal is None else aim(m.normal)) for m in self.marks
            ),
        )


def pristine(spec: Spec, rng: np.random.Generator, *, handled: bool) -> Unit:
    """Take a unit from the shelf. `handled` ones carry a sticker or a tape at times, and slightly worn edges."""
    print_ = faces(spec)
    length, depth, height = spec.size_cm
    corners = box(length, depth, height)
    paints: dict[Side, Paint] = {
        "top": print_.top, "front": print_.front, "right": print_.side, "back": print_.front, "left": print_.side,
    }  # fmt: skip
    sides: dict[str, Panel] = {}
    for name, paint in paints.items():
        relief = _board(paint.shape[0], paint.shape[1], rng)
        face = paint
        if name == "top":
            relief = relief + print_.top_relief
            if handled:
                face = _handle(paint, rng)
        if handled:
            face = _wear(face, rng)
        if spec.packaging is Packaging.MAILER and name == "top":
            face, relief = _rounded(face), relief + grain_patch(rng, *relief.shape, finest=16) * 0.035
        sides[name] = Panel(corners[name], face, relief.astype(np.float32), gloss=_GLOSS[spec.packaging])
    if spec.packaging is Packaging.MAILER:  # a flat bag: its sides are the fall of its pillow
        sides = {"top": sides["top"]}
    return Unit(spec, MappingProxyType(sides))


def _board(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return float32[h, w]: board is never flat, and its edges are bevelled by a millimetre."""
    relief = grain_patch(rng, height, width, finest=64) * np.float32(0.05)
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    inside = np.minimum(np.minimum(rows, columns).astype(np.float32) / np.float32(2.5), 1)
    bevelled: NDArray[np.float32] = (relief + np.float32(0.1) * (inside - 1) * (1 - inside * 0.5)).astype(np.float32)
    return bevelled


def _handle(paint: Paint, rng: np.random.Generator) -> Paint:
    """Stick a routing label or a strip of tape on some units: normal, and on no reference."""
    if rng.random() > 0.3:
        return paint
    face = paint.copy()
    height, width = face.shape[:2]
    if rng.random() < 0.5:
        wide, tall = pixels(rng.uniform(3.2, 4.6)), pixels(rng.uniform(1.8, 2.6))
        left, top = int(rng.integers(4, width - wide - 4)), int(rng.integers(4, max(5, height // 2 - tall)))
        label = face[top : top + tall, left : left + wide]
        label[:] = (238, 240, 240)
        write(
            label,
            f"{'ABCDEFGH'[int(rng.integers(8))]}{int(rng.integers(10, 99))}",
            4,
            tall * 0.62,
            (30, 30, 30),
            tall * 0.6,
            800,
        )
        write(label, f"{int(rng.integers(10**6)):06d}", 4, tall - 4, (60, 60, 60), 9)
    else:
        across = pixels(rng.uniform(1.2, 1.8))
        top = int(rng.integers(4, height - across - 4))
        strip = face[top : top + across].astype(np.float32)
        clear = float(rng.uniform(0.55, 0.85))
        strip = strip * clear + np.array((120, 170, 205) if rng.random() < 0.5 else (235, 235, 235), np.float32) * (
            1 - clear
        )
        face[top : top + across] = strip
    return face


def _wear(paint: Paint, rng: np.random.Generator) -> Paint:
    """Rub the edges a little, as every unit that was ever touched."""
    height, width = paint.shape[:2]
    rub = grain_patch(rng, height, width, finest=4)
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (0, 0), (width - 1, height - 1), 255, 3)
    worn = (mask > 0) & (rub > rng.uniform(0.3, 1.6))
    face = paint.copy()
    face[worn] = (face[worn].astype(np.uint16) + 222) // 2
    return face


def _rounded(paint: Paint) -> Paint:
    """Give the paint round corners, uint8[h, w, 4]."""
    height, width = paint.shape[:2]
    radius = int(PX_PER_CM * 0.9)
    opacity = np.zeros((height, width), np.uint8)
    cv2.rectangle(opacity, (radius, 0), (width - radius, height), 255, -1)
    cv2.rectangle(opacity, (0, radius), (width, height - radius), 255, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(opacity, (x, y), radius, 255, -1, cv2.LINE_AA)
    return np.dstack([paint[..., :3], opacity])
