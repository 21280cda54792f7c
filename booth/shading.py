"""Light on what the camera sees: shadows, contact darkening, print, sheen; all in linear light.

Kernels work on samples (see `booth.raster.gather`), one row each, so that outlines cost a little more and nothing else
does. Colours are blue, green, red.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from booth.mesh import Stuff
from booth.raster import BUMP, HARM, INNER, PRINT, SMOOTH, Flat, Meta, Table, inlined, kernel

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Numbers = NDArray[np.float64]

FLOOR_CM: Final = -0.03  # the table, a hair lower than what lies on it
# Places in the row of numbers that describes the light: see `booth.stage.Light.numbers`.
LAMP, LAMP_COLOUR, LAMP_RANGE, ROOM, BOUNCE, PANEL, PANEL_LIGHT, FILL, FILL_LIGHT = 0, 3, 6, 7, 10, 13, 17, 18, 21
_TURNS: Final = 16  # shadow samples are turned differently in each pixel of a 4 x 4 block, and the block is averaged


@inlined
def _from_lamp(
    face: int,
    where: Floats,
    s: int,
    i: int,
    j: int,
    to_floor: Numbers,
    table: Table,
    eye: Numbers,
    axes: Numbers,
    focal: float,
    half: float,
) -> tuple[float, float, float]:
    """Return where a sample is in the lamp's picture and how far from the lamp; distance 0 where it is turned away.

    A face's place is `where[s]`; the table's follows from the pixel, by the homography `to_floor` float64[3, 3].
    """
    nx, ny, nz = 0.0, 0.0, 1.0
    if face >= 0:
        nx, ny, nz = (
            table[face, 22] * table[face, 15],
            table[face, 23] * table[face, 15],
            table[face, 24] * table[face, 15],
        )
        px, py, pz = float(where[s, 0]), float(where[s, 1]), float(where[s, 2])
    else:
        share = 1.0 / (to_floor[2, 0] * j + to_floor[2, 1] * i + to_floor[2, 2])
        px = (to_floor[0, 0] * j + to_floor[0, 1] * i + to_floor[0, 2]) * share
        py = (to_floor[1, 0] * j + to_floor[1, 1] * i + to_floor[1, 2]) * share
        pz = FLOOR_CM
    tx, ty, tz = eye[0] - px, eye[1] - py, eye[2] - pz
    cosine = (nx * tx + ny * ty + nz * tz) / np.sqrt(tx * tx + ty * ty + tz * tz)
    if cosine <= 0.0:
        return 0.0, 0.0, 0.0
    off = 0.06 + 0.14 * (1.0 - cosine)  # a step off the surface, or it would shadow itself
    dx, dy, dz = nx * off - tx, ny * off - ty, nz * off - tz
    z = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
    scale = focal / z
    sx = (dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2]) * scale + half
    sy = (dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2]) * scale + half
    return sx, sy, z


@inlined
def _slope(face: int, lamp_table: Table, floor_slope: Numbers) -> tuple[float, float]:
    """Return by how much 1/z of a surface grows per pixel of the lamp's picture."""
    if face < 0:
        return floor_slope[0], floor_slope[1]
    return lamp_table[face, 6], lamp_table[face, 7]


@kernel
def cast(  # noqa: C901, PLR0912, PLR0915 (one pass over the pixels: a call per pixel would cost more than its work)
    main: Ints,
    face: Ints,
    where: Floats,
    table: Table,
    lamp_eye: Numbers,
    lamp_axes: Numbers,
    lamp_focal: float,
    radius_cm: float,
    near: Floats,
    coarse: Floats,
    tile: int,
    spots: Floats,
    lamp_table: Table,
    floor_slope: Numbers,
    to_floor: Numbers,
    window: tuple[int, int, int, int],
    reach: Floats,
    side: int,
) -> None:
    """Write `reach` float32[side ** 2]: the share of the lamp's disc that each pixel sees.

    `near` is the lamp's own picture (1/z), `coarse` its maximum per tile and around it: where nothing can stand in
    the way, nothing is looked up. Four pixels at a time look for what is in the way; its mean distance sets how wide
    the penumbra is, and only there each pixel looks for itself. What counts as in the way lies before the plane of the
    surface itself (`lamp_table`; `floor_slope` float64[2] for the table), so a slanted side does not shadow itself.
    Outside of `window` (left, top, right, bottom; even) no shadow can fall.
    """
    size = near.shape[0]
    half = size * 0.5
    reach[:] = 1.0
    for i in range(window[1], window[3], 2):
        for j in range(window[0], window[2], 2):
            lead = main[i * side + j]
            sx, sy, z = _from_lamp(
                face[lead], where, lead, i, j, to_floor, table, lamp_eye, lamp_axes, lamp_focal, half
            )
            alike = True
            for k in range(1, 4):
                other = face[main[(i + k // 2) * side + j + k % 2]]
                if other != face[lead]:
                    if other < 0 or face[lead] < 0:
                        alike = False
                    else:
                        own_face = face[lead]
                        bend = table[other, 22] * table[own_face, 22] + table[other, 23] * table[own_face, 23]
                        bend += table[other, 24] * table[own_face, 24]
                        alike = alike and bend * table[other, 15] * table[own_face, 15] > 0.9
            blockers, total = 0, 0.0
            known = 1.0
            slope_x, slope_y = _slope(face[lead], lamp_table, floor_slope)
            if alike:
                clear = z == 0.0 or not (0.0 <= sx < size and 0.0 <= sy < size)
                own = 0.0
                if not clear:
                    own = 1.0 / (z - 0.05)
                    clear = coarse[int(sy) // tile, int(sx) // tile] <= own
                if not clear:
                    widest = radius_cm * 0.16 * lamp_focal / z
                    turn = ((i >> 1) & 3) * 4 + ((j >> 1) & 3)
                    for k in range(1, 16, 2):
                        bx, by = int(sx + spots[turn, k, 0] * widest), int(sy + spots[turn, k, 1] * widest)
                        limit = max(own + slope_x * (bx + 0.5 - sx) + slope_y * (by + 0.5 - sy), 0.94 * own)
                        if 0 <= bx < size and 0 <= by < size and near[by, bx] > limit:
                            blockers += 1
                            total += near[by, bx]
                    # Walls of a hollow all stand before each other's planes, close by: no umbra yet.
                    known = 0.0 if blockers == 8 and z - 8.0 / total > 0.6 else -1.0
                    if blockers == 0:
                        known = 1.0
            else:
                known = -1.0
            for k in range(4):
                row, column = i + k // 2, j + k % 2
                at = row * side + column
                if known >= 0.0:
                    reach[at] = known
                    continue
                s = main[at]
                sx, sy, z = _from_lamp(
                    face[s], where, s, row, column, to_floor, table, lamp_eye, lamp_axes, lamp_focal, half
                )
                reach[at] = 1.0
                if z == 0.0:
                    continue
                own = 1.0 / (z - 0.05)
                widest = radius_cm * 0.16 * lamp_focal / z
                turn = (row & 3) * 4 + (column & 3)
                found, distance = blockers, total
                if not alike:
                    found, distance = 0, 0.0
                    slope_x, slope_y = _slope(face[s], lamp_table, floor_slope)
                    for n in range(1, 16, 2):
                        bx, by = int(sx + spots[turn, n, 0] * widest), int(sy + spots[turn, n, 1] * widest)
                        limit = max(own + slope_x * (bx + 0.5 - sx) + slope_y * (by + 0.5 - sy), 0.94 * own)
                        if 0 <= bx < size and 0 <= by < size and near[by, bx] > limit:
                            found += 1
                            distance += near[by, bx]
                    if found == 0:
                        continue
                between = found / distance
                wide = radius_cm * (z - between) / between * lamp_focal / z
                wide = min(max(wide, 0.8), widest)
                hidden = 0
                for n in range(16):
                    bx, by = int(sx + spots[turn, n, 0] * wide), int(sy + spots[turn, n, 1] * wide)
                    limit = max(own + slope_x * (bx + 0.5 - sx) + slope_y * (by + 0.5 - sy), 0.94 * own)
                    if 0 <= bx < size and 0 <= by < size and near[by, bx] > limit:
                        hidden += 1
                reach[at] = 1.0 - hidden / 16.0


def spots() -> Floats:
    """Return float32[16, 16, 2]: sixteen turns of sixteen spots spread evenly over a disc."""
    number = np.arange(16)
    radius = np.sqrt((number + 0.5) / 16)
    order = np.array([0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5])  # neighbours differ as much as can be
    angle = number[None] * 2.399963 + order[:, None] * (2 * np.pi / _TURNS)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).astype(np.float32)


@inlined
def _lobe(cosine: float, sharp: float) -> float:
    """Return about cosine ** sharp without a power: (1 - sharp (1 - cosine) / 8) ** 8."""
    left = 1.0 - sharp * 0.125 * (1.0 - cosine)
    if left <= 0.0:
        return 0.0
    left *= left
    left *= left
    return left * left


@inlined
def _tap(
    tex: Flat, offset: int, height: int, width: int, channels: int, u: float, v: float, linear: Floats
) -> tuple[np.float32, np.float32, np.float32]:
    """Return the linear colour at a place of a print, smoothly between its pixels."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    left, top = int(x), int(y)
    fx, fy = np.float32(x - left), np.float32(y - top)
    one = np.float32(1.0)
    a, b, c, d = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    p = offset + (top * width + left) * channels
    q = p + (channels if left + 1 < width else 0)
    down = width * channels if top + 1 < height else 0
    blue = a * linear[tex[p]] + b * linear[tex[q]] + c * linear[tex[p + down]] + d * linear[tex[q + down]]
    p, q = p + 1, q + 1
    green = a * linear[tex[p]] + b * linear[tex[q]] + c * linear[tex[p + down]] + d * linear[tex[q + down]]
    p, q = p + 1, q + 1
    red = a * linear[tex[p]] + b * linear[tex[q]] + c * linear[tex[p + down]] + d * linear[tex[q + down]]
    return blue, green, red


@inlined
def _grey(flat: Flat, offset: int, height: int, width: int, u: float, v: float) -> float:
    """Return 0 .. 1 of a one-channel print."""
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    left, top = int(x), int(y)
    fx, fy = x - left, y - top
    right, low = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = flat[offset + top * width + left] * (1 - fx) + flat[offset + top * width + right] * fx
    lower = flat[offset + low * width + left] * (1 - fx) + flat[offset + low * width + right] * fx
    return float(upper * (1 - fy) + lower * fy) / 255.0


@inlined
def _print_colour(
    tex: Flat,
    meta: Meta,
    part: int,
    base: int,
    table: Table,
    m: int,
    z: float,
    u: float,
    v: float,
    linear: Floats,
) -> tuple[np.float32, np.float32, np.float32]:
    """Return the mean colour of the print in one pixel: more taps the more of the print a pixel covers."""
    offset, height, width, channels = meta[part, base], meta[part, base + 1], meta[part, base + 2], meta[part, base + 3]
    ux, vx = (table[m, 9] - u * table[m, 6]) * z, (table[m, 12] - v * table[m, 6]) * z
    uy, vy = (table[m, 10] - u * table[m, 7]) * z, (table[m, 13] - v * table[m, 7]) * z
    along_x = (ux * width) ** 2 + (vx * height) ** 2
    along_y = (uy * width) ** 2 + (vy * height) ** 2
    nx = 1 if along_x < 2.4 else min(int(np.sqrt(along_x) + 0.45), 4)
    ny = 1 if along_y < 2.4 else min(int(np.sqrt(along_y) + 0.45), 4)
    if nx * ny == 1:
        return _tap(tex, offset, height, width, channels, u, v, linear)
    blue, green, red = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(ny):
        b = (i + 0.5) / ny - 0.5
        for j in range(nx):
            a = (j + 0.5) / nx - 0.5
            one, two, three = _tap(
                tex, offset, height, width, channels, u + a * ux + b * uy, v + a * vx + b * vy, linear
            )
            blue += one
            green += two
            red += three
    share = np.float32(1.0 / (nx * ny))
    return blue * share, green * share, red * share


@inlined
def _bent(
    n: tuple[float, float, float],
    relief: Floats,
    meta: Meta,
    part: int,
    i: int,
    j: int,
    k: int,
    points: Floats,
    uv: Floats,
    u: float,
    v: float,
) -> tuple[float, float, float]:
    """Tilt the normal `n` by the slope of the print's relief."""
    offset, height, width = meta[part, BUMP], meta[part, BUMP + 1], meta[part, BUMP + 2]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max(v * height - 0.5, 0.0), height - 1.001)
    left, top = int(x), int(y)
    fx, fy = x - left, y - top
    # Twelve neighbours give both slopes, smoothly: west, east and the one beyond; north, south and the one beyond.
    west, east, beyond = max(left - 1, 0), min(left + 1, width - 1), min(left + 2, width - 1)
    upper, lower = offset + top * width, offset + min(top + 1, height - 1) * width
    north, south = offset + max(top - 1, 0) * width, offset + min(top + 2, height - 1) * width
    a, b, c, d = relief[upper + left], relief[upper + east], relief[lower + left], relief[lower + east]
    over = (b - relief[upper + west]) * (1 - fx) + (relief[upper + beyond] - a) * fx
    under = (d - relief[lower + west]) * (1 - fx) + (relief[lower + beyond] - c) * fx
    slope_u = (over * (1 - fy) + under * fy) * width * 0.5
    over = (c - relief[north + left]) * (1 - fx) + (d - relief[north + east]) * fx
    under = (relief[south + left] - a) * (1 - fx) + (relief[south + east] - b) * fx
    slope_v = (over * (1 - fy) + under * fy) * height * 0.5
    u1, v1, u2, v2 = uv[j, 0] - uv[i, 0], uv[j, 1] - uv[i, 1], uv[k, 0] - uv[i, 0], uv[k, 1] - uv[i, 1]
    det = u1 * v2 - u2 * v1
    if abs(det) < 1e-12:
        return n
    ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
    bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
    ux, uy, uz = (ax * v2 - bx * v1) / det, (ay * v2 - by * v1) / det, (az * v2 - bz * v1) / det
    vx, vy, vz = (bx * u1 - ax * u2) / det, (by * u1 - ay * u2) / det, (bz * u1 - az * u2) / det
    nx, ny, nz = n
    # Surface gradient: slope_u (v x n) + slope_v (n x u), over n . (u x v).
    rx, ry, rz = vy * nz - vz * ny, vz * nx - vx * nz, vx * ny - vy * nx
    sx, sy, sz = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
    volume = ux * rx + uy * ry + uz * rz
    if abs(volume) < 1e-9:
        return n
    bx2 = nx - (slope_u * rx + slope_v * sx) / volume
    by2 = ny - (slope_u * ry + slope_v * sy) / volume
    bz2 = nz - (slope_u * rz + slope_v * sz) / volume
    short = 1.0 / np.sqrt(bx2 * bx2 + by2 * by2 + bz2 * bz2)
    return bx2 * short, by2 * short, bz2 * short


@inlined
def _light(
    p: tuple[float, float, float],
    n: tuple[float, float, float],
    eye: Numbers,
    light: Numbers,
    reach: float,
    open_: float,
    stuff: Numbers,
    part: int,
) -> tuple[float, float, float, float, float, float]:
    """Return the light that falls on a surface and scatters (blue, green, red), and what it mirrors to the eye."""
    nx, ny, nz = n
    gloss, sharp, glow = stuff[part, 0], stuff[part, 1], stuff[part, 2]
    lx, ly, lz = light[LAMP] - p[0], light[LAMP + 1] - p[1], light[LAMP + 2] - p[2]
    near = 1.0 / np.sqrt(lx * lx + ly * ly + lz * lz)
    lx, ly, lz = lx * near, ly * near, lz * near
    strength = light[LAMP_RANGE] * near
    strength *= strength
    cosine = nx * lx + ny * ly + nz * lz
    lit = max((cosine + glow) * stuff[part, 3], 0.0) * strength * (reach + (1.0 - reach) * 0.4 * glow)
    fill = max(nx * light[FILL] + ny * light[FILL + 1] + nz * light[FILL + 2] + 0.25, 0.0) * 0.8 * light[FILL_LIGHT]
    room = (0.55 + 0.45 * nz) * open_ + fill * (0.4 + 0.6 * open_)
    ground = (0.5 - 0.5 * nz) * (0.35 + 0.65 * open_)
    blue = lit * light[LAMP_COLOUR] + room * light[ROOM] + ground * light[BOUNCE]
    green = lit * light[LAMP_COLOUR + 1] + room * light[ROOM + 1] + ground * light[BOUNCE + 1]
    red = lit * light[LAMP_COLOUR + 2] + room * light[ROOM + 2] + ground * light[BOUNCE + 2]
    if gloss <= 0.0:
        return blue, green, red, 0.0, 0.0, 0.0
    vx, vy, vz = eye[0] - p[0], eye[1] - p[1], eye[2] - p[2]
    near = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * near, vy * near, vz * near
    facing = max(nx * vx + ny * vy + nz * vz, 0.0)
    shine = 0.0
    if cosine > 0.0:
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        shine = _lobe((nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz), sharp) * strength * reach
    # The room in the mirror: a rectangular lamp panel in the ceiling, softer the duller the surface, and a pale sky.
    rx, ry, rz = 2.0 * facing * nx - vx, 2.0 * facing * ny - vy, 2.0 * facing * nz - vz
    mirrored = 0.12 * max(rz + 0.3, 0.0)
    if rz > 0.08:
        up = 1.0 / rz
        along = (stuff[part, 4] + light[PANEL + 2] - abs(rx * up - light[PANEL])) * stuff[part, 5]
        across = (stuff[part, 4] + light[PANEL + 3] - abs(ry * up - light[PANEL + 1])) * stuff[part, 5]
        mirrored += light[PANEL_LIGHT] * min(max(along, 0.0), 1.0) * min(max(across, 0.0), 1.0)
    left = 1.0 - facing
    fresnel = left * left
    fresnel = 0.18 + 0.82 * fresnel * fresnel * left
    shine *= gloss
    seen = gloss * mirrored * fresnel * (0.3 + 0.7 * open_)
    return (
        blue,
        green,
        red,
        shine * light[LAMP_COLOUR] + seen * light[ROOM],
        shine * light[LAMP_COLOUR + 1] + seen * light[ROOM + 1],
        shine * light[LAMP_COLOUR + 2] + seen * light[ROOM + 2],
    )


def answers(stuffs: Sequence[Stuff]) -> Numbers:
    """Return float64[p, 6]: gloss, sharpness and glow of each part, and what `_light` would have to divide for."""
    rows = []
    for stuff in stuffs:
        soft = 0.08 + 4.0 / (stuff.sharp + 4.0)
        rows.append((stuff.gloss, stuff.sharp, stuff.glow, 1 / (1 + stuff.glow), soft, 1 / (2 * soft)))
    return np.array(rows, np.float64)


@kernel
def floor_light(
    level: float, eye: Numbers, axes: Numbers, focal_px: float, side: int, light: Numbers, stuff: Numbers, out: Floats
) -> None:
    """Write float32[g, g, 3], a coarse grid over the picture: the lamp on the table, its sheen, the mirrored room."""
    cells = out.shape[0]
    step = side / cells
    lamp = light.copy()  # blue: the lamp alone, green: the room alone
    lamp[ROOM], lamp[ROOM + 1], lamp[ROOM + 2] = 0.0, 1.0, 0.0
    lamp[LAMP_COLOUR], lamp[LAMP_COLOUR + 1], lamp[LAMP_COLOUR + 2] = 1.0, 0.0, 0.0
    for i in range(cells):
        y = ((i + 0.5) * step - side * 0.5) / focal_px
        for j in range(cells):
            x = ((j + 0.5) * step - side * 0.5) / focal_px
            dx = x * axes[0, 0] + y * axes[1, 0] + axes[2, 0]
            dy = x * axes[0, 1] + y * axes[1, 1] + axes[2, 1]
            dz = min(x * axes[0, 2] + y * axes[1, 2] + axes[2, 2], -0.05)
            z = level / dz
            p = (eye[0] + z * dx, eye[1] + z * dy, eye[2] + level)
            n = (0.0, 0.0, 1.0)
            blue, _, _, shine, mirrored, _ = _light(p, n, eye, lamp, 1.0, 1.0, stuff, 0)
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = blue, shine, mirrored


@kernel
def shade(
    count: int,
    pixel: Ints,
    face: Ints,
    place: Floats,
    where: Floats,
    table: Table,
    faces: Ints,
    part_of: Ints,
    points: Floats,
    normals: Floats,
    uv: Floats,
    hurt: Floats,
    meta: Meta,
    stuff: Numbers,
    tex: Flat,
    harm_tex: Flat,
    relief: Floats,
    ground: NDArray[np.uint8],
    floor: Floats,
    linear: Floats,
    light: Numbers,
    eye: Numbers,
    reach_table: Floats,
    reach_body: Floats,
    near_open: Floats,
    mid_open: Floats,
    far_open: Floats,
    units: int,
    picture: Floats,
    harm: Floats,
    unit: Floats,
) -> None:
    """Add every sample's light to `picture` float32[n, 3], its damage to `harm`, its being the unit to `unit`.

    Parts from number `units` on belong to the stage. `ground` uint8[n, 3] is the table as if nothing stood on it and
    `floor` float32[n, 3] the light on it, see `floor_light`.
    """
    fill = max(light[FILL + 2] + 0.25, 0.0) * 0.8 * light[FILL_LIGHT]
    for s in range(count):
        at, m = pixel[s], face[s]
        share = place[s, 2]
        tall = max(float(where[s, 2]), 0.0) if m >= 0 else 0.0
        closed = (
            0.5 * min(max((near_open[at] - tall) * 1.1, 0.0), 1.0)
            + 0.38 * min(max((mid_open[at] - tall) * 0.5, 0.0), 1.0)
            + 0.3 * min(max((far_open[at] - tall) * 0.28, 0.0), 1.0)
        )
        open_ = 1.0 - min(closed, 0.85)
        if m < 0:
            lit, room = floor[at, 0] * reach_table[at], open_ + fill * (0.4 + 0.6 * open_)
            shine, mirrored = floor[at, 1] * reach_table[at], floor[at, 2] * (0.3 + 0.7 * open_)
            for c in range(3):
                lamp_c, room_c = light[LAMP_COLOUR + c], light[ROOM + c]
                seen = linear[ground[at, c]] * (lit * lamp_c + room * room_c) + shine * lamp_c + mirrored * room_c
                picture[at, c] += share * seen
            continue
        part = part_of[m]
        px, py, pz = float(where[s, 0]), float(where[s, 1]), float(where[s, 2])
        x, y = float(place[s, 0]), float(place[s, 1])
        z = 1.0 / (table[m, 6] * x + table[m, 7] * y + table[m, 8])
        u = (table[m, 9] * x + table[m, 10] * y + table[m, 11]) * z
        v = (table[m, 12] * x + table[m, 13] * y + table[m, 14]) * z
        i, j, k = faces[m, 0], faces[m, 1], faces[m, 2]
        t1 = min(max((table[m, 0] * x + table[m, 1] * y + table[m, 2]) * table[m, 16] * z, 0.0), 1.0)
        t2 = min(max((table[m, 3] * x + table[m, 4] * y + table[m, 5]) * table[m, 17] * z, 0.0), 1.0)
        t0 = max(1.0 - t1 - t2, 0.0)
        nx, ny, nz = table[m, 22], table[m, 23], table[m, 24]
        if meta[part, SMOOTH]:
            nx = t0 * normals[i, 0] + t1 * normals[j, 0] + t2 * normals[k, 0]
            ny = t0 * normals[i, 1] + t1 * normals[j, 1] + t2 * normals[k, 1]
            nz = t0 * normals[i, 2] + t1 * normals[j, 2] + t2 * normals[k, 2]
            short = 1.0 / max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
            nx, ny, nz = nx * short, ny * short, nz * short
        n = (nx, ny, nz)
        if meta[part, BUMP] >= 0:
            n = _bent(n, relief, meta, part, i, j, k, points, uv, u, v)
        base = PRINT
        if table[m, 15] < 0.0:
            n = (-n[0], -n[1], -n[2])
            if meta[part, INNER] >= 0:
                base = INNER
        blue, green, red = _print_colour(tex, meta, part, base, table, m, z, u, v, linear)
        fb, fg, fr, sb, sg, sr = _light((px, py, pz), n, eye, light, reach_body[at], open_, stuff, part)
        picture[at, 0] += share * (blue * fb + sb)
        picture[at, 1] += share * (green * fg + sg)
        picture[at, 2] += share * (red * fr + sr)
        if part < units:
            unit[at] += share
            hurts = t0 * hurt[i] + t1 * hurt[j] + t2 * hurt[k]
            if meta[part, HARM] >= 0:
                hurts = max(hurts, _grey(harm_tex, meta[part, HARM], meta[part, HARM + 1], meta[part, HARM + 2], u, v))
            harm[at] += share * min(hurts, 1.0)


@kernel
def veil(  # noqa: C901, PLR0912, PLR0915 (one pass over the pixels, as above)
    ids: Ints,
    table: Table,
    faces: Ints,
    part_of: Ints,
    points: Floats,
    normals: Floats,
    uv: Floats,
    hurt: Floats,
    meta: Meta,
    stuff: Numbers,
    tex: Flat,
    harm_tex: Flat,
    relief: Floats,
    opacity: float,
    opacity_tex: Flat,
    opacity_tall: int,
    opacity_wide: int,
    thick: bool,
    linear: Floats,
    light: Numbers,
    eye: Numbers,
    axes: Numbers,
    focal_px: float,
    reach_table: Floats,
    reach_body: Floats,
    picture: Floats,
    harm: Floats,
    unit: Floats,
) -> None:
    """Lay one film over the picture: what is behind shines through, its colour and its highlights come on top."""
    tall, wide = ids.shape[0] // 2, ids.shape[1] // 2
    for r in range(tall):
        for q in range(wide):
            at = r * wide + q
            covered, sum_x, sum_y, m = 0, 0.0, 0.0, -1
            for b in range(4):
                seen = ids[2 * r + b // 2, 2 * q + b % 2]
                if seen >= 0:
                    covered += 1
                    sum_x += q + 0.25 + 0.5 * (b % 2)
                    sum_y += r + 0.25 + 0.5 * (b // 2)
                    m = seen
            if covered == 0:
                continue
            x, y = sum_x / covered, sum_y / covered
            part = part_of[m]
            z = 1.0 / (table[m, 6] * x + table[m, 7] * y + table[m, 8])
            u = (table[m, 9] * x + table[m, 10] * y + table[m, 11]) * z
            v = (table[m, 12] * x + table[m, 13] * y + table[m, 14]) * z
            there = 1.0
            if opacity_wide > 0:
                there = _grey(opacity_tex, 0, opacity_tall, opacity_wide, u, v)
            if meta[part, PRINT + 3] == 4:
                there *= _grey_alpha(tex, meta[part, PRINT], meta[part, PRINT + 1], meta[part, PRINT + 2], u, v)
            if there <= 0.004:
                continue
            i, j, k = faces[m, 0], faces[m, 1], faces[m, 2]
            t1 = min(max((table[m, 0] * x + table[m, 1] * y + table[m, 2]) * table[m, 16] * z, 0.0), 1.0)
            t2 = min(max((table[m, 3] * x + table[m, 4] * y + table[m, 5]) * table[m, 17] * z, 0.0), 1.0)
            t0 = max(1.0 - t1 - t2, 0.0)
            nx, ny, nz = table[m, 22], table[m, 23], table[m, 24]
            if meta[part, SMOOTH]:
                nx = t0 * normals[i, 0] + t1 * normals[j, 0] + t2 * normals[k, 0]
                ny = t0 * normals[i, 1] + t1 * normals[j, 1] + t2 * normals[k, 1]
                nz = t0 * normals[i, 2] + t1 * normals[j, 2] + t2 * normals[k, 2]
                short = 1.0 / max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
                nx, ny, nz = nx * short, ny * short, nz * short
            n = (nx, ny, nz)
            if meta[part, BUMP] >= 0:
                n = _bent(n, relief, meta, part, i, j, k, points, uv, u, v)
            if table[m, 15] < 0.0:
                n = (-n[0], -n[1], -n[2])
            cx, cy = (x - wide * 0.5) / focal_px, (y - tall * 0.5) / focal_px
            px = eye[0] + z * (cx * axes[0, 0] + cy * axes[1, 0] + axes[2, 0])
            py = eye[1] + z * (cx * axes[0, 1] + cy * axes[1, 1] + axes[2, 1])
            pz = eye[2] + z * (cx * axes[0, 2] + cy * axes[1, 2] + axes[2, 2])
            blue, green, red = _print_colour(tex, meta, part, PRINT, table, m, z, u, v, linear)
            reach = max(reach_body[at], reach_table[at])
            fb, fg, fr, sb, sg, sr = _light((px, py, pz), n, eye, light, reach, 1.0, stuff, part)
            share = covered * 0.25
            dense = share * min(there * opacity, 1.0)
            shine = share * min(there * 2.0, 1.0)
            picture[at, 0] = picture[at, 0] * (1 - dense) + dense * blue * fb + shine * sb
            picture[at, 1] = picture[at, 1] * (1 - dense) + dense * green * fg + shine * sg
            picture[at, 2] = picture[at, 2] * (1 - dense) + dense * red * fr + shine * sr
            hurts = t0 * hurt[i] + t1 * hurt[j] + t2 * hurt[k]
            if meta[part, HARM] >= 0:
                hurts = max(hurts, _grey(harm_tex, meta[part, HARM], meta[part, HARM + 1], meta[part, HARM + 2], u, v))
            harm[at] = max(harm[at], share * min(hurts, 1.0) * min(there * 4.0, 1.0))
            if not thick:
                unit[at] = max(unit[at], share)


@kernel
def _grey_alpha(tex: Flat, offset: int, height: int, width: int, u: float, v: float) -> float:
    """Return the opacity of a four-channel print, 0 .. 1, from the nearest pixel."""
    x = min(max(int(u * width), 0), width - 1)
    y = min(max(int(v * height), 0), height - 1)
    return float(tex[offset + (y * width + x) * 4 + 3]) / 255.0


@kernel
def develop(
    picture: Floats,
    gains: Floats,
    vignette: float,
    tone: Floats,
    noise: Floats,
    read: float,
    shot: float,
    out: NDArray[np.uint8],
) -> None:
    """Turn linear light float32[h, w, 3] into what the camera stores, uint8: lens, white balance, tone, noise.

    `tone` float32[4097] maps the root of linear 0 .. 2 to 0 .. 255. `noise` float32[h, w, 3] is added in stored values:
    `read` everywhere, `shot` more where tone is steep, which is in the dark.
    """
    height, width = out.shape[0], out.shape[1]
    row, cell = np.empty(width * 3, np.float32), np.empty(width * 3, np.int32)
    fall = np.empty(width, np.float32)
    base, slope = np.float32(read + 1.15 * shot), np.float32(shot / 300.0)
    zero, half, white, top = np.float32(0.0), np.float32(0.5), np.float32(255.0), np.float32(1.999)
    scale = np.float32(4096.0 * np.sqrt(0.5))
    for i in range(height):
        fy = (i + 0.5) / height - 0.5
        for j in range(width):
            fx = (j + 0.5) / width - 0.5
            fall[j] = 1.0 - vignette * (fx * fx + fy * fy)
        for j in range(width):
            for c in range(3):
                row[3 * j + c] = picture[i, j, c] * gains[c] * fall[j]
        for k in range(width * 3):
            light = zero
            if row[k] > zero:  # not so if it is no number
                light = min(row[k], top)
            cell[k] = np.int32(np.sqrt(light) * scale)
        for k in range(width * 3):
            row[k] = tone[cell[k]]
        for j in range(width):
            for c in range(3):
                shown = row[3 * j + c]
                shown += noise[i, j, c] * (base - slope * shown)
                out[i, j, c] = np.uint8(min(max(shown + half, zero), white))
