"""Actuation: packs that were opened, a little or all the way, each form in its own manner."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.catalogue import Form
from booth.harm.places import hurt
from booth.harm.tears import film_opacity, following, without_rims
from booth.lettering import Paint, pixels
from booth.mesh import Film, Part
from booth.packs.stuffs import BOARD, inner_board
from booth.shapes import patch
from booth.unit import Unit, moved, part

Corners = NDArray[np.float64]


def unseal(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Open the unit: minor leaves a gap of about a finger, major shows the inside to anybody."""
    form = unit.spec.form
    if form in {Form.CARTON, Form.WRAPPED_BOX} or (form is Form.BUBBLE_MAILER and "film" in unit.films):
        return _open_carton(_film_off(unit, rng), rng, major=major)
    if form in {Form.MAILER, Form.BUBBLE_MAILER}:
        return _open_mailer(unit, rng, major=major)
    if form is Form.POLY_BAG:
        return _slide_out(unit, rng, major=major)
    if form is Form.CLAMSHELL:
        return _lift_dome(unit, rng, major=major)
    if form in {Form.BOTTLE, Form.JAR, Form.TIN}:
        return _uncap(unit, rng, major=major)
    return _open_book(_film_off(unit, rng), rng, major=major)


def top_of(unit: Unit) -> tuple[Corners, Paint, Unit]:
    """Cut the top out of a carton: return its corners float64[4, 3], its print and the box without it."""
    length, depth, height = unit.spec.size_cm
    body = unit.surface("body")
    rise, wide, tall = pixels(height), pixels(length), pixels(depth)
    paint = body.print
    lid = np.ascontiguousarray(paint[rise : rise + tall, rise : rise + wide])
    opened = np.dstack(
        [paint[..., :3], np.full(paint.shape[:2], 255, np.uint8) if paint.shape[2] == 3 else paint[..., 3]]
    )
    opened[rise : rise + tall, rise : rise + wide, 3] = 0
    x, y = length / 2, depth / 2
    corners = np.array([[-x, y, height], [x, y, height], [x, -y, height], [-x, -y, height]])
    return corners, lid, unit.with_surface("body", dataclasses.replace(body, print=opened))


def _open_carton(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Lift the lid on its hinge, or fold flaps back on all sides."""
    corners, lid, opened = top_of(unit)
    _, depth, height = unit.spec.size_cm
    grey = inner_board(unit.surface("body").inner is inner_board(True))
    opened = _mark_inside(opened)
    if not major or rng.random() < 0.4:  # one lid, hinged at the back or at a side
        angle = float(np.radians(rng.uniform(30, 100) if major else rng.uniform(7, 14)))
        rise, run = depth * np.sin(angle), depth * np.cos(angle)
        raised = corners.copy()
        raised[2:, 1] = corners[:2, 1] - run
        raised[2:, 2] = height + rise
        sheet = _flap(raised, lid, grey, bow=float(rng.uniform(0.1, 0.5)))
        return opened.with_surface("lid", sheet)
    reach = depth / 2 * float(rng.uniform(0.8, 1.0))
    for edge in range(4):
        start, end = corners[edge], corners[(edge + 1) % 4]
        inward = np.array([[0, -1, 0], [-1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float64)[edge]
        angle = float(np.radians(rng.uniform(105, 205)))
        tip = (np.cos(angle) * inward + np.sin(angle) * np.array([0, 0, 1.0])) * reach
        tip[2] = max(tip[2], -height + 0.2)
        shrink = (end - start) * 0.02
        flap = np.array([start + tip + shrink, end + tip - shrink, end - shrink, start + shrink])
        half = np.ascontiguousarray(np.rot90(lid, edge)[: max(8, lid.shape[0] // 2)])
        opened = opened.with_surface(f"flap-{edge}", _flap(flap, half, grey, bow=float(rng.normal(0, 0.2))))
    return opened


def _flap(corners: Corners, outer: Paint, inner: Paint, *, bow: float) -> Part:
    made = part(patch(corners, bow=bow), outer, BOARD, two_sided=True, inner=inner)
    return hurt(made, np.ones(len(made.points)))


def _mark_inside(unit: Unit) -> Unit:
    """Count what the open lid lets one see as damage."""
    if "inside" not in unit.parts:
        return unit
    inside = unit.surface("inside")
    return unit.with_surface("inside", hurt(inside, np.ones(len(inside.points))))


def _film_off(unit: Unit, rng: np.random.Generator) -> Unit:
    """Take a tight film off one half of what it held: a ragged edge across, nothing beyond."""
    if "film" not in unit.films:
        return unit
    film = unit.films["film"]
    shape = (240, 320)
    sheer = film_opacity(film, shape)
    x = np.linspace(0, 1, shape[1])[None, :]
    edge = 0.75 + 0.1 * np.cumsum(rng.normal(0, 0.12, shape[0]))[:, None] / 4
    sheer[np.broadcast_to(x, shape) < edge] = 0
    rim = np.exp(-(((x - edge) / 0.012) ** 2))
    harm = np.clip(rim * 400, 0, 255).astype(np.uint8)
    sheer = np.maximum(sheer, (rim * 255).astype(np.uint8))
    torn = dataclasses.replace(film.part, harm_print=harm)
    return without_rims(unit).with_film("film", Film(torn, opacity=film.opacity, opacity_print=sheer))


def _open_mailer(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Tear the flap's end open: the bag gapes at its far or near end, and the flap stands up."""
    body = unit.surface("body")
    length, depth, _ = unit.spec.size_cm
    share = float(rng.uniform(0.16, 0.3) if major else rng.uniform(0.06, 0.1))
    near = rng.random() < 0.6
    paint = body.print.copy()
    height, width = paint.shape[:2]
    cut = int(height * share)
    left, right = (
        (0, width)
        if major
        else sorted(int(v) for v in rng.choice([0, width // 3, 2 * width // 3, width], 2, replace=False))
    )
    ragged = np.cumsum(rng.normal(0, 0.6, width))
    ragged = np.clip(ragged - ragged.mean(), -pixels(0.5), pixels(0.5)).astype(int)
    rows = np.arange(height)[:, None]
    gone = rows > height - cut + ragged[None, :] if near else rows < cut + ragged[None, :]
    gone[:, :left] = False
    gone[:, right:] = False
    harm = cv2.dilate(gone.astype(np.uint8) * 255, np.ones((9, 9), np.uint8))
    edge = (harm > 0) & ~gone
    paint[edge, :3] = (paint[edge, :3] * 0.4 + 132).astype(np.uint8)
    paint[gone, 3] = 0
    points = body.points.copy()
    line = -depth / 2 + share * depth if near else depth / 2 - share * depth
    away = np.abs(points[:, 1] - line)
    across = (points[:, 0] / length + 0.5) * width
    lips = np.maximum(1 - away / 2.2, 0) * ((across > left - 20) & (across < right + 20))
    points[:, 2] += (lips * rng.uniform(0.5, 1.3)).astype(np.float32)
    opened = dataclasses.replace(body, print=paint, harm_print=np.asarray(harm, np.uint8), points=points)
    unit = unit.with_surface("body", opened)
    inside = unit.surface("inside")
    slide = (share * depth * 0.6 + (1.0 if major else 0.2)) * (-1 if near else 1)
    return unit.with_surface("inside", _harmed_beyond(moved(inside, by=(0, slide, 0)), line, near=near))


def _harmed_beyond(inside: Part, line: float, *, near: bool) -> Part:
    beyond = inside.points[:, 1] < line if near else inside.points[:, 1] > line
    return hurt(inside, beyond.astype(np.float32))


def _slide_out(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Let the goods slide out of the bag's open end: 1.5 to 2.5 cm, or a third to two thirds of their length."""
    length = unit.spec.size_cm[0]
    out = length * float(rng.uniform(0.33, 0.6)) if major else float(rng.uniform(1.9, 2.9))
    side = float(rng.choice([-1.0, 1.0]))
    film = unit.films["film"]
    points = film.part.points.copy()
    points[:, 0] -= np.float32(side * (out + (2.4 if major else 1.2)) * 0.6)
    lifted = dataclasses.replace(film.part, points=points)
    for name, body in unit.parts.items():
        shifted = moved(body, by=(side * out * 0.4, 0, 0), yaw=float(rng.normal(0, 0.06)) if major else 0.0)
        rim = points[:, 0].max() if side > 0 else points[:, 0].min()
        beyond = (shifted.points[:, 0] - rim) * side > -0.4
        unit = unit.with_surface(name, hurt(shifted, beyond.astype(np.float32)))
    return following(unit.with_film("film", dataclasses.replace(film, part=lifted)))


def _lift_dome(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Tear the dome off its card along one side and lift it there: by 7 to 12 degrees, or 25 to 70."""
    film = unit.films["film"]
    angle = float(np.radians(rng.uniform(25, 70) if major else rng.uniform(7, 12)))
    points = film.part.points
    far = float(points[:, 1].max())
    hinge = np.array([float(points[:, 0].mean()), far, 0.15], np.float32)
    swung = moved(film.part, tilt=-angle, about=hinge)
    below = swung.points[:, 2].min()
    if below < 0.1:
        swung = moved(swung, by=(0, 0, float(0.1 - below)))
    swung = hurt(swung, np.ones(len(points)))
    return following(unit.with_film("film", dataclasses.replace(film, part=swung, opacity=film.opacity * 1.5)))


def _uncap(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Unscrew the cap or lid: it stands 0.5 to 0.9 cm off and askew, or lies against the unit."""
    name = "cap" if "cap" in unit.parts else "lid"
    cap = unit.surface(name)
    if name == "cap":
        gap = float(rng.uniform(1.6, 4.0) if major else rng.uniform(0.45, 0.8))
        off = moved(
            cap,
            by=(gap, float(rng.normal(0, 0.8)) if major else 0.0, 0),
            yaw=float(rng.normal(0, 0.5 if major else 0.1)),
        )
        if major:
            off = moved(off, by=(0, 0, -float(off.points[:, 2].min())))
    elif major:
        side = float(rng.choice([-1.0, 1.0]))
        reach = unit.spec.size_cm[0] * float(rng.uniform(0.25, 0.45))
        off = moved(cap, by=(side * reach, float(rng.normal(0, 0.8)), 0.35), tilt=float(rng.normal(0.3, 0.1)))
    else:
        off = moved(
            cap, by=(0, 0, float(rng.uniform(0.3, 0.55))), tilt=float(rng.choice([-1, 1]) * rng.uniform(0.09, 0.16))
        )
    unit = unit.with_surface(name, hurt(off, np.ones(len(off.points))))
    neck = "neck" if name == "cap" else "inside"
    inner = unit.surface(neck)
    return unit.with_surface(neck, hurt(inner, np.ones(len(inner.points))))


def _open_book(unit: Unit, rng: np.random.Generator, *, major: bool) -> Unit:
    """Open the cover: 12 to 20 degrees, or 30 to 120."""
    cover = unit.surface("cover")
    angle = float(np.radians(rng.uniform(30, 120) if major else rng.uniform(12, 20)))
    left = float(cover.points[:, 0].min())
    run = cover.points[:, 0] - left
    lift = cover.points[:, 2] - cover.points[:, 2].min()
    curl = 0.25 if unit.spec.form is Form.PAPERBACK else 0.0
    turn = angle * (1 + curl * (run / run.max() - 0.5))
    base = float(unit.spec.size_cm[2])
    points = np.stack(
        [
            left + run * np.cos(turn) - lift * np.sin(turn),
            cover.points[:, 1],
            base + run * np.sin(turn) + lift * np.cos(turn),
        ],
        axis=1,
    )
    opened = dataclasses.replace(cover, points=np.asarray(points, np.float32), two_sided=True, inner=inner_page())
    unit = unit.with_surface("cover", hurt(opened, np.ones(len(points))))
    pages = unit.surface("pages")
    top = pages.points[:, 2] > pages.points[:, 2].max() - 0.1
    return unit.with_surface("pages", hurt(pages, top.astype(np.float32)))


def inner_page() -> Paint:
    """Return the white inside of a cover, uint8[8, 8, 3]."""
    return np.full((8, 8, 3), 226, np.uint8)
