"""What stands in the booth: painted panels in space, things lying beside, and where the damage is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from booth.lettering import Paint
from booth.light import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A flat four-cornered surface with print and relief, seen from one side only.

    `corners` float64[4, 3] in centimetres, in the order of the paint's corners: upper left, upper right, lower right,
    lower left. `paint` uint8[h, w, 3 or 4], opacity last. `relief` float32[h, w]: centimetres outwards. `above` is for
    what lies on top of other panels: it is drawn after those of a lower number, whatever the distances.
    """

    corners: Vectors
    paint: Paint
    relief: NDArray[np.float32] | None = None
    gloss: float = 0.08
    shade: float = 1.0
    above: int = 0

    @property
    def normal(self) -> Vectors:
        """Return the unit float64[3] that points out of the painted side."""
        right, down = self.corners[1] - self.corners[0], self.corners[3] - self.corners[0]
        across = np.cross(down, right)
        unit: Vectors = across / np.linalg.norm(across)
        return unit

    def at(self, x: float, y: float) -> Vectors:
        """Return the float64[3] point of a place given in fractions of the panel."""
        upper = self.corners[0] + x * (self.corners[1] - self.corners[0])
        lower = self.corners[3] + x * (self.corners[2] - self.corners[3])
        point: Vectors = upper + y * (lower - upper)
        return point


@dataclass(frozen=True, slots=True, eq=False)
class Pinch:
    """A crushed corner: everything of the unit within `radius_cm` of `point` is pushed by `push` float64[3]."""

    point: Vectors
    push: Vectors
    radius_cm: float
    folds: int


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Where damage is: `outline` float64[n, 3] around it; seen only from the side that `normal` points to, if any."""

    outline: Vectors
    normal: Vectors | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A unit and its surroundings. Body panels hide each other only by distance, so they must not cross."""

    body: tuple[Panel, ...]
    ground: tuple[Panel, ...] = ()  # lies flat on the table: puddles, powder
    pinches: tuple[Pinch, ...] = ()
    marks: tuple[Mark, ...] = field(default=())


def turned(points: Vectors, yaw: float, offset: tuple[float, float]) -> Vectors:
    """Turn float64[n, 3] points about the vertical by `yaw` radians, then move them by `offset` centimetres."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    about = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    moved: Vectors = points @ about + [*offset, 0.0]
    return moved


def box(length: float, depth: float, height: float) -> dict[str, Vectors]:
    """Return the corners of the five visible sides of a box on the table, centred, by name."""
    x, y = length / 2, depth / 2
    low = {"sw": (-x, -y, 0.0), "se": (x, -y, 0.0), "ne": (x, y, 0.0), "nw": (-x, y, 0.0)}
    high = {name: (cx, cy, height) for name, (cx, cy, _) in low.items()}
    return {
        "top": np.array([high["nw"], high["ne"], high["se"], high["sw"]]),
        "front": np.array([high["sw"], high["se"], low["se"], low["sw"]]),
        "right": np.array([high["se"], high["ne"], low["ne"], low["se"]]),
        "back": np.array([high["ne"], high["nw"], low["nw"], low["ne"]]),
        "left": np.array([high["nw"], high["sw"], low["sw"], low["nw"]]),
    }
