"""Shapes: the triangle meshes that goods are made of, with their print unrolled at the same scale everywhere.

Every shape keeps one print pixel per 1/20 cm (`lettering.PX_PER_CM`) across and down its print, so that what is painted
on a print has its true size. Print runs right and down as seen from outside; triangles are counter-clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from booth.lettering import Paint, pixels
from booth.mesh import Coordinates, Faces, Points

Lines = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles with print coordinates; `print_cm` is how wide and tall the print is."""

    points: Points
    faces: Faces
    uv: Coordinates
    print_cm: tuple[float, float]


def box(length: float, depth: float, height: float, *, bevel: float = 0.12, step: float = 0.85) -> Mesh:
    """Return a box on the table without its bottom, its print the net that unfolds it: the top amid its four sides."""
    bevel = min(bevel, height * 0.45)
    across, down = _net_lines(length, height, bevel, step), _net_lines(depth, height, bevel, step)
    a, b = np.meshgrid(across, down)
    on_top_a, on_top_b = (across >= 0) & (across <= length), (down >= 0) & (down <= depth)
    keep = on_top_a[None, :] | on_top_b[:, None]
    x, y = np.clip(a, 0, length) - length / 2, depth / 2 - np.clip(b, 0, depth)
    fall = np.maximum(np.maximum(-a, a - length), np.maximum(-b, b - depth))
    points = np.stack([x, y, height - np.maximum(fall, 0)], axis=-1)
    inner = np.stack(
        [
            np.clip(points[..., 0], bevel - length / 2, length / 2 - bevel),
            np.clip(points[..., 1], bevel - depth / 2, depth / 2 - bevel),
            np.minimum(points[..., 2], height - bevel),
        ],
        axis=-1,
    )
    away = points - inner
    reach = np.linalg.norm(away, axis=-1, keepdims=True)
    rounded = inner + away * (bevel / np.maximum(reach, 1e-9))
    uv = np.stack([(a + height) / (length + 2 * height), (b + height) / (depth + 2 * height)], axis=-1)
    middle_a, middle_b = (across[:-1] + across[1:]) / 2, (down[:-1] + down[1:]) / 2
    cells = ((middle_a > 0) & (middle_a < length))[None, :] | ((middle_b > 0) & (middle_b < depth))[:, None]
    return _grid(rounded, uv, cells, keep, (length + 2 * height, depth + 2 * height))


def net(top: Paint, front: Paint, side: Paint, height_cm: float) -> Paint:
    """Lay a box's faces out as `box` expects them, uint8[h, w, c]: back above the top, front below, sides turned."""
    tall, wide = top.shape[:2]
    rise = pixels(height_cm)
    ground = np.asarray(top.reshape(-1, top.shape[2]).mean(axis=0), np.uint8)
    sheet = np.empty((tall + 2 * rise, wide + 2 * rise, top.shape[2]), np.uint8)
    sheet[:] = ground
    sheet[rise : rise + tall, rise : rise + wide] = top
    sheet[rise + tall :, rise : rise + wide] = _fit(front, rise, wide)
    sheet[:rise, rise : rise + wide] = _fit(front, rise, wide)[::-1, ::-1]
    right = _fit(side, rise, tall)
    sheet[rise : rise + tall, rise + wide :] = np.rot90(right, 1)
    sheet[rise : rise + tall, :rise] = np.rot90(right, -1)
    return sheet


def sheet(length: float, depth: float, *, step: float = 0.7) -> Mesh:
    """Return a flat sheet at z = 0, its upper face printed; whoever uses it gives it its heights."""
    columns, rows = max(4, round(length / step)), max(4, round(depth / step))
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    points = np.stack([(u - 0.5) * length, (0.5 - v) * depth, np.zeros_like(u)], axis=-1)
    whole = np.ones((rows, columns), bool)
    return _grid(points, np.stack([u, v], axis=-1), whole, np.ones_like(u, bool), (length, depth))


def patch(corners: NDArray[np.float64], *, step: float = 0.7, bow: float = 0.0) -> Mesh:
    """Return a sheet between four corners float64[4, 3] (upper left, then clockwise); `bow` lifts its middle, cm."""
    right, down = corners[1] - corners[0], corners[3] - corners[0]
    wide, tall = float(np.linalg.norm(right)), float(np.linalg.norm(down))
    columns, rows = max(2, round(wide / step)), max(2, round(tall / step))
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    u3, v3 = u[..., None], v[..., None]
    flat = (corners[0] * (1 - u3) + corners[1] * u3) * (1 - v3) + (corners[3] * (1 - u3) + corners[2] * u3) * v3
    normal = np.cross(down, right)
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    points = flat + normal * (bow * np.sin(np.pi * v3))
    whole = np.ones((rows, columns), bool)
    return _grid(points, np.stack([u, v], axis=-1), whole, np.ones_like(u, bool), (wide, tall))


def lying(profile: NDArray[np.float64], *, sectors: int = 40) -> Mesh:
    """Turn a profile float64[n, 2] (place along x, radius) around an axis along x; it lies on the table.

    Print runs along the axis and around it; the middle of its height is on top.
    """
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(profile, axis=0).T))])
    v, s = np.linspace(0, 1, sectors + 1), run / run[-1]
    top = profile[:, 1].max()
    radius = profile[None, :, 1]
    turn = 2 * np.pi * v[:, None]
    points = np.stack(
        [
            np.broadcast_to(profile[None, :, 0], (sectors + 1, len(profile))),
            radius * np.sin(turn),
            top - radius * np.cos(turn),
        ],
        axis=-1,
    )
    uv = np.stack(np.broadcast_arrays(s[None, :], v[:, None]), axis=-1)
    whole = np.ones((sectors, len(profile) - 1), bool)
    keep = np.ones(uv.shape[:2], bool)
    return _grid(points, uv, whole, keep, (float(run[-1]), float(2 * np.pi * top)))


def standing(profile: NDArray[np.float64], *, sectors: int = 44) -> Mesh:
    """Turn a profile float64[n, 2] (radius, height; from the top down) around the vertical axis.

    Print runs around and down; the middle of its width faces the station.
    """
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(profile, axis=0).T))])
    u, s = np.linspace(0, 1, sectors + 1), run / run[-1]
    turn = 2 * np.pi * (u[None, :] - 0.5)
    radius = profile[:, None, 0]
    height = np.broadcast_to(profile[:, None, 1], (len(profile), sectors + 1))
    points = np.stack([radius * np.sin(turn), -radius * np.cos(turn), height], axis=-1)
    uv = np.stack(np.broadcast_arrays(u[None, :], s[:, None]), axis=-1)
    whole = np.ones((len(profile) - 1, sectors), bool)
    size = (float(2 * np.pi * profile[:, 0].max()), float(run[-1]))
    return _grid(points, uv, whole, np.ones(uv.shape[:2], bool), size)


def disc(profile: NDArray[np.float64], *, sectors: int = 40) -> Mesh:
    """Turn a profile float64[n, 2] (radius, height; from the middle outwards) into a lid, printed from above."""
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(profile, axis=0).T))])
    run = run + profile[0, 0]
    turn = np.linspace(0, 2 * np.pi, sectors + 1)[:, None]
    radius, height = profile[None, :, 0], np.broadcast_to(profile[None, :, 1], (sectors + 1, len(profile)))
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1)
    share = run[None, :] / run[-1] / 2
    uv = np.stack([0.5 + share * np.cos(turn), 0.5 - share * np.sin(turn)], axis=-1)
    whole = np.ones((sectors, len(profile) - 1), bool)
    mesh = _grid(points, uv, whole, np.ones(uv.shape[:2], bool), (float(2 * run[-1]), float(2 * run[-1])))
    return Mesh(mesh.points, mesh.faces[:, ::-1].copy(), mesh.uv, mesh.print_cm)


def _net_lines(long: float, rise: float, bevel: float, step: float) -> Lines:
    """Return where the net's grid lines run: close together at the edges, `step` apart between."""
    side = np.linspace(-rise, -bevel, max(2, round(rise / step)) + 1)
    top = np.linspace(bevel, long - bevel, max(3, round(long / step)) + 1)
    return np.concatenate([side, [0.0], top, [long], long - side[::-1]])


def _grid(
    points: NDArray[np.float64],
    uv: NDArray[np.float64],
    cells: NDArray[np.bool_],
    keep: NDArray[np.bool_],
    print_cm: tuple[float, float],
) -> Mesh:
    """Triangulate the chosen cells of a grid, dropping vertices that none of them uses."""
    number = np.full(keep.shape, -1, np.int32)
    number[keep] = np.arange(int(keep.sum()), dtype=np.int32)
    r, c = np.nonzero(cells)
    ul, ur, ll, lr = number[r, c], number[r, c + 1], number[r + 1, c], number[r + 1, c + 1]
    even = ((r + c) % 2 == 0)[:, None]  # alternate diagonals, so that folds show no grain
    first = np.where(even, np.stack([ul, ll, lr], 1), np.stack([ul, ll, ur], 1))
    second = np.where(even, np.stack([ul, lr, ur], 1), np.stack([ur, ll, lr], 1))
    faces = np.concatenate([first, second]).astype(np.int32)
    return Mesh(points[keep].astype(np.float32), faces, uv[keep].astype(np.float32), print_cm)


def _fit(paint: Paint, height: int, width: int) -> Paint:
    """Crop or repeat the last row and column, so that rounding never leaves a gap."""
    grown = np.pad(
        paint,
        ((0, max(0, height - paint.shape[0])), (0, max(0, width - paint.shape[1])), (0, 0)),
        mode="edge",
    )
    return grown[:height, :width]
