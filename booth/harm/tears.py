"""Penetration: holes and tears through the outside, with their fibre rims and the inside to be seen."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.artwork import KRAFT
from booth.catalogue import Form, Material
from booth.harm.places import Field, Place, Window, choose, fine_shape, harmed, hurt, mix, step, window
from booth.mesh import Film, Part
from booth.unit import Unit

_TRACE: Final = 26  # of 255: opacity of what is not there
_FIBRE: Final = {Material.CARDBOARD: ((206, 218, 226), KRAFT), Material.PAPER: ((226, 232, 236), (190, 206, 220))}


def penetrate(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Tear a hole of 2 to 6 cm^2 or 11 to 38 cm^2, or a slit of 3 to 5 cm or 6 to 12 cm.

    Two out of five that are major have a second one.
    """
    for _ in range(2 if major and rng.random() < 0.4 else 1):
        unit = _tear(unit, rng, major=major)
    return unit


def _tear(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Tear one hole or slit."""
    names = [name for name in unit.skin if not name.startswith("label")]
    place = choose(unit, rng, names)
    shape = fine_shape(unit.surface(place.name), place)
    slit = rng.random() < 0.4
    reach = rng.uniform(3.0, 6.0) if slit and major else rng.uniform(1.5, 2.5) if slit else 0.0
    radius = rng.uniform(1.9, 3.5) if major else rng.uniform(0.8, 1.4)
    view = window(place, shape, max(reach, radius) * 1.5 + 0.8)
    if view.empty:
        return unit
    inside = _slit(view, rng, reach) if slit else _hole(view, rng, radius)
    if place.name in unit.films:
        return _through_film(unit, place, view, inside, shape, rng)
    torn = _through(unit, place, view, inside, shape, rng)
    press = (-0.35 if slit else 0.4) * (reach * 0.6 if slit else radius)
    return _bent(torn, place, press, (reach if slit else radius) * 1.2 + 0.5)


def _hole(view: Window, rng: np.random.Generator, radius: float) -> Field:
    """Return float32[h, w]: cm inside (positive) a ragged hole."""
    away = view.away(rng.uniform(0, np.pi), rng.uniform(1.0, 2.2))
    return np.asarray(np.float32(radius) - away + view.rough(rng, 8) * np.float32(0.2 * radius), np.float32)


def _slit(view: Window, rng: np.random.Generator, reach: float) -> Field:
    """Return float32[h, w]: cm inside a tear that runs both ways from the place and gapes in its middle."""
    angle = rng.uniform(0, np.pi)
    along = view.x * np.float32(np.cos(angle)) + view.y * np.float32(np.sin(angle))
    across = view.y * np.float32(np.cos(angle)) - view.x * np.float32(np.sin(angle))
    walk = np.interp(along, np.linspace(-reach, reach, 9), np.cumsum(rng.normal(0, 0.13 * reach, 9)) * 0.6)
    gape = np.float32(rng.uniform(0.28, 0.5)) * np.sqrt(np.float32(reach))
    half = gape * np.maximum(1 - (along / np.float32(reach)) ** 2, -4)
    return np.asarray(half - np.abs(across - walk) + view.rough(rng, 4) * np.float32(0.045), np.float32)


def _through(
    unit: Unit, place: Place, view: Window, inside: Field, shape: tuple[int, int], rng: np.random.Generator
) -> Unit:
    """Cut the print open; around the cut the coat is off and fibres stand."""
    surface = unit.surface(place.name)
    base = surface.print
    if base.shape[:2] != shape:
        base = np.asarray(cv2.resize(base, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.uint8)
    paint = np.dstack([base[..., :3], base[..., 3] if base.shape[2] == 4 else np.full(shape, 255, np.uint8)])
    region = paint[view.rows, view.columns]
    width = rng.uniform(0.1, 0.3)
    rim = step(inside + np.float32(width) * (1 + 0.8 * view.rough(rng, 4)), 0.06)
    tones = _FIBRE.get(unit.spec.material)
    if tones is None:  # plastic whitens where it tears
        blue, green, red = (int(min(255, channel * 0.5 + 110)) for channel in unit.spec.ground)
        tones = ((blue, green, red), (blue, green, red))
        rim = rim * np.float32(0.7)
    fibre = np.array(tones[int(rng.integers(2))], np.float32) + (view.rough(rng, 2) * 10)[..., None]
    region[..., :3] = np.clip(mix(region[..., :3].astype(np.float32), fibre, rim), 0, 255).astype(np.uint8)
    region[..., 3] = np.where(inside > 0, 0, region[..., 3])
    where = np.maximum(step(rim - np.float32(0.3), 0.2), step(inside + np.float32(0.25), 0.05))
    torn = harmed(dataclasses.replace(surface, print=paint), where, view, shape)
    return _seen_through(unit.with_surface(place.name, torn))


def _seen_through(unit: Unit) -> Unit:
    """Count what a hole lets one see as damage: what is inside a closed pack shows nowhere else."""
    if unit.films and unit.spec.form is Form.POLY_BAG:
        return unit
    if "inside" in unit.parts:
        inside = unit.surface("inside")
        return unit.with_surface("inside", hurt(inside, np.ones(len(inside.points))))
    if "pages" in unit.parts:
        pages = unit.surface("pages")
        reach = np.abs(pages.points[:, :2]).max(axis=0) - 0.6
        below = (pages.points[:, 2] > pages.points[:, 2].max() - 0.1) & (np.abs(pages.points[:, :2]) < reach).all(
            axis=1
        )
        return unit.with_surface("pages", hurt(pages, below.astype(np.float32)))
    return unit


def _through_film(
    unit: Unit, place: Place, view: Window, inside: Field, shape: tuple[int, int], rng: np.random.Generator
) -> Unit:
    """Cut a film open: nothing where it is gone, and around it a film of its own, the white rolled rim.

    Only what shines through the rim's film counts as damage, so it goes on, hardly to be seen, inside the hole.
    """
    film = unit.films[place.name]
    sheer = film_opacity(film, shape)
    sheer[view.rows, view.columns][inside > 0] = 0
    rim = step(inside + np.float32(0.2) * (1 + 0.5 * view.rough(rng, 4)), 0.06)
    lip = np.zeros(shape, np.uint8)
    lip[view.rows, view.columns] = np.where(inside > 0, _TRACE, 255 * rim).astype(np.uint8)
    bare = dataclasses.replace(film.part, bump=None)
    rolled = harmed(bare, step(inside + np.float32(0.25), 0.05), view, shape)
    unit = unit.with_film(place.name, dataclasses.replace(film, opacity_print=sheer))
    return unit.with_film(f"{place.name}-rim-{len(unit.films)}", Film(rolled, opacity=0.62, opacity_print=lip))


def following(unit: Unit) -> Unit:
    """Move the rims of torn films to where their film is now."""
    for name, rim in unit.films.items():
        film, _, is_rim = name.partition("-rim-")
        if is_rim:
            there = dataclasses.replace(rim.part, points=unit.films[film].part.points)
            unit = unit.with_film(name, dataclasses.replace(rim, part=there))
    return unit


def without_rims(unit: Unit) -> Unit:
    """Take the rims of torn films away, as their films are."""
    return unit.without(*(name for name in unit.films if "-rim-" in name))


def film_opacity(film: Film, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the film's opacity print resized to a shape, uint8[h, w], fresh."""
    if film.opacity_print is None:
        return np.full(shape, 255, np.uint8)
    return np.array(cv2.resize(film.opacity_print, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def _bent(unit: Unit, place: Place, press_cm: float, reach: float) -> Unit:
    """Press the torn surface in, or lift its lips where `press_cm` is negative."""
    surface = unit.surface(place.name)
    away = np.linalg.norm(surface.points - place.point, axis=1) / np.float32(reach)
    kernel = np.maximum(1 - away**2, 0)
    points = surface.points - place.normal * (kernel * min(press_cm, 0.8))[:, None].astype(np.float32)
    points[:, 2] = np.maximum(points[:, 2], 0)
    bent: Part = dataclasses.replace(surface, points=np.asarray(points, np.float32))
    return unit.with_surface(place.name, hurt(bent, np.zeros(len(points), np.float32)))
