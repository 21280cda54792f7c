"""Sets: a tray of equal pieces at known places, open or under tight film."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from booth.artwork import KRAFT, add_decoy, face, primed
from booth.catalogue import Colour, Spec
from booth.draws import Domain, draws
from booth.lettering import Paint, code_label, pixels, text_width, write
from booth.mesh import Film, Part
from booth.packs.stuffs import BOARD, COATED, FILM, METAL, creases
from booth.shapes import Mesh, box, disc, net
from booth.unit import Unit, moved, part

_FLOOR_CM = 0.4
_WALL_CM = 0.35


def tray(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build an open board tray with its pieces, each a little off its place."""
    return _fill(spec, rng, wall_cm=spec.size_cm[2] * 0.55)


def wrapped_set(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a low tray of taller pieces under tight film with a paper label on it."""
    unit = _fill(spec, rng, wall_cm=1.6)
    length, depth, height = spec.size_cm
    cover = part(_film_mesh(spec.size_cm), np.full((8, 8, 3), 235, np.uint8), FILM)
    wide, tall = length + 2 * height, depth + 2 * height
    cover = dataclasses.replace(cover, bump=creases(tall, wide, rng, amount_cm=0.05))
    unit = unit.with_film("film", Film(cover, opacity=0.07))
    return dataclasses.replace(unit, skin=(*unit.skin, "film"))


def places(spec: Spec) -> list[tuple[float, float]]:
    """Return where the middle of every piece belongs, x and y in centimetres."""
    length, depth = spec.size_cm[0] - 2 * _WALL_CM, spec.size_cm[1] - 2 * _WALL_CM
    return [
        ((column + 0.5) / spec.columns * length - length / 2, depth / 2 - (row + 0.5) / spec.rows * depth)
        for row in range(spec.rows)
        for column in range(spec.columns)
    ]


def _fill(spec: Spec, rng: np.random.Generator, *, wall_cm: float) -> Unit:
    parts: dict[str, Part] = dict(_tray_parts(spec, wall_cm))
    names: list[str] = []
    odd_name = f"piece-{spec.odd}"
    for number, (x, y) in enumerate(places(spec)):
        shift = (x + float(rng.normal(0, 0.05)), y + float(rng.normal(0, 0.05)), _FLOOR_CM)
        turn = float(rng.normal(0, 0.12 if _round(spec) else 0.02))
        name = f"piece-{number}"
        if name == odd_name and spec.empty_by_design:
            continue
        piece = _piece(spec, odd=name == odd_name)
        parts[name] = moved(piece, by=shift, yaw=turn, about=np.zeros(3, np.float32))
        names.append(name)
    label = _label_place(spec)
    parts["label"] = label
    skin = (*names, "label", "front", "right", "left")
    return Unit(spec, parts, {}, skin=skin, pieces=tuple(names))


def _round(spec: Spec) -> bool:
    return bool(draws(Domain.ARTWORK, *spec.key, 40).random() < 0.6)


@functools.lru_cache(maxsize=96)
def _tray_parts(spec: Spec, wall_cm: float) -> tuple[tuple[str, Part], ...]:
    length, depth, _ = spec.size_cm
    ground: Colour = KRAFT if spec.layout % 2 else spec.ground
    floor_print = primed(tuple(int(c * 0.8) for c in ground), length, depth, *spec.seeds, 41)  # type: ignore[arg-type]
    if spec.odd >= 0 and spec.empty_by_design:
        _printed_place(floor_print, spec)
    plain = primed(ground, 12, 2, *spec.seeds, 42)
    floor = part(box(length, depth, _FLOOR_CM, bevel=0.05, step=1.2), net(floor_print, plain, plain, _FLOOR_CM), BOARD)
    made = [("floor", floor)]
    thick = _WALL_CM
    for name, wide, yaw, spot in (
        ("back", length, 0.0, (0.0, depth / 2 - thick / 2)),
        ("left", depth - 2 * thick, np.pi / 2, (-length / 2 + thick / 2, 0.0)),
        ("right", depth - 2 * thick, -np.pi / 2, (length / 2 - thick / 2, 0.0)),
        ("front", length, 0.0, (0.0, -depth / 2 + thick / 2)),
    ):
        paint = face(spec, wide, wall_cm, "front" if name in {"front", "back"} else "side", ground=ground)
        rim = primed(ground, wide, thick, *spec.seeds, 43)
        wall = part(box(wide, thick, wall_cm, bevel=0.05, step=1.5), net(rim, paint, rim, wall_cm), BOARD)
        turned = moved(wall, by=(spot[0], spot[1], 0), yaw=-float(yaw), about=np.zeros(3, np.float32))
        made.append((name, turned))
    return tuple(made)


def _printed_place(floor: Paint, spec: Spec) -> None:
    """Print a dark disc where the makers leave a place empty, so that it looks like a missing piece and is none."""
    x, y = places(spec)[spec.odd]
    spot = (pixels(x + spec.size_cm[0] / 2), pixels(spec.size_cm[1] / 2 - y))
    cv2.circle(floor, spot, pixels(_radius(spec) * 0.8), tuple(int(c * 0.45) for c in spec.ground), -1, cv2.LINE_AA)


def _radius(spec: Spec) -> float:
    length, depth = spec.size_cm[0] - 2 * _WALL_CM, spec.size_cm[1] - 2 * _WALL_CM
    return min(length / spec.columns, depth / spec.rows) * 0.465


@functools.lru_cache(maxsize=192)
def _piece(spec: Spec, *, odd: bool) -> Part:
    """Return one piece standing at the origin: a can or jar seen from its lid, or a little box."""
    height = spec.size_cm[2] - _FLOOR_CM - 0.3
    ground, accent = (spec.accent, spec.ground) if odd else (spec.ground, spec.accent)
    if _round(spec):
        radius = _radius(spec)
        profile = np.array(
            [(0.0, height), (radius * 0.45, height), (radius * 0.8, height), (radius * 0.84, height - 0.12),
             (radius * 0.94, height - 0.1), (radius, height - 0.25), (radius, height * 0.5), (radius * 0.98, 0.0)]
        )  # fmt: skip
        mesh = disc(profile, sectors=20)
        return part(mesh, _lid_print(spec, mesh, ground, accent), METAL if spec.layout % 3 == 0 else COATED)
    length, depth = (spec.size_cm[0] - 0.7) / spec.columns - 0.35, (spec.size_cm[1] - 0.7) / spec.rows - 0.35
    small = dataclasses.replace(spec, ground=ground, accent=accent, codes=())
    top = face(small, length, depth, "top")
    side = primed(accent, max(length, depth), height, *spec.seeds, 44)
    return part(box(length, depth, height, bevel=0.2, step=1.6), net(top, side, side, height), COATED)


def _lid_print(spec: Spec, mesh: Mesh, ground: Colour, accent: Colour) -> Paint:
    side = pixels(mesh.print_cm[0])
    paint = np.empty((side, side, 3), np.uint8)
    paint[:] = accent
    middle, radius = (side // 2, side // 2), pixels(_radius(spec) * 0.8)
    cv2.circle(paint, middle, radius, ground, -1, cv2.LINE_AA)
    cv2.circle(paint, middle, round(radius * 0.9), spec.ink, 2, cv2.LINE_AA)
    size = radius * 0.55
    while text_width(spec.brand, size, 800) > radius * 1.5:
        size -= 1
    write(
        paint,
        spec.brand,
        middle[0] - text_width(spec.brand, size, 800) / 2,
        middle[1] + size * 0.3,
        spec.ink,
        size,
        800,
    )
    if spec.decoy:
        add_decoy(paint, spec)
    return paint


@functools.lru_cache(maxsize=256)
def _film_mesh(size: tuple[float, float, float]) -> Mesh:
    return box(size[0] + 0.3, size[1] + 0.3, size[2] + 0.1, bevel=0.8, step=1.0)


def _label_place(spec: Spec) -> Part:
    """Lay a paper label, with the code if that is on top, over a few of the pieces."""
    paint = _label_print(spec)
    length, depth = paint.shape[1] / 20.0, paint.shape[0] / 20.0
    mesh = box(length, depth, 0.08, bevel=0.02, step=1.2)
    edge = primed((235, 235, 235), 10, 1, *spec.seeds, 45)
    made = part(mesh, net(paint, edge, edge, 0.4), COATED)
    rng = draws(Domain.ARTWORK, *spec.key, 46)
    x, y = (float(rng.uniform(-1, 1)) * (spec.size_cm[axis] - side) * 0.42 for axis, side in ((0, length), (1, depth)))
    return moved(made, by=(x, y, spec.size_cm[2] - 0.26), about=np.zeros(3, np.float32))


@functools.lru_cache(maxsize=160)
def _label_print(spec: Spec) -> Paint:
    if spec.codes and spec.codes[0].on_top:
        return code_label(spec.codes[0], pixels(spec.size_cm[0] - 2))
    return face(dataclasses.replace(spec, codes=()), 5.0, 2.4, "shipping", ground=(240, 240, 240))
