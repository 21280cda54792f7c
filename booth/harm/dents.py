"""Deformation: dents, crushed corners and edges, crumpled bags. Depths and reaches are the rules of severity."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from booth.catalogue import BOOKS, Form
from booth.harm.places import Field, Place, choose, fine_shape, hurt, mix, place_on, step, window
from booth.mesh import Part, Points
from booth.unit import Unit

_SOFT = frozenset({Form.MAILER, Form.BUBBLE_MAILER, Form.POLY_BAG})

_ROUND = frozenset({Form.BOTTLE, Form.JAR, Form.TIN, Form.CLAMSHELL})


def deform(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Press a dent, crush a corner or an edge, or crumple what is soft."""
    solid = tuple(name for name in unit.skin if name not in unit.films and not name.startswith("label"))
    if unit.spec.form in _SOFT and rng.random() < 0.6:
        return _crumple(unit, choose(unit, rng, solid), rng, major=major)
    if unit.spec.form in _SOFT | _ROUND or rng.random() < 0.45:
        return _dent(unit, choose(unit, rng, solid), rng, major=major)
    return _crush(unit, rng, major=major)


def _dent(unit: Unit, place: Place, rng: np.random.Generator, *, major: bool) -> Unit:
    """Press a bowl in: minor 0.8 to 1.3 cm deep over 5.2 to 7.6 cm, major 1.6 to 3 cm over 7 to 11 cm."""
    depth = rng.uniform(1.6, 3.0) if major else rng.uniform(0.8, 1.3)
    radius = rng.uniform(3.5, 5.5) if major else rng.uniform(2.6, 3.8)
    depth = min(depth, 0.5 * float(unit.surface(place.name).points[:, 2].max()))
    tangent = _tangent(place, rng)
    stretch = float(np.sqrt(rng.uniform(1.0, 2.4)))
    folds = [(float(rng.uniform(0, np.pi)), float(rng.normal(0, 0.3 * radius))) for _ in range(3 if major else 2)]
    changed = unit
    for name in _bending(unit):
        surface = unit.surface(name)
        offset = surface.points - place.point
        along = offset @ tangent
        other = offset - along[:, None] * tangent
        away = np.sqrt((along / stretch) ** 2 + (other**2).sum(axis=1) * stretch) / np.float32(radius)
        kernel = np.maximum(1 - away**2, 0) ** 2
        if not kernel.any():
            continue
        across = offset @ np.cross(place.normal, tangent)
        for angle, shift in folds:
            line = along * np.cos(angle) + across * np.sin(angle) - shift
            kernel = kernel + 0.25 * np.sqrt(kernel) * np.exp(-np.abs(line) / 0.5)
        moved = surface.points - place.normal * (kernel * depth)[:, None].astype(np.float32)
        changed = changed.with_surface(name, hurt(_shifted(surface, _grounded(moved)), step(kernel - 0.12, 0.15)))
    return _creased(
        changed, place, rng, reach=radius * 1.3, lines=9 if major else 5, strength=0.16 if major else 0.1, rub=0.8
    )


def _crush(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Push a corner, or the middle of an edge, inwards: minor 1.3 to 2 cm, major 2.6 to 4.4 cm; folds around it."""
    outside = [unit.surface(name).points for name in _bending(unit) if name not in unit.films]
    high = np.concatenate(outside).max(axis=0)
    low = np.concatenate(outside).min(axis=0)
    sides = rng.choice([-1.0, 1.0], 2)
    if rng.random() < 0.65:
        sides[1] = -1.0  # corners near the station: those the cameras see
    corner = np.array([high[0] if sides[0] > 0 else low[0], high[1] if sides[1] > 0 else low[1], high[2]], np.float32)
    edge = rng.random() < 0.35
    if edge:
        corner[0] = np.float32(rng.uniform(low[0] * 0.7, high[0] * 0.7))
    outside_points = np.concatenate(outside)
    corner = outside_points[int(np.linalg.norm(outside_points - corner, axis=1).argmin())].copy()
    push_cm = rng.uniform(2.6, 4.4) if major else rng.uniform(1.3, 2.0)
    push_cm = min(push_cm, float(high[2]) * 0.75)
    reach = push_cm * rng.uniform(1.5, 2.0) + 0.9
    inward = np.array(
        [0 if edge else -sides[0] * rng.uniform(0.5, 1), -sides[1] * rng.uniform(0.5, 1), -rng.uniform(0.4, 1)]
    )
    inward = (inward / np.linalg.norm(inward)).astype(np.float32)
    if unit.spec.form in BOOKS and rng.random() < 0.5:
        inward[2] = abs(inward[2])  # a dog's ear
    axis = np.cross(inward, rng.normal(0, 1, 3)).astype(np.float32)
    axis /= np.float32(max(float(np.linalg.norm(axis)), 1e-6))
    wave, phase = rng.uniform(2.4, 4.2), rng.uniform(0, 6)
    changed = unit
    for name in _bending(unit):
        surface = unit.surface(name)
        offset = surface.points - corner
        away = np.linalg.norm(offset * (np.array([0.45, 1, 1]) if edge else 1.0), axis=1) / np.float32(reach)
        kernel = np.maximum(1 - away, 0) ** 1.3
        if not kernel.any():
            continue
        fold = np.sin(offset @ axis * wave + phase) * kernel * min(0.3, 0.24 * push_cm)
        moved = surface.points + inward * (kernel * push_cm)[:, None] + axis * fold[:, None]
        changed = changed.with_surface(name, hurt(_shifted(surface, _grounded(moved)), step(kernel - 0.1, 0.15)))
    place = _nearest(unit, corner)
    return _creased(changed, place, rng, reach=reach, lines=11 if major else 6, strength=0.14, rub=0.9)


def _crumple(unit: Unit, place: Place, rng: np.random.Generator, *, major: bool) -> Unit:
    """Crumple soft goods: ridges of 0.5 to 0.8 cm within 5 cm, or of 1 to 1.8 cm within 8 cm."""
    height = rng.uniform(1.0, 1.8) if major else rng.uniform(0.5, 0.8)
    reach = rng.uniform(5.0, 8.0) if major else rng.uniform(3.4, 5.0)
    waves = [(rng.normal(0, 1, 3), float(rng.uniform(1.2, 2.6)), float(rng.uniform(0, 6))) for _ in range(4)]
    changed = unit
    for name in _bending(unit):
        surface = unit.surface(name)
        offset = surface.points - place.point
        kernel = np.maximum(1 - (np.linalg.norm(offset, axis=1) / np.float32(reach)) ** 2, 0)
        if not kernel.any() or name == "inside":
            continue
        ridges = np.zeros(len(offset))
        for heading, length, phase in waves:
            run = offset @ (heading / np.linalg.norm(heading)).astype(np.float32)
            ridges += 1 - 2 * np.abs(np.sin(run * np.pi / length + phase))
        moved = surface.points + place.normal * (ridges * kernel * height / 2.4)[:, None].astype(np.float32)
        changed = changed.with_surface(name, hurt(_shifted(surface, _grounded(moved)), step(kernel - 0.2, 0.2)))
    return _creased(changed, place, rng, reach=reach, lines=18 if major else 10, strength=0.18, rub=0.7)


def _creased(
    unit: Unit, place: Place, rng: np.random.Generator, *, reach: float, lines: int, strength: float, rub: float = 0.3
) -> Unit:
    """Break the surface along lines through the place: a fine relief, and print that cracks there."""
    surface = unit.surface(place.name)
    shape = fine_shape(surface, place)
    view = window(place, shape, reach)
    if view.empty:
        return unit
    near = np.maximum(1 - (view.away() / np.float32(reach)) ** 2, 0)
    relief, cracks = np.zeros(view.shape, np.float32), np.zeros(view.shape, np.float32)
    bend = view.rough(rng, 16) * np.float32(0.12)
    for _ in range(lines):
        angle, shift = rng.uniform(0, np.pi), rng.normal(0, 0.3 * reach)
        line = view.x * np.float32(np.sin(angle)) - view.y * np.float32(np.cos(angle)) - np.float32(shift) + bend
        ridge = np.exp(-np.abs(line) / np.float32(0.12))
        relief += ridge * np.float32(rng.choice([-1.0, 1.0]))
        cracks = np.maximum(cracks, np.exp(-np.abs(line) / np.float32(0.035)))
    bump = np.zeros(shape, np.float32) if surface.bump is None else _resized(surface.bump, shape)
    bump[view.rows, view.columns] += relief * near * np.float32(strength)
    changed = dataclasses.replace(surface, bump=bump)
    if surface.print.shape[:2] == shape and place.name not in unit.films:
        paint = surface.print.copy()
        region = paint[view.rows, view.columns, :3]
        speck = step(view.rough(rng, 2) + np.float32(0.4), 0.8)
        white = np.full((*view.shape, 3), 216, np.float32)
        region[:] = mix(region.astype(np.float32), white, cracks * near * speck * np.float32(rub)).astype(np.uint8)
        changed = dataclasses.replace(changed, print=paint)
    return unit.with_surface(place.name, changed)


def _bending(unit: Unit) -> tuple[str, ...]:
    return (*unit.parts, *unit.films)


def _shifted(surface: Part, points: Points) -> Part:
    return dataclasses.replace(surface, points=points)


def _grounded(points: Field) -> Points:
    """Keep everything above the table."""
    out = np.array(points, np.float32)
    out[:, 2] = np.maximum(out[:, 2], 0.0)
    return out


def _tangent(place: Place, rng: np.random.Generator) -> Field:
    other = rng.normal(0, 1, 3)
    tangent = other - place.normal * (other @ place.normal)
    return np.asarray(tangent / max(float(np.linalg.norm(tangent)), 1e-6), np.float32)


def _nearest(unit: Unit, point: Field) -> Place:
    """Return the place of the skin's vertex nearest to a point."""
    away = {
        name: np.linalg.norm(unit.surface(name).points - point, axis=1) for name in unit.skin if name not in unit.films
    }
    name = min(away, key=lambda candidate: float(away[candidate].min()))
    surface = unit.surface(name)
    triangle = int(np.nonzero((surface.faces == int(away[name].argmin())).any(axis=1))[0][0])
    return place_on(surface, name, triangle, (1 / 3, 1 / 3, 1 / 3))


def _resized(bump: Field, shape: tuple[int, int]) -> Field:
    if bump.shape == shape:
        return bump.copy()
    return np.asarray(cv2.resize(bump, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)
