"""Books: paperbacks with their page block and a slightly bent cover, and hardcovers with overhanging boards."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

import cv2
import numpy as np

from booth.artwork import face, primed
from booth.catalogue import Spec
from booth.draws import Domain, draws
from booth.lettering import Paint, pixels, text_width, write
from booth.mesh import Part, Points
from booth.packs.stuffs import COATED, PAPER_STUFF
from booth.shapes import Mesh, box, net, sheet
from booth.unit import Unit, moved, part, waver

_BOARD_CM: Final = 0.28
_COVER_CM: Final = 0.06


def paperback(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a paperback lying on its back, the spine to the left."""
    return book(spec, rng, hard=False)


def hardcover(spec: Spec, rng: np.random.Generator) -> Unit:
    """Build a hardcover lying on its back, the spine to the left."""
    return book(spec, rng, hard=True)


def book(spec: Spec, rng: np.random.Generator, *, hard: bool) -> Unit:
    """Build boards, spine and page block; a paperback's cover springs up a little at its free edge."""
    length = spec.size_cm[0]
    pages, cover, under, spine = _sheets(spec, hard)
    points = cover.points.copy()
    spring = float(abs(rng.normal(0, 0.1 if not hard else 0.03)))
    along = np.clip((points[:, 0] + length / 2) / length, 0, 1)
    points[:, 2] += np.float32(spring) * along**3
    points = waver(points, rng, height_cm=0.02, wavelength_cm=9.0)
    parts = {
        "under": under,
        "pages": dataclasses.replace(pages, points=waver(pages.points, rng, height_cm=0.02, wavelength_cm=5.0)),
        "spine": spine,
        "cover": dataclasses.replace(cover, points=points),
    }
    return Unit(spec, parts, {}, skin=("cover", "pages", "spine"))


@functools.lru_cache(maxsize=128)
def _sheets(spec: Spec, hard: bool) -> tuple[Part, Part, Part, Part]:
    length, depth, height = spec.size_cm
    over, thick = (0.3, _BOARD_CM) if hard else (0.0, _COVER_CM)
    block = (length - 2 * over - 0.1, depth - 2 * over, height - 2 * thick)
    mesh = box(*block, bevel=0.03)
    pages = part(mesh, _page_block(spec, block), PAPER_STUFF)
    pages = moved(pages, by=(-over / 2, 0, thick), about=np.zeros(3, np.float32))
    top = face(spec, length, depth, "top")
    edge = primed((236, 238, 240) if not hard else spec.accent, length, thick, *spec.seeds, 80)
    slab = part(box(length, depth, thick, bevel=0.02, step=0.7), net(top, edge, edge, max(thick, 0.4)), COATED)
    slab = _trim(slab, length, depth, thick)
    cover = moved(slab, by=(0, 0, height - thick), about=np.zeros(3, np.float32))
    plain = primed(spec.accent, length, depth, *spec.seeds, 81)
    under = part(box(length, depth, thick, bevel=0.02, step=2.5), net(plain, edge, edge, max(thick, 0.4)), COATED)
    return pages, cover, _trim(under, length, depth, thick), _spine(spec, hard)


def _trim(slab: Part, length: float, depth: float, thick: float) -> Part:
    """Rescale print coordinates of a thin slab whose net has wider borders than its thickness (at least 8 pixels)."""
    border = 0.4
    if thick >= border:
        return slab
    size = np.array([length + 2 * thick, depth + 2 * thick], np.float32)
    wide = np.array([length + 2 * border, depth + 2 * border], np.float32)
    uv = (slab.uv * size - thick + border) / wide
    return dataclasses.replace(slab, uv=np.asarray(uv, np.float32))


def _page_block(spec: Spec, block: tuple[float, float, float]) -> Paint:
    """Print what an open book shows on top, and fine lines of pages on its sides."""
    rng = draws(Domain.ARTWORK, *spec.key, 82)
    page = primed((222, 234, 240), block[0], block[1], *spec.key, 83)
    for row in range(pixels(1.0), page.shape[0] - pixels(1.0), 9):
        left, right = pixels(1.2), page.shape[1] - pixels(1.2)
        place = left
        while place < right - 12:
            word = int(rng.integers(8, 34))
            cv2.line(page, (place, row), (min(place + word, right), row), (90, 95, 100), 2)
            place += word + 6
    edges = primed((206, 220, 228), max(block[:2]), block[2], *spec.key, 84)
    shade = np.asarray(rng.uniform(0.8, 1.0, (edges.shape[0], 1, 1)), np.float32)
    lined: Paint = np.clip(edges * shade, 0, 255).astype(np.uint8)
    return net(page, lined, lined, block[2])


def _spine(spec: Spec, hard: bool) -> Part:
    """Return the back of the book, rounded a little, lettered along."""
    length, depth, height = spec.size_cm
    paint = primed(spec.accent, depth, height, *spec.seeds, 85)
    size = min(paint.shape[0] * 0.6, 24)
    write(paint, spec.goods, pixels(1.0), paint.shape[0] * 0.5 + size * 0.35, spec.ink, size, 700)
    write(
        paint,
        spec.brand,
        paint.shape[1] - text_width(spec.brand, size * 0.8, 500) - 12,
        paint.shape[0] * 0.5 + size * 0.3,
        spec.ink,
        size * 0.8,
        500,
    )
    mesh = _spine_mesh(depth, height)
    bent = mesh.points.copy()
    away = (bent[:, 2] / height - 0.5) * 2
    round_ = 0.35 if hard else 0.08
    bent = np.stack([-length / 2 - 0.03 - round_ * (1 - away**2), bent[:, 1], bent[:, 2]], axis=1)
    return part(Mesh(np.asarray(bent, np.float32), mesh.faces, mesh.uv, mesh.print_cm), paint, COATED, two_sided=True)


@functools.lru_cache(maxsize=64)
def _spine_mesh(depth: float, height: float) -> Mesh:
    """Return a sheet standing at the left: print runs from the far end to the near one, and down."""
    flat = sheet(depth, height, step=0.5)
    points: Points = np.stack(
        [np.zeros(len(flat.points)), -flat.points[:, 0], flat.points[:, 1] + height / 2], axis=1
    ).astype(np.float32)
    return Mesh(points, flat.faces, flat.uv, flat.print_cm)
