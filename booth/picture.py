"""Scene to JPEG: light the panels, project them, let shadows fall, then what a lens and a sensor do."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth import table
from booth.lettering import Paint
from booth.light import SIDE, Camera, Light
from booth.scene import Mark, Panel, Pinch, Scene

JPEG_QUALITY: Final = 88
_COARSE: Final = 4  # shadows are soft: a quarter of the resolution is enough
Box = tuple[float, float, float, float]  # x, y, width, height, fractions of the picture


def render(scene: Scene, camera: Camera, light: Light, rng: np.random.Generator) -> Paint:
    """Take the picture: uint8[480, 480, 3], blue, green, red."""
    ground = table.crop(rng)
    if scene.ground:
        _lay(ground, scene.ground, camera, light)
    unit = np.zeros((SIDE, SIDE, 4), np.uint8)
    _lay(
        unit,
        sorted(scene.body, key=lambda panel: (panel.above, -camera.distance(panel.corners.mean(axis=0)))),
        camera,
        light,
    )
    for pinch in scene.pinches:
        _crush(unit, pinch, camera, rng)
    clear = 1 - unit[..., 3].astype(np.float32) * np.float32(1 / 255)
    reach = cv2.cvtColor(_shadow(scene, camera, light) * clear, cv2.COLOR_GRAY2BGR)
    shaded = np.asarray(cv2.multiply(ground, reach, dtype=cv2.CV_32F), np.float32)
    shaded += unit[..., :3]
    return _expose(shaded, light, rng)


def encode(picture: Paint) -> bytes:
    """Compress as every station does, whatever is in the picture."""
    ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV refused to encode a JPEG")
    return data.tobytes()


def boxes(marks: tuple[Mark, ...], camera: Camera) -> tuple[Box, ...]:
    """Return where the marks are in the picture; those on a side turned away, or outside, are left out."""
    found = []
    for mark in marks:
        if mark.normal is not None and float(mark.normal @ (camera.eye - mark.outline.mean(axis=0))) <= 0:
            continue
        seen = np.clip(camera.project(mark.outline) / SIDE, 0, 1)
        low, high = seen.min(axis=0), seen.max(axis=0)
        if (high - low).min() > 0.008:
            found.append((float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])))
    return tuple(found)


def lit(panel: Panel, camera: Camera, light: Light) -> Paint:
    """Return the panel's paint under the lamp, uint8[h, w, 4] with colour already multiplied by opacity."""
    paint = panel.paint
    colour = paint[..., :3].astype(np.float32)
    normal = panel.normal
    if panel.relief is None:
        colour *= light.brightness(np.full(1, normal @ light.toward)) * _float(panel.shade)
    else:
        right = panel.corners[1] - panel.corners[0]
        down = panel.corners[3] - panel.corners[0]
        px_per_cm = paint.shape[1] / float(np.linalg.norm(right))
        right, down = right / np.linalg.norm(right), down / np.linalg.norm(down)
        slope_x = cv2.Sobel(
            panel.relief, cv2.CV_32F, 1, 0, ksize=3, scale=px_per_cm / 8, borderType=cv2.BORDER_REPLICATE
        )
        slope_y = cv2.Sobel(
            panel.relief, cv2.CV_32F, 0, 1, ksize=3, scale=px_per_cm / 8, borderType=cv2.BORDER_REPLICATE
        )
        steep = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
        cosine = (
            _float(normal @ light.toward)
            - slope_x * _float(right @ light.toward)
            - slope_y * _float(down @ light.toward)
        ) * steep
        half = light.toward + (camera.eye - panel.corners.mean(axis=0)) / camera.distance(panel.corners.mean(axis=0))
        half /= np.linalg.norm(half)
        mirror = (_float(normal @ half) - slope_x * _float(right @ half) - slope_y * _float(down @ half)) * steep
        shine = np.maximum(mirror, 0)
        for _ in range(5):  # to the 32nd power
            shine *= shine
        colour *= (light.brightness(cosine) * np.float32(panel.shade))[..., None]
        colour += (shine * np.float32(255 * panel.gloss))[..., None]
    out = np.empty((*paint.shape[:2], 4), np.uint8)
    if paint.shape[2] == 4:
        colour *= paint[..., 3:] * np.float32(1 / 255)
        out[..., 3] = paint[..., 3]
    else:
        out[..., 3] = 255
    out[..., :3] = np.minimum(colour, 255)
    return out


def _float(value: object) -> np.float32:
    return np.float32(value)  # type: ignore[arg-type]


def _lay(canvas: Paint, panels: tuple[Panel, ...] | list[Panel], camera: Camera, light: Light) -> None:
    """Draw panels over the canvas, in order; those turned away are skipped."""
    for panel in panels:
        if float(panel.normal @ (camera.eye - panel.corners.mean(axis=0))) <= 0:
            continue
        seen = camera.project(panel.corners)
        low = np.maximum(np.floor(seen.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(seen.max(axis=0)).astype(int) + 2, SIDE)
        if (high <= low).any():
            continue
        flat = cv2.copyMakeBorder(lit(panel, camera, light), 1, 1, 1, 1, cv2.BORDER_REPLICATE)  # closes the seams
        height, width = flat.shape[:2]
        corners = np.array(
            [[0.5, 0.5], [width - 1.5, 0.5], [width - 1.5, height - 1.5], [0.5, height - 1.5]], np.float32
        )
        matrix = cv2.getPerspectiveTransform(corners, (seen - low).astype(np.float32))
        wide, tall = (int(v) for v in high - low)
        layer = cv2.warpPerspective(flat, matrix, (wide, tall), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0))
        part = canvas[low[1] : high[1], low[0] : high[0]]
        clear = cv2.merge([255 - layer[..., 3]] * canvas.shape[2])
        part[:] = cv2.add(cv2.multiply(part, clear, scale=1 / 255), layer[..., : canvas.shape[2]])


def _crush(unit: Paint, pinch: Pinch, camera: Camera, rng: np.random.Generator) -> None:
    """Push the unit's pixels near a corner inwards, outline and all, and fold the board along the push."""
    centre, target = camera.project(np.stack([pinch.point, pinch.point + pinch.push]))
    radius = pinch.radius_cm * camera.focal_px / camera.distance(pinch.point)
    low = np.maximum(np.floor(centre - radius).astype(int), 0)
    high = np.minimum(np.ceil(centre + radius).astype(int), SIDE)
    if (high - low).min() < 4:
        return
    x, y = np.meshgrid(np.arange(low[0], high[0], dtype=np.float32), np.arange(low[1], high[1], dtype=np.float32))
    away_x, away_y = x - centre[0], y - centre[1]
    near = np.maximum(1 - (away_x**2 + away_y**2) / np.float32(radius**2), 0)
    push = (target - centre).astype(np.float32)
    weight = near * near
    folds = np.zeros_like(near)
    axis = np.arctan2(push[1], push[0])
    for _ in range(pinch.folds):
        angle = axis + rng.normal(0, 0.8)
        run = (away_x * np.sin(angle) - away_y * np.cos(angle)) / np.float32(radius)
        place, thin = rng.uniform(-0.35, 0.35), rng.uniform(0.03, 0.07)
        folds += (
            np.float32(rng.choice([-1.0, 1.0]))
            * np.tanh((run - place) / thin)
            * np.exp(-(((run - place) / (3.5 * thin)) ** 2))
        )
    shift = weight * (1 + 0.25 * folds)
    moved = cv2.remap(
        unit,
        x - push[0] * shift,
        y - push[1] * shift,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 0),
    )
    shading = 1 + np.minimum(weight * 1.6, 1) * (0.3 * folds - 0.22 * near)
    moved[..., :3] = np.clip(np.minimum(moved[..., :3] * shading[..., None], moved[..., 3:]), 0, 255).astype(np.uint8)
    unit[low[1] : high[1], low[0] : high[0]] = moved


def _shadow(scene: Scene, camera: Camera, light: Light) -> NDArray[np.float32]:
    """Return float32[480, 480]: how much of the light reaches the table."""
    coarse = SIDE // _COARSE
    cast, contact = np.full((coarse, coarse), 255, np.uint8), np.full((coarse, coarse), 255, np.uint8)
    for panel in scene.body:
        falls = panel.corners - panel.corners[:, 2:] / light.toward[2] * light.toward
        _fill(cast, camera.project(falls))
        flat = panel.corners.copy()
        flat[:, 2] = 0
        if panel.corners[:, 2].min() < 0.5 or panel.normal[2] > 0.5:
            _fill(contact, camera.project(flat))
    soft = cv2.GaussianBlur(cast, (0, 0), 1.7).astype(np.float32) / 255
    close = cv2.GaussianBlur(cv2.erode(contact, np.ones((3, 3), np.uint8)), (0, 0), 3.2).astype(np.float32) / 255
    dim = (light.room / (light.room + light.lamp)) ** (1 / 2.2)
    reach = (dim + (1 - dim) * soft) * (0.62 + 0.38 * close)
    return np.asarray(cv2.resize(reach.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def _fill(mask: NDArray[np.uint8], seen: NDArray[np.float32]) -> None:
    outline = cv2.convexHull(np.round(seen * (16 / _COARSE)).astype(np.int32))
    cv2.fillConvexPoly(mask, outline, 0, cv2.LINE_AA, shift=4)


def _expose(picture: NDArray[np.float32], light: Light, rng: np.random.Generator) -> Paint:
    """Lamp falloff, white balance, lens, noise."""
    y, x = np.mgrid[0:1:16j, 0:1:16j].astype(np.float32)
    away = (x - np.float32(light.hot_spot[0])) ** 2 + (y - np.float32(light.hot_spot[1])) ** 2
    falloff = np.float32(0.8) + np.float32(0.34) * np.exp(-away / np.float32(0.42))
    tinted = falloff[..., None] * np.array(light.tint, np.float32)
    bright = cv2.multiply(picture, cv2.resize(tinted, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
    seen = np.asarray(cv2.GaussianBlur(bright, (3, 3), float(rng.uniform(0.35, 0.6))), np.float32)
    noise = table.sensor_noise(int(rng.integers(4)))
    top, left = (int(v) for v in rng.integers(0, 640 - SIDE, 2))
    seen += noise[top : top + SIDE, left : left + SIDE] * np.float32(rng.uniform(1.6, 3.2))
    return np.clip(seen, 0, 255).astype(np.uint8)
