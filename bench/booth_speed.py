"""How fast the booth takes pictures, on one core, JPEG included: `python -m bench.booth_speed`."""

from __future__ import annotations

import argparse
import time

import cv2

from booth.world import World


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
    speed = pictures_per_s(captures=options.captures, products=options.products, seed=options.seed)
    print(f"{speed:.0f} pictures of 480 x 480 a second on one core, JPEG included")  # noqa: T201


if __name__ == "__main__":
    main()
