"""The booth's camera: where it hangs, and how a scene becomes a picture, a depth picture and masks of what is seen."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.draws import Domain, draws
from booth.mesh import Film, Scene, Shown, Stuff
from booth.packing import Packed, pack
from booth.raster import draw, face_table, gather, lay_plane
from booth.sensor import Box, boxes, depth_png, jpeg, linear_of_shown, sense_depth, sensor_noise, tone
from booth.shading import FLOOR_CM, answers, cast, develop, floor_light, shade, spots, veil
from booth.stage import Stage, table_colour
from booth.surfaces import PX_PER_CM, SURFACES, paint

__all__ = ["DEPTH_SIDE", "MASK_SIDE", "SIDE", "Box", "Camera", "boxes", "camera", "depth_png", "jpeg", "take"]

SIDE: Final = 480  # pixels of a picture, both ways
MASK_SIDE: Final = 120
DEPTH_SIDE: Final = 240
_FINE: Final = 2  # samples a pixel, each way, that decide which surface is seen
_LAMP_SIDE: Final = 384  # pixels of the lamp's picture, which is the shadow map
_LAMP_VIEW_CM: Final = 23.0  # and how far from the middle of the table it reaches
_TILE: Final = 16
_MOVED: Final = 0.04  # share of pictures taken while the belt still moved
_BLEED: Final = 0.3  # share of a unit's light that the table next to it throws back
_GLARE: Final = 1.25  # linear light that blinds the depth camera

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole. `eye` float64[3] in centimetres; `axes` float64[3, 3] are right, down and forward."""

    camera_id: str
    eye: Numbers
    axes: Numbers
    focal_px: float

    def project(self, points: Numbers) -> NDArray[np.float32]:
        """Return float32[n, 2] pixels of float64[n, 3] points."""
        seen = (points - self.eye) @ self.axes.T
        return (seen[:, :2] / seen[:, 2:] * self.focal_px + SIDE / 2).astype(np.float32)


def camera(number: int, stage: Stage, *key: int) -> Camera:
    """Mount camera 0 (above the front edge) or 1 (lower, from the side), a little off its mark in every capture."""
    rng = draws(Domain.CAMERA, number, *key)
    elevation = np.radians((60.0 if number == 0 else 46.0) + stage.steeper_deg + rng.normal(0, 1.2))
    azimuth = np.radians((-90.0 if number == 0 else -52.0) + rng.normal(0, 1.5))
    range_cm = (78.0 if number == 0 else 86.0) + rng.normal(0, 1.5)
    outward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    aim = np.array([rng.normal(0, 0.5), rng.normal(0, 0.5), 2.0])
    eye = aim + range_cm * outward
    return Camera(camera_id=("top", "side")[number], eye=eye, axes=_axes(-outward), focal_px=1240.0 * stage.closer)


def _axes(forward: Numbers) -> Numbers:
    """Return float64[3, 3]: right, down and forward of a level camera."""
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.ascontiguousarray(np.stack([right, np.cross(forward, right), forward]))


@dataclass(frozen=True, slots=True)
class _Chance:
    """All that is random in taking a picture: the same number of draws whatever stands in the scene."""

    noise: tuple[int, int, int]
    depth: tuple[int, int, int]
    motion_px: float
    motion_turn: float


def _chance(rng: np.random.Generator) -> _Chance:
    whole = [int(v) for v in rng.integers(0, [4, 160, 160, 4, 120, 120])]
    moved, far, turn = (float(v) for v in rng.random(3))
    return _Chance(
        noise=(whole[0], whole[1], whole[2]),
        depth=(whole[3], whole[4], whole[5]),
        motion_px=1.5 + 2.5 * far if moved < _MOVED else 0.0,
        motion_turn=turn * np.pi,
    )


def take(scene: Scene, camera: Camera, stage: Stage, rng: np.random.Generator, *, depth: bool) -> Shown:
    """Take the picture of a scene: colours, distances if the camera has them, and what of it is damage and unit."""
    chance = _chance(rng)
    packed = pack((*scene.parts, *stage.furniture), camera.eye, camera.axes, camera.focal_px, SIDE)
    near, ids = _bench.near, _bench.ids
    ids.fill(-1)
    normal = np.ascontiguousarray(camera.axes[:, 2])
    lay_plane(normal, FLOOR_CM - camera.eye[2], camera.focal_px, _FINE, near)
    draw(packed.table, packed.part_of, packed.meta, packed.prints, _FINE, True, near, ids)
    canvas = _Canvas(packed, near, ids, camera, stage)
    canvas.shade(len(scene.parts))
    for film in scene.films:
        canvas.lay(film)
    return Shown(
        rgb=_expose(canvas.picture, stage, chance),
        depth_mm10=_depth(canvas, chance) if depth else None,
        harm=_mask(canvas.harm),
        unit=_mask(canvas.unit),
        quality=stage.temper.quality,
    )


class _Bench(threading.local):
    """Each thread's large arrays, used again for every picture: the system need not hand out fresh pages."""

    def __init__(self) -> None:
        fine, pixels = (SIDE * _FINE, SIDE * _FINE), SIDE * SIDE
        self.near, self.veiled = np.empty(fine, np.float32), np.empty(fine, np.float32)
        self.ids = np.empty(fine, np.int32)
        samples = pixels + pixels // 2
        self.pixel, self.face = np.empty(samples, np.int32), np.empty(samples, np.int32)
        self.place, self.where = np.empty((samples, 3), np.float32), np.empty((samples, 3), np.float32)
        self.main = np.empty(pixels, np.int32)


_bench = _Bench()


class _Canvas:
    """The picture in the making, in linear light."""

    def __init__(
        self, packed: Packed, near: NDArray[np.float32], ids: NDArray[np.int32], camera: Camera, stage: Stage
    ) -> None:
        self._packed, self._camera, self._stage = packed, camera, stage
        self.near, self._ids = near, ids
        surface = SURFACES[stage.surface]
        self._light = stage.light.numbers(table_colour(stage.surface))
        self._ground, self._floor = _table(camera, stage, self._light, Stuff(surface.gloss, surface.sharp))
        self.picture = np.zeros((SIDE, SIDE, 3), np.float32)
        self.harm = np.zeros((SIDE, SIDE), np.float32)
        self.unit = np.zeros((SIDE, SIDE), np.float32)

    def shade(self, units: int) -> None:
        """Light the opaque parts; those from number `units` on are furniture."""
        packed, camera = self._packed, self._camera
        pixel, face, place, where, main = _bench.pixel, _bench.face, _bench.place, _bench.where, _bench.main
        height, body = np.empty((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
        count = gather(
            self._ids, self.near, packed.table, packed.part_of, camera.eye, camera.axes, camera.focal_px,
            pixel, face, place, where, main, height.reshape(-1), body.reshape(-1),
        )  # fmt: skip
        self._reach_table, self._reach_body = self._shadows(main, face, where, body)
        near_open, mid_open, far_open = _surroundings(height)
        shade(
            count, pixel, face, place, where, packed.table, packed.faces, packed.part_of, packed.points,
            packed.normals, packed.uv, packed.hurt, packed.meta, packed.stuff, packed.prints, packed.harms,
            packed.reliefs, self._ground, self._floor, linear_of_shown(), self._light, camera.eye,
            self._reach_table, self._reach_body, near_open, mid_open, far_open, units,
            self.picture.reshape(-1, 3), self.harm.reshape(-1), self.unit.reshape(-1),
        )  # fmt: skip
        self._bleed(body)

    def _bleed(self, body: NDArray[np.float32]) -> None:
        """Give the table around the unit a little of the unit's colour, as light that went there and back does."""
        left, top, right, bottom = self._window()
        if right - left < 8 or bottom - top < 8:
            return
        seen, bare = self.picture[top:bottom, left:right], 1 - body[top:bottom, left:right]
        size = (max(2, (right - left) // 8), max(2, (bottom - top) // 8))
        share = np.asarray(cv2.resize(1 - bare, size, interpolation=cv2.INTER_AREA), np.float32)
        sent = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.float32) * share[..., None]
        table = np.array(table_colour(self._stage.surface), np.float32) * np.float32(_BLEED)
        sent = np.asarray(cv2.GaussianBlur(sent, (11, 11), 2.2), np.float32) * table
        seen += np.asarray(cv2.resize(sent, (right - left, bottom - top)), np.float32) * bare[..., None]

    def lay(self, film: Film) -> None:
        """Lay a film over what is there."""
        camera = self._camera
        packed = pack((film.part,), camera.eye, camera.axes, camera.focal_px, SIDE)
        near, ids = _bench.veiled, _bench.ids
        np.copyto(near, self.near)
        ids.fill(-1)
        draw(packed.table, packed.part_of, packed.meta, packed.prints, _FINE, False, near, ids)
        opacity = film.opacity_print
        flat = np.zeros(1, np.uint8) if opacity is None else np.ascontiguousarray(opacity).reshape(-1).copy()
        tall, wide = (0, 0) if opacity is None else opacity.shape
        veil(
            ids, packed.table, packed.faces, packed.part_of, packed.points, packed.normals, packed.uv, packed.hurt,
            packed.meta, packed.stuff, packed.prints, packed.harms, packed.reliefs, float(film.opacity), flat, tall,
            wide, film.thick, linear_of_shown(), self._light, camera.eye, camera.axes, camera.focal_px,
            self._reach_table, self._reach_body, self.picture.reshape(-1, 3), self.harm.reshape(-1),
            self.unit.reshape(-1),
        )  # fmt: skip
        if film.thick:
            np.copyto(self.near, near)

    def _window(self) -> tuple[int, int, int, int]:
        """Return the rectangle of pixels (left, top, right, bottom; even) that holds all parts and their shadows."""
        points, light = self._packed.points, self._stage.light
        low, high = points.min(axis=0), points.max(axis=0)
        corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        above = np.minimum(corners[:, 2:] - FLOOR_CM, light.lamp[2] * 0.5)
        fallen = corners + above / (light.lamp[2] - corners[:, 2:]) * (corners - light.lamp)
        seen = self._camera.project(np.concatenate([corners, fallen]))
        blur = self._camera.focal_px / 80 * (0.3 + light.lamp_radius_cm * 0.16)
        first = np.clip(np.floor((seen.min(axis=0) - blur) / 2) * 2, 0, SIDE).astype(int)
        last = np.clip(np.ceil((seen.max(axis=0) + blur) / 2) * 2, 0, SIDE).astype(int)
        return int(first[0]), int(first[1]), int(last[0]), int(last[1])

    def _shadows(
        self, main: NDArray[np.int32], face: NDArray[np.int32], where: NDArray[np.float32], body: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return float32[side ** 2] twice: how much of the lamp each pixel of the table, and of the rest, sees."""
        packed, light = self._packed, self._stage.light
        toward = np.array([0.0, 0.0, 1.0]) - light.lamp
        distance = float(np.linalg.norm(toward))
        axes = _axes(toward / distance)
        focal = _LAMP_SIDE / 2 / _LAMP_VIEW_CM * distance
        lamp = np.ascontiguousarray(light.lamp)
        table = face_table(
            packed.points, packed.faces, packed.part_of, packed.uv, packed.meta, lamp, axes, focal, _LAMP_SIDE
        )
        near, ids = np.zeros((_LAMP_SIDE, _LAMP_SIDE), np.float32), np.empty((_LAMP_SIDE, _LAMP_SIDE), np.int32)
        draw(table, packed.part_of, packed.meta, packed.prints, 1, True, near, ids)
        tiles = near.reshape(_LAMP_SIDE // _TILE, _TILE, _LAMP_SIDE // _TILE, _TILE).max(axis=(1, 3))
        coarse = np.asarray(cv2.dilate(tiles, np.ones((3, 3), np.uint8)), np.float32)
        reach = np.empty((SIDE, SIDE), np.float32)
        floor_slope = axes[:2, 2] / (focal * (FLOOR_CM - lamp[2]))
        left, top, right, bottom = window = self._window()
        cast(
            main, face, where, packed.table, lamp, axes, focal, light.lamp_radius_cm, near, coarse, _TILE, _spots(),
            table, floor_slope, _to_floor(self._camera), window, reach.reshape(-1), SIDE,
        )  # fmt: skip
        on_table, on_body = np.ones((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.float32)
        seen, there = reach[top:bottom, left:right], body[top:bottom, left:right]
        on_body[top:bottom, left:right] = _mean_where(seen, there)
        on_table[top:bottom, left:right] = _mean_where(seen, 1 - there)
        return on_table.reshape(-1), on_body.reshape(-1)


def _mean_where(values: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the values that are there within each block of 4 x 4 pixels, as float32[h, w]."""
    total, count = cv2.blur(values * there, (4, 4)), cv2.blur(there, (4, 4))
    return np.asarray(total / np.maximum(count, np.float32(1e-3)), np.float32)


@functools.cache
def _spots() -> NDArray[np.float32]:
    return spots()


def _to_floor(camera: Camera) -> Numbers:
    """Return float64[3, 3]: the homography from the middle of pixel (column, row) to x and y on the table."""
    focal, level = camera.focal_px, FLOOR_CM - camera.eye[2]
    middle = -(SIDE - 1) / 2 / focal
    ray = camera.axes.T @ np.array([[1 / focal, 0, middle], [0, 1 / focal, middle], [0, 0, 1]])
    return np.stack([camera.eye[0] * ray[2] + level * ray[0], camera.eye[1] * ray[2] + level * ray[1], ray[2]])


def _table(camera: Camera, stage: Stage, light: Numbers, stuff: Stuff) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the bare table in the picture, uint8[side ** 2, 3], and the light on it, float32[side ** 2, 3]."""
    cosine, sine, across, down = stage.lies
    surface = np.array(
        [
            [cosine * PX_PER_CM, -sine * PX_PER_CM, across - 0.5],
            [sine * PX_PER_CM, cosine * PX_PER_CM, down - 0.5],
            [0, 0, 1],
        ]
    )
    ground = cv2.warpPerspective(
        paint(stage.surface),
        surface @ _to_floor(camera),
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    coarse = np.empty((40, 40, 3), np.float32)
    floor_light(
        FLOOR_CM - camera.eye[2], camera.eye, camera.axes, camera.focal_px, SIDE, light, answers([stuff]), coarse
    )
    floor = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(ground, np.uint8).reshape(-1, 3), np.asarray(floor, np.float32).reshape(-1, 3)


def _surroundings(height: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean height around each pixel, float32[side ** 2], within about one, three and eight centimetres."""
    quarter = cv2.resize(height, (SIDE // 4, SIDE // 4), interpolation=cv2.INTER_AREA)
    half = cv2.resize(height, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    near = cv2.blur(half, (9, 9))
    mid = cv2.blur(quarter, (13, 13))
    far = cv2.blur(cv2.blur(quarter, (25, 25)), (15, 15))
    one, two, three = (
        np.asarray(cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32).reshape(-1)
        for field in (near, mid, far)
    )
    return one, two, three


def _expose(picture: NDArray[np.float32], stage: Stage, chance: _Chance) -> NDArray[np.uint8]:
    """Blur as the lens does, then develop."""
    temper = stage.temper
    if chance.motion_px:
        picture = np.asarray(
            cv2.filter2D(picture, cv2.CV_32F, _streak(chance.motion_px, chance.motion_turn)), np.float32
        )
    picture = np.asarray(cv2.GaussianBlur(picture, (3, 3), temper.blur_px), np.float32)
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    number, top, left = chance.noise
    develop(
        picture, np.array(temper.gains, np.float32), temper.vignette, tone(),
        _noise(number)[top : top + SIDE, left : left + SIDE], temper.read_noise, temper.shot_noise, out,
    )  # fmt: skip
    return out


@functools.lru_cache(maxsize=4)
def _noise(number: int) -> NDArray[np.float32]:
    return sensor_noise(number).copy()  # writable, as above


def _streak(length_px: float, turn: float) -> NDArray[np.float32]:
    """Return float32[9, 9]: the path of a point while the shutter was open."""
    kernel = np.zeros((9, 9), np.float32)
    for share in np.linspace(-0.5, 0.5, 33):
        x, y = 4 + share * length_px * np.cos(turn), 4 + share * length_px * np.sin(turn)
        left, top = int(x), int(y)
        for row, column, weight in (
            (top, left, (1 - x + left) * (1 - y + top)), (top, left + 1, (x - left) * (1 - y + top)),
            (top + 1, left, (1 - x + left) * (y - top)), (top + 1, left + 1, (x - left) * (y - top)),
        ):  # fmt: skip
            if row < 9 and column < 9:
                kernel[row, column] += np.float32(weight)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _depth(canvas: _Canvas, chance: _Chance) -> NDArray[np.uint16]:
    """Sample distances in the middle of every second pixel, as a depth camera beside the lens would have them."""
    step = SIDE * _FINE // DEPTH_SIDE
    distance = np.float32(1) / canvas.near[step // 2 - 1 :: step, step // 2 - 1 :: step]
    glare = canvas.picture[::2, ::2, 1] > _GLARE
    return sense_depth(np.asarray(distance, np.float32), glare, *chance.depth)


def _mask(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shrink float32[side, side] of 0 .. 1 to uint8[120, 120]."""
    small = cv2.resize(share, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small * 255 + 0.5, 0, 255), np.uint8)
