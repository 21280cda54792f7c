"""Where on a unit something happens, and windows into its print around that place, measured in centimetres."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.draws import GRAIN_SIDE, grain
from booth.mesh import Part
from booth.unit import Unit

Field = NDArray[np.float32]  # float32[h, w] over a window
Vector = NDArray[np.float32]  # float32[3]

_BEHIND = 0.06  # weight of a surface that no camera of a station sees


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A point on a surface: where, which way is out, where on its print, and the print's size there, cm per uv."""

    name: str
    point: Vector
    normal: Vector
    uv: tuple[float, float]
    cm_per_uv: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A rectangle of a raster over a print: `rows`, `columns` slice it, `x`, `y` are cm right and down of the place."""

    rows: slice
    columns: slice
    x: Field
    y: Field

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.x.shape[0], self.x.shape[1]

    @property
    def empty(self) -> bool:
        """Tell whether nothing of the raster is in it."""
        return self.x.size == 0

    def away(self, angle: float = 0.0, stretch: float = 1.0) -> Field:
        """Return float32[h, w]: the distance to the place, drawn out by `stretch` along `angle`."""
        cosine, sine, root = np.float32(np.cos(angle)), np.float32(np.sin(angle)), np.float32(np.sqrt(stretch))
        along, across = self.x * cosine + self.y * sine, self.y * cosine - self.x * sine
        return np.asarray(np.hypot(along / root, across * root), np.float32)

    def rough(self, rng: np.random.Generator, finest: int) -> Field:
        """Return float32[h, w] of noise, unit variance; wavelengths from `finest` pixels of the raster."""
        field = grain(int(rng.integers(4)), finest)
        height, width = self.shape
        top, left = (int(rng.integers(GRAIN_SIDE - min(side, GRAIN_SIDE) + 1)) for side in (height, width))
        cut = field[top : top + height, left : left + width]
        if cut.shape == self.shape:
            return cut
        return np.asarray(
            np.pad(cut, ((0, height - cut.shape[0]), (0, width - cut.shape[1])), mode="reflect"), np.float32
        )


def choose(unit: Unit, rng: np.random.Generator, names: Sequence[str]) -> Place:
    """Draw a place on one of the named surfaces: by area, what faces the cameras more often, the back seldom."""
    weights, owners, triangles = [], [], []
    for number, name in enumerate(names):
        surface = unit.surface(name)
        corners = surface.points[surface.faces]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        size = np.linalg.norm(outward, axis=1)
        facing = outward / np.maximum(size, 1e-9)[:, None]
        weight = np.maximum(np.maximum(facing[:, 2], 0) ** 2 + 0.5 * np.maximum(-facing[:, 1], 0) ** 2, 0)
        weight = np.maximum(weight, 0.22 * np.abs(facing[:, 0]))
        high = corners[:, :, 2].max(axis=1)
        weights.append(size * np.maximum(weight, _BEHIND) * (high > min(0.25, float(high.max()) * 0.6)))
        owners.append(np.full(len(size), number))
        triangles.append(np.arange(len(size)))
    weight = np.concatenate(weights)
    chosen = int(rng.choice(len(weight), p=weight / weight.sum()))
    name = names[int(np.concatenate(owners)[chosen])]
    a, b = sorted(rng.random(2))
    return place_on(unit.surface(name), name, int(np.concatenate(triangles)[chosen]), (a, b - a, 1 - b))


def place_on(surface: Part, name: str, triangle: int, share: tuple[float, float, float]) -> Place:
    """Return the place inside a triangle with these barycentric shares."""
    corner = surface.faces[triangle]
    points, uv = surface.points[corner], surface.uv[corner]
    mix = np.array(share, np.float32)
    outward = np.cross(points[1] - points[0], points[2] - points[0])
    outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
    edges, steps = np.stack([points[1] - points[0], points[2] - points[0]]), np.stack([uv[1] - uv[0], uv[2] - uv[0]])
    jacobian = np.linalg.pinv(steps.astype(np.float64)) @ edges.astype(np.float64)  # cm per uv, rows u and v
    wide, tall = (max(float(np.linalg.norm(row)), 0.5) for row in jacobian)
    spot = mix @ uv
    return Place(
        name, np.asarray(mix @ points, np.float32), np.asarray(outward, np.float32), (float(spot[0]), float(spot[1])),
        (wide, tall),
    )  # fmt: skip


def window(place: Place, shape: tuple[int, ...], reach_cm: float) -> Window:
    """Cut the window of half-width `reach_cm` around a place out of a raster [h, w] over its print."""
    height, width = shape[0], shape[1]
    across, down = width / place.cm_per_uv[0], height / place.cm_per_uv[1]  # pixels per centimetre
    x, y = place.uv[0] * width, place.uv[1] * height
    left, right = max(0, int(x - reach_cm * across)), min(width, int(x + reach_cm * across) + 1)
    top, bottom = max(0, int(y - reach_cm * down)), min(height, int(y + reach_cm * down) + 1)
    columns, rows = slice(left, max(left, right)), slice(top, max(top, bottom))
    xs = (np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5 - x)) / np.float32(across)
    ys = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - y)) / np.float32(down)
    fields = np.meshgrid(xs, ys)
    return Window(rows, columns, np.asarray(fields[0], np.float32), np.asarray(fields[1], np.float32))


def fine_shape(part: Part, place: Place) -> tuple[int, int]:
    """Return the height and width a raster over the part's print needs for what is painted to have sharp edges."""
    if min(part.print.shape[:2]) >= 64:
        return part.print.shape[0], part.print.shape[1]
    return max(8, min(720, round(place.cm_per_uv[1] * 12))), max(8, min(720, round(place.cm_per_uv[0] * 12)))


def harmed(part: Part, where: Field, view: Window, shape: tuple[int, int]) -> Part:
    """Add damage, float32[h, w] 0 .. 1 over a window of a raster of this shape, to the part's damage print."""
    old = part.harm_print
    if old is None:
        fresh = np.zeros(shape, np.uint8)
    elif old.shape == shape:
        fresh = old.copy()
    else:
        fresh = np.array(cv2.resize(old, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.uint8)
    region = fresh[view.rows, view.columns]
    np.maximum(region, np.clip(where * 255, 0, 255).astype(np.uint8), out=region)
    return dataclasses.replace(part, harm_print=fresh)


def step(value: NDArray[np.floating], width: float) -> Field:
    """Return 0 where `value` is below 0 and 1 above `width`, smooth between."""
    ramp = np.clip(value / np.float32(width), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def mix(below: NDArray[np.floating], above: NDArray[np.floating], cover: NDArray[np.floating]) -> Field:
    """Lay `above` over `below` with opacity `cover` float32[h, w]."""
    return np.asarray(below + (above - below) * cover[..., None], np.float32)


def hurt(part: Part, share: NDArray[np.floating]) -> Part:
    """Add damage float32[n] on the part's vertices."""
    old = np.zeros(len(part.points), np.float32) if part.harm is None else part.harm
    return dataclasses.replace(part, harm=np.maximum(old, share).astype(np.float32))
