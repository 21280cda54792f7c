"""What a camera makes of the light: noise, tone and JPEG, and what a depth camera gets wrong."""

from __future__ import annotations

import functools
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.draws import Domain, draws

Box = tuple[float, float, float, float]  # x, y, width, height, fractions of the picture

_NOISE_SIDE: Final = 640
_SPECK_SHARE: Final = 0.0007  # of the picture: smaller areas of damage are no box of their own
_NEAR_SHARE: Final = 1 / 40  # of the picture's side: closer areas share a box


@functools.lru_cache(maxsize=4)
def sensor_noise(number: int) -> NDArray[np.float32]:
    """Return float32[640, 640, 3] of unit noise, mostly luminance, slightly smeared as a colour filter's is."""
    rng = draws(Domain.SENSOR, number)
    common = rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE, 1), dtype=np.float32)
    own = rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3), dtype=np.float32)
    smeared = np.asarray(cv2.GaussianBlur(own, (3, 3), 0.7), np.float32)
    noise: NDArray[np.float32] = common * np.float32(0.8) + smeared * np.float32(1.1)
    noise /= noise.std()
    noise.setflags(write=False)
    return noise


@functools.lru_cache(maxsize=4)
def depth_noise(number: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return three float32[360, 360] fields: fine noise of unit variance, slow warp, and blobs between 0 and 1."""
    rng = draws(Domain.SENSOR, 100, number)
    white = rng.standard_normal((360, 360), dtype=np.float32)
    smeared = cv2.GaussianBlur(rng.standard_normal((360, 360), dtype=np.float32), (0, 0), 1.1)
    fine = 0.55 * white + 0.85 * smeared / smeared.std()
    slow = cv2.GaussianBlur(rng.standard_normal((360, 360), dtype=np.float32), (0, 0), 22)
    blobs = cv2.GaussianBlur(rng.standard_normal((360, 360), dtype=np.float32), (0, 0), 1.3)
    rank = np.argsort(np.argsort(blobs, axis=None)).reshape(blobs.shape) / np.float32(blobs.size)
    fields = (fine / fine.std(), slow / slow.std(), rank.astype(np.float32))
    for field in fields:
        field.setflags(write=False)
    return fields


@functools.cache
def linear_of_shown() -> NDArray[np.float32]:
    """Return float32[256]: the linear light that each stored value stands for."""
    return np.power(np.arange(256) / 255, 2.2).astype(np.float32)


@functools.cache
def tone() -> NDArray[np.float32]:
    """Return float32[4097]: what the root of linear 0 .. 2 is stored as, 0 .. 255; bright light rolls off."""
    light = 2 * ((np.arange(4097) + 0.5) / 4096) ** 2
    knee = 0.72
    rolled = np.where(light < knee, light, knee + (1 - knee) * (1 - np.exp(-(light - knee) / (1 - knee))))
    return (255 * np.power(rolled, 1 / 2.2)).astype(np.float32)


def sense_depth(
    distance_cm: NDArray[np.float32], glare: NDArray[np.bool_], number: int, top: int, left: int
) -> NDArray[np.uint16]:
    """Return uint16[h, w] tenths of a millimetre of float32[h, w] true distances along the optical axis.

    Noise of 0.3-0.5 mm that grows with distance and on steep surfaces, a slow warp, holes along edges, where
    projector and camera disagree, and where something glossy blinds it. `number`, `top` and `left` pick the noise.
    """
    height, width = distance_cm.shape
    fine, slow, blobs = (field[top : top + height, left : left + width] for field in depth_noise(number))
    along = np.abs(cv2.Sobel(distance_cm, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8))
    down = np.abs(cv2.Sobel(distance_cm, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8))
    steep = np.minimum((along + down) * np.float32(8.0), 5.0)
    spread = np.float32(3.4) * (distance_cm / np.float32(78)) ** 2 * (1 + np.float32(0.28) * steep)
    tenths = distance_cm * np.float32(100) + spread * fine + np.float32(2.2) * slow
    square = np.ones((3, 3), np.uint8)
    step = cv2.dilate(distance_cm, square) - cv2.erode(distance_cm, square)
    lost = (step > 1.0) & (blobs < 0.38)
    lost |= glare & (blobs < 0.6)
    lost |= blobs < 0.0006
    return np.where(lost, 0, np.clip(tenths + 0.5, 1, 65535)).astype(np.uint16)


def jpeg(rgb: NDArray[np.uint8], quality: int = 88) -> bytes:
    """Compress uint8[h, w, 3] as the station's camera does."""
    ok, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError("OpenCV refused to encode a JPEG")
    return data.tobytes()


def depth_png(depth: NDArray[np.uint16]) -> bytes:
    """Store uint16[h, w] without loss."""
    ok, data = cv2.imencode(
        ".png",
        depth,
        [
            cv2.IMWRITE_PNG_COMPRESSION,
            1,
            cv2.IMWRITE_PNG_STRATEGY,
            cv2.IMWRITE_PNG_STRATEGY_RLE,
        ],  # noise has no repeats
    )
    if not ok:
        raise RuntimeError("OpenCV refused to encode a PNG")
    return data.tobytes()


def boxes(harm: NDArray[np.uint8]) -> tuple[Box, ...]:
    """Return the rectangles around connected damage in a mask uint8[h, w], from the largest down.

    Areas with a small gap between them share a rectangle; specks are dropped unless nothing else is left of a mask
    that holds some.
    """
    height, width = harm.shape
    hurt = (harm >= 96).astype(np.uint8)
    if not hurt.any():
        return ()
    reach = max(1, round(_NEAR_SHARE * width / 2))
    joined = cv2.dilate(hurt, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    labels = np.where(hurt > 0, labels, 0)
    found = []
    for label in range(1, count):
        rows, columns = np.nonzero(labels == label)
        if len(rows) == 0:
            continue
        x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
        box = (float(x0 / width), float(y0 / height), float((x1 - x0) / width), float((y1 - y0) / height))
        found.append((len(rows), box))
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    large = [box for area, box in found if area >= _SPECK_SHARE * harm.size]
    return tuple(large)
