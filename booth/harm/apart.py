"""Deconstruction: units that fall apart. Parts stand off their places, or lie beside."""

from __future__ import annotations

import dataclasses

import numpy as np

from booth.artwork import primed
from booth.catalogue import BOOKS, Form
from booth.harm.openings import inner_page, top_of
from booth.harm.places import hurt
from booth.harm.tears import following
from booth.mesh import Part, Stuff
from booth.packs.stuffs import BOARD, PAPER_STUFF, inner_board, inside_colour
from booth.shapes import box, lying, net, patch
from booth.unit import Unit, moved, part


def break_up(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Shift a lid, cover or piece by 0.8 to 2 cm; in bad cases at least one part lies beside the unit."""
    form = unit.spec.form
    if form in BOOKS:
        return _book(unit, rng, major=major)
    if unit.pieces:
        return _pieces(unit, rng, major=major)
    if form is Form.CLAMSHELL:
        return _dome_off(unit, rng, major=major)
    if form in {Form.JAR, Form.TIN, Form.BOTTLE}:
        return _lid_off(unit, rng, major=major)
    return _carton(unit, rng, major=major)


def _carton(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Slide the lid off; in bad cases what was inside lies beside the box."""
    corners, lid, opened = top_of(unit)
    inside = opened.surface("inside")
    opened = opened.with_surface("inside", hurt(inside, np.ones(len(inside.points))))
    made = part(patch(corners, bow=0.15), lid, BOARD, two_sided=True, inner=inner_board(True))
    slide = float(rng.uniform(0.3, 0.55) * unit.spec.size_cm[1] if major else rng.uniform(0.9, 1.9))
    heading = rng.uniform(0, 2 * np.pi)
    turn = float(np.radians(rng.uniform(4, 14) * rng.choice([-1, 1]) * (1.8 if major else 0.6)))
    off = moved(
        made,
        by=(float(np.cos(heading)) * slide, float(np.sin(heading)) * slide, 0.12),
        yaw=turn,
        tilt=float(rng.normal(0, 0.03)),
    )
    opened = opened.with_surface("lid", hurt(off, np.ones(len(off.points))))
    return _beside(opened, rng, int(rng.integers(1, 4))) if major else opened


def _pieces(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Lift one piece out of line, or throw one to three out of the tray and leave the rest askew."""
    names = [unit.pieces[int(place)] for place in rng.permutation(len(unit.pieces))]
    length, depth, _ = unit.spec.size_cm
    if not major:
        piece = unit.surface(names[0])
        by = (float(rng.normal(0, 0.8)), float(rng.normal(0, 0.8)), float(rng.uniform(0.9, 1.8)))
        off = moved(
            piece, by=by, tilt=float(rng.choice([-1, 1]) * rng.uniform(0.25, 0.5)), yaw=float(rng.normal(0, 0.4))
        )
        return unit.with_surface(names[0], hurt(off, np.ones(len(off.points))))
    for number, name in enumerate(names[: int(rng.integers(1, 4))]):
        piece = unit.surface(name)
        middle = piece.points.mean(axis=0)
        side = float(rng.choice([-1.0, 1.0]))
        spot = (side * (length / 2 + rng.uniform(1.6, 3.0)), -depth / 2 + rng.uniform(-2.2, depth * 0.6) + 0.4 * number)
        lies = moved(piece, tilt=float(rng.choice([0.0, np.pi / 2])), yaw=float(rng.uniform(0, 6)))
        drop = -float(lies.points[:, 2].min())
        lies = moved(lies, by=(float(spot[0] - middle[0]), float(spot[1] - middle[1]), drop))
        unit = unit.with_surface(name, hurt(lies, np.ones(len(lies.points))))
    for name in names[3:5]:
        piece = unit.surface(name)
        off = moved(
            piece,
            by=(float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5)), float(rng.uniform(0.2, 0.8))),
            tilt=float(rng.normal(0, 0.3)),
        )
        unit = unit.with_surface(name, hurt(off, np.ones(len(off.points))))
    return unit


def _book(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Loosen the cover from its spine; in bad cases pages lie around."""
    cover = dataclasses.replace(unit.surface("cover"), two_sided=True, inner=inner_page())
    slide = float(rng.uniform(3.0, 6.0) if major else rng.uniform(0.8, 1.7))
    heading = rng.uniform(0, 2 * np.pi)
    off = moved(
        cover,
        by=(slide * float(np.cos(heading)), slide * float(np.sin(heading)), 0.1),
        yaw=float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.3) * (1.6 if major else 0.6)),
    )
    unit = unit.with_surface("cover", hurt(off, np.ones(len(off.points))))
    pages = unit.surface("pages")
    top = pages.points[:, 2] > pages.points[:, 2].max() - 0.1
    unit = unit.with_surface("pages", hurt(pages, top.astype(np.float32)))
    if not major:
        return unit
    length, depth, height = unit.spec.size_cm
    print_ = pages.print[20:-20, 20:-20]
    for number in range(int(rng.integers(1, 4))):
        x, y, z = rng.normal(0, length * 0.4), -depth / 2 + rng.normal(0, 3.0), 0.15 + 0.05 * number
        if abs(x) < length / 2 and y > -depth / 2 - 1:
            z = height + 0.15 + 0.1 * number
        half, tall = length * 0.48, depth * 0.48
        flat = np.array([[-half, tall, 0], [half, tall, 0], [half, -tall, 0], [-half, -tall, 0]], np.float64)
        sheet = part(
            patch(flat, bow=float(rng.uniform(0.1, 0.6))), np.ascontiguousarray(print_), PAPER_STUFF, two_sided=True
        )
        sheet = moved(sheet, by=(float(x), float(y), float(z)), yaw=float(rng.uniform(-1, 1)))
        unit = unit.with_surface(f"page-{number}", hurt(sheet, np.ones(len(sheet.points))))
    return unit


def _dome_off(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Shift the dome on its card, or drop the goods beside it."""
    film = unit.films["film"]
    slide = float(rng.uniform(2.0, 4.0) if major else rng.uniform(0.8, 1.6))
    heading = rng.uniform(0, 2 * np.pi)
    by = (slide * float(np.cos(heading)), slide * float(np.sin(heading)), 0.08)
    off = moved(film.part, by=by, yaw=float(rng.normal(0, 0.25 if major else 0.08)))
    unit = following(unit.with_film("film", dataclasses.replace(film, part=hurt(off, np.ones(len(off.points))))))
    if not major:
        return unit
    goods = unit.surface("goods")
    length, depth, _ = unit.spec.size_cm
    side = float(rng.choice([-1.0, 1.0]))
    low = float(goods.points[:, 2].min())
    middle = goods.points.mean(axis=0)
    spot = (
        side * length * float(rng.uniform(0.1, 0.5)) - float(middle[0]),
        -depth / 2 - float(rng.uniform(1.0, 2.5)) - float(middle[1]),
        -low,
    )
    fallen = moved(goods, by=spot, yaw=float(rng.uniform(-1.5, 1.5)))
    return unit.with_surface("goods", hurt(fallen, np.ones(len(fallen.points))))


def _lid_off(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Slide the lid sideways, or lay it on the table beside the open unit."""
    name = "cap" if "cap" in unit.parts else "lid"
    lid = unit.surface(name)
    heading = float(rng.uniform(-np.pi, 0))
    if not major:
        slide = float(rng.uniform(0.8, 1.8))
        off = moved(lid, by=(slide * abs(float(np.cos(heading))), slide * float(np.sin(heading)), 0.1), tilt=0.06)
    else:
        reach = (
            max(unit.spec.size_cm[:2]) / 2 + unit.spec.size_cm[1] * 0.45
            if name == "lid"
            else unit.spec.size_cm[1] * 0.9
        )
        start = lid.points.mean(axis=0)
        spot = np.array([reach * np.cos(heading), reach * np.sin(heading) * 0.9, 0.0])
        if name == "cap":
            spot[0] = abs(spot[0]) * 0.5 + unit.spec.size_cm[0] * 0.25
        lies = moved(lid, yaw=float(rng.uniform(-1, 1)))
        drop = -float(lies.points[:, 2].min())
        off = moved(lies, by=(float(spot[0] - start[0]), float(spot[1] - start[1]), drop))
    unit = unit.with_surface(name, hurt(off, np.ones(len(off.points))))
    inner = "neck" if name == "cap" else "inside"
    shown = unit.surface(inner)
    return unit.with_surface(inner, hurt(shown, np.ones(len(shown.points))))


def _beside(unit: Unit, rng: np.random.Generator, count: int) -> Unit:
    """Lay pieces of what was inside on the table around the unit."""
    length, depth, _ = unit.spec.size_cm
    for number in range(count):
        side = float(rng.choice([-1.0, 1.0]))
        near = rng.random() < 0.5
        x = rng.uniform(-0.45, 0.45) * length if near else side * (length / 2 + rng.uniform(1.2, 2.8))
        y = -depth / 2 - rng.uniform(1.2, 2.8) if near else rng.uniform(-0.5, 0.3) * depth
        piece = moved(_piece(unit, rng), by=(float(x), float(y), 0.0), yaw=float(rng.uniform(-1.5, 1.5)))
        unit = unit.with_surface(f"beside-{number}", hurt(piece, np.ones(len(piece.points))))
    return unit


def _piece(unit: Unit, rng: np.random.Generator) -> Part:
    colour = inside_colour(unit.spec)
    wide, deep, tall = float(rng.uniform(2.4, 4.2)), float(rng.uniform(1.6, 2.8)), float(rng.uniform(0.7, 1.6))
    paint = primed(colour, 6, 6, *unit.spec.key, 33)
    if rng.random() < 0.4:
        radius = deep / 2
        rod = lying(
            np.array([(-wide / 2, 0.01), (-wide / 2, radius), (wide / 2, radius), (wide / 2, 0.01)]), sectors=18
        )
        return part(rod, paint, Stuff(gloss=0.3, sharp=30))
    return part(box(wide, deep, tall, bevel=0.25, step=1.0), net(paint, paint, paint, tall), Stuff(gloss=0.2, sharp=24))
