"""One physical unit of a product: named parts and films in its own frame, before it is put on the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Spec
from booth.mesh import Film, Part, Points, Print, Scene, Stuff
from booth.shapes import Mesh


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A unit in its own frame: front towards the station, standing at the origin. Damage makes a new one out of it.

    `skin` names the parts or films that make its outside, where damage, dirt and wear may be; `body` those that bend
    together when something presses. `pieces` are the pieces of a set, in the order of their places.
    """

    spec: Spec
    parts: Mapping[str, Part]
    films: Mapping[str, Film]
    skin: tuple[str, ...]
    pieces: tuple[str, ...] = ()

    def surface(self, name: str) -> Part:
        """Return a part, or the part of a film."""
        part = self.parts.get(name)
        return self.films[name].part if part is None else part

    def with_surface(self, name: str, part: Part) -> Unit:
        """Return the unit with a part, or the part of a film, exchanged or added."""
        if name in self.films:
            return self.with_film(name, dataclasses.replace(self.films[name], part=part))
        return dataclasses.replace(self, parts={**self.parts, name: part})

    def with_film(self, name: str, film: Film) -> Unit:
        """Return the unit with a film exchanged or added."""
        return dataclasses.replace(self, films={**self.films, name: film})

    def without(self, *names: str) -> Unit:
        """Return the unit without some parts or films."""
        return dataclasses.replace(
            self,
            parts={name: part for name, part in self.parts.items() if name not in names},
            films={name: film for name, film in self.films.items() if name not in names},
            skin=tuple(name for name in self.skin if name not in names),
            pieces=tuple(name for name in self.pieces if name not in names),
        )

    def scene(self, yaw: float, offset: tuple[float, float]) -> Scene:
        """Put the unit on the table, turned by `yaw` radians and moved by `offset` centimetres."""
        cosine, sine = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], np.float32)
        move = np.array([*offset, 0], np.float32)

        def put(part: Part) -> Part:
            return dataclasses.replace(part, points=part.points @ turn + move)

        return Scene(
            parts=tuple(put(part) for part in self.parts.values()),
            films=tuple(dataclasses.replace(film, part=put(film.part)) for film in self.films.values()),
        )


def part(mesh: Mesh, print_: Print, stuff: Stuff, *, two_sided: bool = False, inner: Print | None = None) -> Part:
    """Make a part of a mesh and its print."""
    return Part(mesh.points, mesh.faces, mesh.uv, print_, stuff, two_sided=two_sided, inner=inner)


def moved(
    part_: Part,
    *,
    by: tuple[float, float, float] = (0.0, 0.0, 0.0),
    yaw: float = 0.0,
    tilt: float = 0.0,
    about: NDArray[np.float32] | None = None,
) -> Part:
    """Return a part tilted about the x axis, turned about the z axis and moved; `about` defaults to its middle."""
    middle = part_.points.mean(axis=0) if about is None else about
    points = part_.points - middle
    lean = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]], np.float32)
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]], np.float32)
    return dataclasses.replace(
        part_, points=(points @ lean @ turn + middle + np.array(by, np.float32)).astype(np.float32)
    )


def waver(points: Points, rng: np.random.Generator, *, height_cm: float, wavelength_cm: float) -> Points:
    """Displace points float32[n, 3] by a smooth field of three slanted waves: nothing real is quite flat."""
    shift = np.zeros_like(points)
    for _ in range(3):
        heading = rng.normal(0, 1, 3)
        heading *= 2 * np.pi / (wavelength_cm * np.linalg.norm(heading) * rng.uniform(0.7, 1.5))
        way = rng.normal(0, 1, 3) * np.array([0.3, 0.3, 0.75])
        phase = points @ heading.astype(np.float32) + np.float32(rng.uniform(0, 2 * np.pi))
        shift += np.sin(phase)[:, None] * (way * height_cm / np.sqrt(3)).astype(np.float32)
    grounded = np.clip(points[:, 2:] / np.float32(0.8), 0, 1)
    return np.asarray(points + shift * grounded, np.float32)
