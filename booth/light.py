"""Camera and light: where a point of the table lands in the picture, and how bright a tilted surface is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from booth.draws import Domain, draws

Vectors = NDArray[np.float64]  # float64[n, 3], centimetres on the table: x right, y away from the station, z up

SIDE: Final = 480  # pixels of a picture, both ways


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole. `axes` float64[3, 3] are right, down and forward."""

    camera_id: str
    eye: Vectors
    axes: Vectors
    focal_px: float

    def project(self, points: Vectors) -> NDArray[np.float32]:
        """Return float32[n, 2] pixels of float64[n, 3] points."""
        seen = (points - self.eye) @ self.axes.T
        return (seen[:, :2] / seen[:, 2:] * self.focal_px + SIDE / 2).astype(np.float32)

    def distance(self, point: Vectors) -> float:
        """Return how far away a float64[3] point is, for painting the far things first."""
        return float(np.linalg.norm(point - self.eye))


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One soft lamp and the room. `toward` float64[3] points at the lamp; `tint` scales blue, green, red."""

    toward: Vectors
    room: float
    lamp: float
    tint: tuple[float, float, float]
    hot_spot: tuple[float, float]  # where the lamp is strongest, fractions of the picture

    def brightness(self, cosine: NDArray[np.floating]) -> NDArray[np.float32]:
        """Turn the cosine to the lamp into a factor on display values (gamma 2.2 already applied)."""
        linear = self.room + self.lamp * np.maximum(cosine, 0)
        return np.asarray(np.power(linear, 1 / 2.2), np.float32)


def camera(number: int, *key: int) -> Camera:
    """Mount camera 0 (above the front edge) or 1 (lower, from the side), a little off its mark in every capture."""
    rng = draws(Domain.CAMERA, number, *key)
    elevation = np.radians((60.0 if number == 0 else 46.0) + rng.normal(0, 1.2))
    azimuth = np.radians((-90.0 if number == 0 else -52.0) + rng.normal(0, 1.5))
    range_cm = (78.0 if number == 0 else 86.0) + rng.normal(0, 1.5)
    outward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    forward = -outward
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    aim = np.array([rng.normal(0, 0.5), rng.normal(0, 0.5), 2.0])
    return Camera(
        camera_id=("top", "side")[number],
        eye=aim + range_cm * outward,
        axes=np.stack([right, np.cross(forward, right), forward]),
        focal_px=1240.0,
    )


def light(rng: np.random.Generator) -> Light:
    """Switch on the station's lamp: from the left or the right behind, warmer or colder."""
    azimuth, elevation = np.radians(rng.uniform(20, 160)), np.radians(rng.uniform(46, 68))
    warmth = rng.normal(0, 0.03)
    exposure = rng.uniform(0.9, 1.06)
    return Light(
        toward=np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]),
        room=float(rng.uniform(0.3, 0.42)),
        lamp=float(rng.uniform(0.76, 0.9)),
        tint=(exposure * (1 - warmth), exposure, exposure * (1 + warmth)),
        hot_spot=(float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.1, 0.6))),
    )
