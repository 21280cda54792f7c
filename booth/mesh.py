"""What stands in the booth: triangle meshes with print on them, and where on them the damage is.

Centimetres on the table: x right, y away from the station, z up, the table at z = 0. Colours are blue, green, red.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]  # float32[n, 3]
Faces = NDArray[np.int32]  # int32[m, 3]: corners of each triangle, counter-clockwise seen from outside
Coordinates = NDArray[np.float32]  # float32[n, 2]: across and down the print, 0 .. 1
Print = NDArray[np.uint8]  # uint8[h, w, 3] or uint8[h, w, 4]; the fourth channel is opacity, below 128 is a hole
Shades = NDArray[np.float32]  # float32[h, w]


@dataclass(frozen=True, slots=True)
class Stuff:
    """How a surface answers light.

    `gloss` is the strength of the highlight (0 felt, 0.05 board, 0.3 coated carton, 0.9 film), `sharp` its Blinn-Phong
    exponent (8 broad .. 120 film). `glow` is the share of light that goes through and scatters (paper bags, foam).
    """

    gloss: float = 0.08
    sharp: float = 24.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One sheet or body of a unit.

    `harm` float32[n] says for each vertex how much of it is damage (0 or 1, blends between); `harm_print` uint8[h, w]
    (any size, 255 is damage) says the same in the coordinates of the print, for what is finer than the mesh. The
    picture's damage mask is the larger of both, seen through the camera, so it is true to the pixel. `bump` is a fine
    relief in centimetres on the print (wrinkles, flutes): it bends the light and leaves the outline and depth alone.
    """

    points: Points
    faces: Faces
    uv: Coordinates
    print: Print
    stuff: Stuff = field(default_factory=Stuff)
    harm: NDArray[np.float32] | None = None
    harm_print: NDArray[np.uint8] | None = None
    bump: Shades | None = None
    smooth: bool = True  # shade with normals averaged over shared vertices; False: each triangle has its own
    two_sided: bool = False  # seen from behind as well (flaps, torn sheets); `inner` is the print of that side
    inner: Print | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """Something clear over the parts behind it: shrink wrap, blister domes, puddles.

    It does not write depth (unless `thick`, as liquids and powders do), tints by `colour` with `opacity` 0 .. 1 and
    adds its highlights. `opacity_print` uint8[h, w] modulates the opacity in the coordinates of `part.uv`.
    """

    part: Part
    opacity: float = 0.08
    opacity_print: NDArray[np.uint8] | None = None
    thick: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything on the table, already turned and moved to its place."""

    parts: tuple[Part, ...]
    films: tuple[Film, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One view as the camera has it, before compression.

    `rgb` is in OpenCV's order. `depth_mm10` is the distance along the optical axis in tenths of a millimetre, 0 where
    the depth camera saw nothing; None for a camera without one. `harm` is the share of damage in each pixel and `unit`
    where the unit is: both as seen, hidden parts do not count.
    """

    rgb: NDArray[np.uint8]  # uint8[480, 480, 3]
    depth_mm10: NDArray[np.uint16] | None  # uint16[240, 240]
    harm: NDArray[np.uint8]  # uint8[120, 120], 255 is all damage
    unit: NDArray[np.uint8]  # uint8[120, 120]
    quality: int = 88  # of the JPEG that this camera makes: `jpeg(shown.rgb, shown.quality)`
