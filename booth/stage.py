"""A site's photo station: its table, its lamp, its camera's temper; all that is there before a unit comes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from booth.draws import Domain, draws
from booth.mesh import Part, Stuff
from booth.surfaces import SURFACES, paint

Vector = NDArray[np.float64]  # float64[3], centimetres on the table: x right, y away from the station, z up
Colour = tuple[float, float, float]  # blue, green, red, linear

LAMP_RANGE_CM: Final = 95.0  # where the lamp's strength is as stated


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One soft lamp, a ceiling panel that glossy things mirror, and the room."""

    name: str
    lamp: Vector
    lamp_radius_cm: float
    lamp_colour: Colour
    room_colour: Colour
    panel: tuple[float, float, float, float]  # middle and half sizes on a ceiling one unit above
    panel_strength: float
    fill: Vector  # unit vector towards a window or a second lamp that throws no shadow
    fill_strength: float

    def numbers(self, table: Colour) -> NDArray[np.float64]:
        """Return float64[22] in the order that `booth.shading` reads; `table` is the table's linear colour."""
        lit = tuple(
            0.75 * c * (0.7 * lamp + room)
            for c, lamp, room in zip(table, self.lamp_colour, self.room_colour, strict=True)
        )
        return np.array(
            [
                *self.lamp,
                *self.lamp_colour,
                LAMP_RANGE_CM,
                *self.room_colour,
                *lit,
                *self.panel,
                self.panel_strength,
                *self.fill,
                self.fill_strength,
            ],
            np.float64,
        )


@dataclass(frozen=True, slots=True)
class Temper:
    """How a camera renders light: white balance gains, exposure, blur, noise, JPEG quality."""

    gains: Colour  # blue, green, red
    vignette: float
    blur_px: float
    read_noise: float  # in display values
    shot_noise: float
    quality: int


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """All but the unit. `lies` is how the table's surface lies: cosine and sine of its turn, offset in pixels."""

    site_style: str
    surface: int
    lies: tuple[float, float, float, float]
    light: Light
    temper: Temper
    steeper_deg: float = 0.0  # cameras of this site hang that much steeper
    closer: float = 1.0  # and see the table that much larger
    furniture: tuple[Part, ...] = ()  # a tray: on every picture, part of no unit


@dataclass(frozen=True, slots=True)
class _Style:
    """What the draws of a site style range over."""

    surfaces: tuple[int, ...]
    lamp: tuple[float, float]
    room: tuple[float, float]
    warmth: float  # mean of the colour's lean to red
    radius_cm: tuple[float, float]
    exposure: tuple[float, float]
    noise: tuple[float, float]
    blur_px: tuple[float, float]
    gains: Colour = (1.0, 1.0, 1.0)
    steeper_deg: float = 0.0
    closer: float = 1.0
    tray: bool = False


_STYLES: Final = {
    "standard": _Style(
        (0, 1, 2, 3, 4, 6, 8, 9, 10, 11), (0.62, 0.8), (0.3, 0.4), 0.0, (7, 13), (0.94, 1.1), (0.8, 1.5), (0.28, 0.42)
    ),
    "dim": _Style(
        (1, 3, 5, 7, 8, 9), (0.42, 0.56), (0.16, 0.26), 0.1, (5, 9), (0.95, 1.12), (1.9, 3.0), (0.34, 0.5)
    ),
    "tray": _Style(
        (0, 1, 3, 6, 10), (0.58, 0.76), (0.3, 0.4), -0.02, (8, 13), (0.94, 1.1), (0.9, 1.6), (0.28, 0.42), tray=True
    ),
    "sharp": _Style(
        (0, 2, 5, 6, 7, 10, 11), (0.66, 0.84), (0.26, 0.36), -0.05, (4, 8), (0.98, 1.12), (0.5, 0.9), (0.2, 0.3),
        (1.07, 1.0, 0.95), 7.0, 1.04,
    ),
}  # fmt: skip
SITE_STYLES: Final = tuple(_STYLES)


def stage(site_style: str, *key: int) -> Stage:
    """Set the station up for the capture of `key`. Raises ValueError if there is no such style."""
    if site_style not in _STYLES:
        raise ValueError(f"site style must be one of {', '.join(SITE_STYLES)}, not {site_style!r}")
    style = _STYLES[site_style]
    rng = draws(Domain.STAGE, SITE_STYLES.index(site_style), *key)
    surface = style.surfaces[int(rng.integers(len(style.surfaces)))]
    turn = float(np.radians(rng.normal(0, 3)))
    offset = rng.uniform(-120, 120, 2) + 512
    light = _light(rng, style)
    exposure = float(rng.uniform(*style.exposure))
    balance = rng.normal(0, 0.012, 2)
    noise = float(rng.uniform(*style.noise))
    temper = Temper(
        gains=(
            exposure * style.gains[0] * float(1 + balance[0]),
            exposure * style.gains[1],
            exposure * style.gains[2] * float(1 + balance[1]),
        ),
        vignette=float(rng.uniform(0.1, 0.3)),
        blur_px=float(rng.uniform(*style.blur_px)),
        read_noise=0.5 * noise,
        shot_noise=1.2 * noise,
        quality=int(rng.integers(78, 95)),
    )
    return Stage(
        site_style=site_style,
        surface=surface,
        lies=(float(np.cos(turn)), float(np.sin(turn)), float(offset[0]), float(offset[1])),
        light=light,
        temper=temper,
        steeper_deg=style.steeper_deg,
        closer=style.closer,
        furniture=_tray(int(rng.integers(3))) if style.tray else (),
    )


def _light(rng: np.random.Generator, style: _Style) -> Light:
    azimuth, elevation = np.radians(rng.uniform(15, 165)), np.radians(rng.uniform(46, 70))
    toward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    lean = style.warmth + float(rng.normal(0, 0.025))
    lamp, room = float(rng.uniform(*style.lamp)), float(rng.uniform(*style.room))
    window = np.radians(rng.uniform(180, 360))
    panel = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.1, 0.9)))
    halves = (float(rng.uniform(0.12, 0.5)), float(rng.uniform(0.06, 0.16)))
    side = "left" if azimuth > np.pi / 2 else "right"
    return Light(
        name=f"{'hard' if style.radius_cm[1] < 9 else 'soft'}-{side}",
        lamp=toward * float(rng.uniform(88, 112)) + np.array([0.0, 0.0, 2.0]),
        lamp_radius_cm=float(rng.uniform(*style.radius_cm)),
        lamp_colour=(lamp * (1 - lean), lamp, lamp * (1 + lean)),
        room_colour=(room * (1.02 - 0.5 * lean), room, room * (0.98 + 0.5 * lean)),
        panel=(*panel, *halves),
        panel_strength=float(rng.uniform(1.6, 3.2)),
        fill=np.array([np.cos(window) * 0.87, np.sin(window) * 0.87, 0.5]),
        fill_strength=float(rng.uniform(0.2, 0.7)),
    )


def table_colour(surface: int) -> Colour:
    """Return the mean linear colour of a surface, roughly."""
    blue, green, red = ((channel / 255) ** 2.2 for channel in SURFACES[surface].colour)
    return blue, green, red


_TRAY_COLOURS: Final = ((128, 126, 122), (96, 94, 92), (158, 156, 154))


@functools.lru_cache(maxsize=3)
def _tray(number: int) -> tuple[Part, ...]:
    """Mould a shallow grey tray: a floor, sloping walls with rounded edges, a rim."""
    inner, outer, wall_cm = (14.6, 13.2), (16.4, 15.0), 2.2
    profile = (  # share from the inner to the outer outline, height
        (0.0, -0.01), (0.2, 0.3), (0.45, wall_cm * 0.85), (0.52, wall_cm * 0.97), (0.6, wall_cm),
        (0.9, wall_cm), (0.97, wall_cm * 0.97), (1.0, wall_cm * 0.9), (1.0, 0.0),
    )  # fmt: skip
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    rings = []
    for share, level in profile:
        half = np.array([inner[0] + share * (outer[0] - inner[0]), inner[1] + share * (outer[1] - inner[1])])
        bow = (
            np.sign(np.stack([np.cos(angles), np.sin(angles)], 1))
            * np.abs(np.stack([np.cos(angles), np.sin(angles)], 1)) ** 0.22
        )
        rings.append(np.column_stack([bow * half, np.full(96, level)]))
    points = np.concatenate([*rings, [[0.0, 0.0, -0.01]]]).astype(np.float32)
    faces = []
    for ring in range(len(profile) - 1):
        for at in range(96):
            a, b = ring * 96 + at, ring * 96 + (at + 1) % 96
            c, d = a + 96, b + 96
            faces += [(a, c, b), (b, c, d)]
    faces += [(len(points) - 1, at, (at + 1) % 96) for at in range(96)]
    uv = np.clip(points[:, :2] / 40 + 0.5, 0, 1).astype(np.float32)
    rng = draws(Domain.SURFACE, 100 + number)
    skin = (paint(6)[:512, :512].astype(np.int16) - np.array(SURFACES[6].colour, np.int16)) + np.array(
        _TRAY_COLOURS[number], np.int16
    )
    skin = skin + rng.integers(-1, 2, skin.shape)
    return (
        Part(
            points=points,
            faces=np.array(faces, np.int32),
            uv=uv,
            print=np.clip(skin, 0, 255).astype(np.uint8),
            stuff=Stuff(gloss=0.2, sharp=22.0),
        ),
    )
