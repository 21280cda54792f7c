"""Triangles to pixels: which face each quarter of a pixel sees, and how far away it is.

Everything is projective: for a plane, 1/z and anything divided by z are linear on the picture, so a face is a row of
coefficients, a camera and a lamp are the same thing (the lamp's "picture" is the shadow map), and a row of pixels is a
run of additions. No fast mathematics and no threads: the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import numba
import numpy as np
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name  # type: ignore[import-untyped]
from numpy.typing import NDArray

Table = NDArray[np.float64]  # float64[m, WIDTH]: a row of coefficients a face, see `face_table`
Flat = NDArray[np.uint8]  # uint8[n]: all prints, one after the other
Meta = NDArray[np.int64]  # int64[p, FIELDS]: where a part's prints lie in the flat arrays, and its switches

WIDTH: Final = 26
# Columns of `Meta`.
FIELDS: Final = 16
PRINT, INNER, HARM, BUMP = 0, 4, 8, 11  # offset (-1: none), height, width (and channels, for the first two)
TWO_SIDED, SMOOTH = 14, 15


def keep_compiled() -> None:
    """Choose where compiled kernels are kept, unless NUMBA_CACHE_DIR says so: beside no source, which may be read-only.

    Numba numbers the files of a function without asking who else does, so two processes that compile different sources,
    or for different processors, could take each other's machine code for their own. Hence a folder for each: then they
    can only write the same file twice, and each writes it whole under another name first.
    """
    if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        return
    digest = hashlib.sha256(repr((sys.version, numba.__version__, get_host_cpu_name())).encode())
    digest.update(get_host_cpu_features().flatten().encode())
    for name in ("raster.py", "shading.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    owner = os.getuid() if hasattr(os, "getuid") else 0
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sideline"
    for root in (wanted, Path(tempfile.gettempdir()) / f"sideline-{owner}"):
        folder = root / "kernels" / digest.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK) and root.stat().st_uid == owner:
            numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
            return


keep_compiled()
# Division as NumPy's: a check less in every loop. No fast mathematics, so the order of additions is as written.
kernel: Final = numba.njit(cache=True, error_model="numpy", nogil=True)
inlined: Final = numba.njit(cache=True, error_model="numpy", nogil=True, inline="always")


@kernel
def vertex_normals(points: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return float32[n, 3]: the mean of the faces around each vertex, the larger the weightier.

    So a large flat side stays flat up to its bevel, and the bevel turns the light.
    """
    total = np.zeros((points.shape[0], 3), np.float32)
    for m in range(faces.shape[0]):
        i, j, k = faces[m, 0], faces[m, 1], faces[m, 2]
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (i, j, k):
            total[corner, 0] += nx
            total[corner, 1] += ny
            total[corner, 2] += nz
    for n in range(points.shape[0]):
        length = np.sqrt(total[n, 0] ** 2 + total[n, 1] ** 2 + total[n, 2] ** 2)
        if length > 1e-12:
            for axis in range(3):
                total[n, axis] /= length
        else:
            total[n, 2] = 1.0
    return total


@kernel
def face_table(
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    part_of: NDArray[np.int32],
    uv: NDArray[np.float32],
    meta: Meta,
    eye: NDArray[np.float64],
    axes: NDArray[np.float64],
    focal_px: float,
    side: int,
) -> Table:
    """Return the coefficients of all faces in a picture of `side` pixels.

    A row holds: 0-5 the second and third barycentric coordinate (times x, times y, constant), 6-8 1/z, 9-11 u/z,
    12-14 v/z, 15 which side is seen (1 outer, -1 inner, 0 neither), 16-17 1/z of the second and third corner, 18-21 the
    rectangle of pixels, 22-24 the outward unit normal, 25 twice the area in square pixels.
    """
    seen = np.empty((points.shape[0], 3), np.float64)
    for n in range(points.shape[0]):
        dx, dy, dz = points[n, 0] - eye[0], points[n, 1] - eye[1], points[n, 2] - eye[2]
        z = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
        seen[n, 2] = z
        if z > 1.0:
            seen[n, 0] = (dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2]) / z * focal_px + side * 0.5
            seen[n, 1] = (dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2]) / z * focal_px + side * 0.5
    table = np.zeros((faces.shape[0], WIDTH), np.float64)
    for m in range(faces.shape[0]):
        i, j, k = faces[m, 0], faces[m, 1], faces[m, 2]
        if seen[i, 2] <= 1.0 or seen[j, 2] <= 1.0 or seen[k, 2] <= 1.0:
            continue
        x0, y0, x1, y1, x2, y2 = seen[i, 0], seen[i, 1], seen[j, 0], seen[j, 1], seen[k, 0], seen[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        outer = area < 0.0  # counter-clockwise in space is clockwise where y runs down
        if not outer and meta[part_of[m], TWO_SIDED] == 0:
            continue
        row = table[m]
        row[18], row[19] = min(x0, x1, x2), max(x0, x1, x2)
        row[20], row[21] = min(y0, y1, y2), max(y0, y1, y2)
        if row[19] < 0.0 or row[18] > side or row[21] < 0.0 or row[20] > side:
            continue
        row[15], row[25] = (1.0 if outer else -1.0), abs(area)
        row[0], row[1] = (y2 - y0) / area, (x0 - x2) / area
        row[2] = -(row[0] * x0 + row[1] * y0)
        row[3], row[4] = (y0 - y1) / area, (x1 - x0) / area
        row[5] = -(row[3] * x0 + row[4] * y0)
        w0, w1, w2 = 1.0 / seen[i, 2], 1.0 / seen[j, 2], 1.0 / seen[k, 2]
        row[16], row[17] = w1, w2
        for c in range(3):
            first = 1.0 if c == 2 else 0.0
            l1, l2 = row[c], row[3 + c]
            l0 = first - l1 - l2
            row[6 + c] = l0 * w0 + l1 * w1 + l2 * w2
            row[9 + c] = l0 * w0 * uv[i, 0] + l1 * w1 * uv[j, 0] + l2 * w2 * uv[k, 0]
            row[12 + c] = l0 * w0 * uv[i, 1] + l1 * w1 * uv[j, 1] + l2 * w2 * uv[k, 1]
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length > 0.0:
            row[22], row[23], row[24] = nx / length, ny / length, nz / length
    return table


@kernel
def opacity_at(tex: Flat, offset: int, height: int, width: int, u: float, v: float) -> float:
    """Return the fourth channel of a print, 0 .. 255, smoothly between its pixels."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    left, top = int(x), int(y)
    fx, fy = x - left, y - top
    right, low = min(left + 1, width - 1), min(top + 1, height - 1)
    a = tex[offset + (top * width + left) * 4 + 3] * (1 - fx) + tex[offset + (top * width + right) * 4 + 3] * fx
    b = tex[offset + (low * width + left) * 4 + 3] * (1 - fx) + tex[offset + (low * width + right) * 4 + 3] * fx
    opacity: float = a * (1 - fy) + b * fy
    return opacity


@kernel
def draw(  # noqa: C901, PLR0912 (one pass over the faces: calls would cost more than their work)
    table: Table,
    part_of: NDArray[np.int32],
    meta: Meta,
    tex: Flat,
    scale: int,
    holes: bool,
    near: NDArray[np.float32],
    ids: NDArray[np.int32],
) -> None:
    """Draw all faces into `near` float32[h, w] (1/z, so larger is nearer) and `ids` int32[h, w] (the face).

    `scale` samples a pixel each way. With `holes`, what a print's opacity leaves out is not there.
    """
    height, width = near.shape
    for m in range(table.shape[0]):
        row = table[m]
        if row[15] == 0.0:
            continue
        part = part_of[m]
        base = PRINT
        if row[15] < 0.0 and meta[part, INNER] >= 0:
            base = INNER
        cut = holes and meta[part, base + 3] == 4
        offset, tall, wide = meta[part, base], meta[part, base + 1], meta[part, base + 2]
        first, last = max(0, int(np.floor(row[20] * scale))), min(height - 1, int(np.floor(row[21] * scale)))
        left_most, right_most = row[18] * scale - 0.5, row[19] * scale - 0.5
        a1, a2 = row[0] / scale, row[3] / scale
        a0 = -a1 - a2
        for i in range(first, last + 1):
            y = (i + 0.5) / scale
            start, stop = max(0.0, left_most), min(width - 1.0, right_most)
            x0 = 0.5 / scale
            l1 = row[0] * x0 + row[1] * y + row[2]
            l2 = row[3] * x0 + row[4] * y + row[5]
            l0 = 1.0 - l1 - l2
            for step, share in ((a0, l0), (a1, l1), (a2, l2)):
                if step > 1e-14:
                    start = max(start, (-1e-9 - share) / step)
                elif step < -1e-14:
                    stop = min(stop, (-1e-9 - share) / step)
                elif share < -1e-9:
                    stop = -1.0
            if stop < start:
                continue
            grow = row[6] / scale
            w_row = row[6] * x0 + row[7] * y + row[8]
            for j in range(int(np.ceil(start)), int(np.floor(stop)) + 1):
                w = np.float32(w_row + grow * j)
                if w > near[i, j]:
                    if cut:
                        x = (j + 0.5) / scale
                        u = (row[9] * x + row[10] * y + row[11]) / w
                        v = (row[12] * x + row[13] * y + row[14]) / w
                        if opacity_at(tex, offset, tall, wide, u, v) < 128.0:
                            continue
                    near[i, j] = w
                    ids[i, j] = m


def lay_plane(
    normal: NDArray[np.float64], level: float, focal_px: float, scale: int, near: NDArray[np.float32]
) -> None:
    """Fill `near` with 1/z of a plane: `normal` in the camera's axes, `level` its distance from the eye along it."""
    middle = (np.arange(near.shape[0]) + 0.5) / scale - near.shape[0] / scale / 2
    down = (middle * (normal[1] / focal_px) + normal[2]) / level
    across = middle * (normal[0] / focal_px / level)
    np.add.outer(down.astype(np.float32), across.astype(np.float32), out=near)


@inlined
def _locate(
    table: Table,
    m: int,
    place: NDArray[np.float32],
    eye: NDArray[np.float64],
    axes: NDArray[np.float64],
    per_px: float,
    side: int,
    where: NDArray[np.float32],
    s: int,
) -> None:
    """Write where in space a sample of a face is."""
    z = 1.0 / (table[m, 6] * place[s, 0] + table[m, 7] * place[s, 1] + table[m, 8])
    x, y = (place[s, 0] - side * 0.5) * per_px, (place[s, 1] - side * 0.5) * per_px
    for axis in range(3):
        where[s, axis] = eye[axis] + z * (x * axes[0, axis] + y * axes[1, axis] + axes[2, axis])


@kernel
def gather(  # noqa: C901, PLR0912, PLR0915 (one pass over the pixels, as above)
    ids: NDArray[np.int32],
    near: NDArray[np.float32],
    table: Table,
    part_of: NDArray[np.int32],
    eye: NDArray[np.float64],
    axes: NDArray[np.float64],
    focal_px: float,
    pixel: NDArray[np.int32],
    face: NDArray[np.int32],
    place: NDArray[np.float32],
    where: NDArray[np.float32],
    main: NDArray[np.int32],
    height: NDArray[np.float32],
    body: NDArray[np.float32],
) -> int:
    """Join the four samples of each pixel into as few as show different surfaces; return how many there are.

    Writes `pixel` and `face` int32[n], `place` float32[n, 3] (x, y and the share of the pixel), `where` float32[n, 3]
    (the place in space, for samples of faces only), and for each pixel `main` int32[h * w], the sample with the largest
    share, its `height` above the table and whether it is a `body`. Only outlines and creases have more than one sample.
    """
    tall, wide = ids.shape[0] // 2, ids.shape[1] // 2
    count, room = 0, pixel.shape[0] - 4
    per_px = 1.0 / focal_px
    four = np.empty(4, np.int32)
    depths = np.empty(4, np.float32)
    used = np.empty(4, np.bool_)
    for i in range(tall):
        for j in range(wide):
            at = i * wide + j
            four[0], four[1] = ids[2 * i, 2 * j], ids[2 * i, 2 * j + 1]
            four[2], four[3] = ids[2 * i + 1, 2 * j], ids[2 * i + 1, 2 * j + 1]
            if (four[0] == four[1] and four[0] == four[2] and four[0] == four[3]) or count >= room - (tall * wide - at):
                pixel[count], face[count] = at, four[0]
                place[count, 0], place[count, 1], place[count, 2] = j + 0.5, i + 0.5, 1.0
                main[at] = count
                height[at], body[at] = 0.0, 0.0
                if four[0] >= 0:
                    _locate(table, four[0], place, eye, axes, per_px, wide, where, count)
                    height[at], body[at] = max(where[count, 2], np.float32(0.0)), 1.0
                count += 1
                continue
            depths[0], depths[1] = near[2 * i, 2 * j], near[2 * i, 2 * j + 1]
            depths[2], depths[3] = near[2 * i + 1, 2 * j], near[2 * i + 1, 2 * j + 1]
            used[:] = False
            largest = 0
            for a in range(4):
                if used[a]:
                    continue
                sum_x, sum_y, members = 0.0, 0.0, 0
                for b in range(a, 4):
                    if used[b]:
                        continue
                    same = four[a] == four[b]
                    if not same and four[a] >= 0 and four[b] >= 0 and part_of[four[a]] == part_of[four[b]]:
                        one, other = table[four[a]], table[four[b]]
                        bend = one[22] * other[22] + one[23] * other[23] + one[24] * other[24]
                        same = (
                            bend > 0.94
                            and one[15] == other[15]
                            and abs(depths[a] - depths[b]) < np.float32(0.004) * depths[a]
                        )
                    if same:
                        used[b] = True
                        sum_x += j + 0.25 + 0.5 * (b % 2)
                        sum_y += i + 0.25 + 0.5 * (b // 2)
                        members += 1
                pixel[count], face[count] = at, four[a]
                place[count, 0], place[count, 1] = sum_x / members, sum_y / members
                place[count, 2] = members * 0.25
                if four[a] >= 0:
                    _locate(table, four[a], place, eye, axes, per_px, wide, where, count)
                if members > largest:
                    largest = members
                    main[at] = count
                    height[at], body[at] = 0.0, 0.0
                    if four[a] >= 0:
                        height[at], body[at] = max(where[count, 2], np.float32(0.0)), 1.0
                count += 1
    return count
