"""How fast the booth takes pictures, on one core: `python -m bench.booth_speed`.

First the engine alone, on a bag of about 3,000 triangles with relief, then in a clear film: picture, JPEG, depth
picture, masks and boxes. Then whole captures of the booth's world, units made and wrapped included.
"""

from __future__ import annotations

import argparse
import statistics
import time

import cv2
import numpy as np

from booth.draws import Domain, draws, grain
from booth.mesh import Film, Part, Scene, Stuff
from booth.optics import boxes, camera, depth_png, jpeg, take
from booth.stage import stage
from booth.world import World

_CELLS = 39  # 2 x 39 x 39 = 3,042 triangles


def bag(height_cm: float, stuff: Stuff) -> Part:
    """Make a crumpled bag of 19 x 15 cm that a line sees on an ordinary day."""
    down, across = np.mgrid[0 : 1 : (_CELLS + 1) * 1j, 0 : 1 : (_CELLS + 1) * 1j]
    swell = np.sqrt(np.maximum(np.sin(np.pi * across), 0) * np.maximum(np.sin(np.pi * down), 0))
    relief = cv2.resize(grain(1, 16), (_CELLS + 1, _CELLS + 1), interpolation=cv2.INTER_AREA)
    up = height_cm * swell + 0.15 * relief * swell
    corner = np.arange(_CELLS)[:, None] * (_CELLS + 1) + np.arange(_CELLS)
    a, b, c, d = (plus.ravel() for plus in (corner, corner + 1, corner + _CELLS + 1, corner + _CELLS + 2))
    print_ = np.full((300, 380, 3), (120, 160, 190), np.uint8)
    print_[60:240:4] = (60, 60, 90)
    return Part(
        points=np.stack([(across - 0.5) * 19, (0.5 - down) * 15, up + 0.02], axis=2).reshape(-1, 3).astype(np.float32),
        faces=np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32),
        uv=np.stack([across, down], axis=2).reshape(-1, 2).astype(np.float32),
        print=print_,
        stuff=stuff,
        bump=(grain(2, 4)[:300, :380] * np.float32(0.02)).astype(np.float32),
    )


def engine_ms(scene: Scene, *, pictures: int) -> float:
    """Return the median CPU milliseconds of one view, everything that leaves the camera included."""
    cv2.setNumThreads(1)
    spent = []
    for number in range(pictures + 2):
        set_up = stage("standard", number)
        eye = camera(0, set_up, number)
        began = time.process_time()
        shown = take(scene, eye, set_up, draws(Domain.SENSOR, number), depth=True)
        jpeg(shown.rgb, shown.quality)
        if shown.depth_mm10 is not None:
            depth_png(shown.depth_mm10)
        boxes(shown.harm)
        spent.append((time.process_time() - began) * 1e3)
    return statistics.median(spent[2:])


def pictures_per_s(*, captures: int, products: int, seed: int) -> float:
    """Return pictures per second of CPU time of this process, after the products' artwork has been painted once."""
    cv2.setNumThreads(1)
    world = World(seed, products=products, damage_rate=0.3)
    for number in range(products):
        world.reference(number, 0)
    began = time.process_time()
    taken = sum(len(world.expose(index)[2]) for index in range(captures))
    return taken / (time.process_time() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=200)
    parser.add_argument("--products", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    plain = Scene((bag(2.0, Stuff(gloss=0.1, sharp=16, glow=0.1)),))
    wrapped = Scene((bag(2.0, Stuff()),), (Film(bag(2.6, Stuff(gloss=0.9, sharp=90))),))
    for name, scene in (("bag of 3,042 triangles", plain), ("the same in film", wrapped)):
        print(f"{name}: {engine_ms(scene, pictures=40):.1f} ms of CPU a view, JPEG and depth included")  # noqa: T201
    speed = pictures_per_s(captures=options.captures, products=options.products, seed=options.seed)
    print(f"{speed:.0f} pictures of 480 x 480 a second on one core, units and JPEG included")  # noqa: T201


if __name__ == "__main__":
    main()
