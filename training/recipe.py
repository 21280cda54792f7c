"""From nothing to served models, in one command.

    python -m training.recipe --seed 1

renders the booth's training products, trains both networks, exports them as Triton loads them, proves that the files
answer as the networks do, measures them on other products, and fits the fusion on yet other ones. `--quick` does all of
it small, to see that it works. With another `--out`, neither the docs nor the GPU profile are touched.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from evidence.triton import CLASSIFIER, EMBEDDING
from training.album import Order, album
from training.calibrate import Versions, calibrate, fused_figures, save, vetted_negatives
from training.card import Card
from training.export import export
from training.learn import Budget, learn
from training.measure import figures, try_out

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    train: tuple[int, int]  # products, captures
    test: tuple[int, int]
    budget: Budget


FULL: Final = Scale(train=(400, 5000), test=(60, 900), budget=Budget(steps=3200, limit_s=600))
QUICK: Final = Scale(train=(24, 240), test=(10, 150), budget=Budget(steps=40, limit_s=30))


@dataclass(frozen=True, slots=True)
class Places:
    """Where the recipe writes."""

    repository: Path
    profiles: Path | None
    page: Path | None
    cache: Path | None


OWN: Final = Places(
    repository=Path("triton_models"),
    profiles=Path("deploy/triton/gpu"),
    page=Path("docs/models.md"),
    cache=Path(".sideline/cache/training"),
)


def bake(scale: Scale, places: Places, *, seed: int, made_by: str) -> Card:
    """Run the whole recipe; the card it returns is also written beside the models.

    Raises:
        Fatal: an exported file differs from its network, is too large, or a calibration has too few captures.
    """
    seconds: dict[str, float] = {}
    with _timed("render", seconds):
        lessons = album(Order(seed, "train", *scale.train), cache=places.cache)
        exam = album(Order(seed, "test", *scale.test, damage_rate=0.3), cache=places.cache)
        fitting = album(Order(seed + 1000, "test", *scale.test, damage_rate=0.3), cache=places.cache)
    with _timed("train", seconds):
        lesson = learn(lessons, scale.budget, seed=seed)
    networks = dict(zip((CLASSIFIER, EMBEDDING), lesson.pair.served(), strict=True))
    with _timed("export", seconds):
        differences = {
            name: export(network, name, repository=places.repository, profiles=places.profiles, probes=exam.pixels[:16])
            for name, network in networks.items()
        }
    files = {name: (places.repository / name / "1" / "model.onnx").read_bytes() for name in networks}
    versions = Versions(
        fusion=f"fusion-{hashlib.sha256(b''.join(files.values())).hexdigest()[:12]}",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
    )
    with _timed("calibrate", seconds):
        calibration = calibrate(try_out(fitting, places.repository), versions, seed=seed)
    with _timed("measure", seconds):
        trial = try_out(exam, places.repository)
        measured = figures(trial) | fused_figures(trial, calibration)
        save(msgspec.structs.replace(calibration, negatives=vetted_negatives(trial, calibration)), places.repository)
    card = Card(
        made_by=made_by,
        seed=seed,
        train_products=scale.train[0],
        train_views=len(lessons),
        steps=lesson.steps,
        parameters={name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()},
        bytes={name: len(content) for name, content in files.items()},
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        onnx_difference=differences,
        figures=measured,
        seconds=seconds,
    )
    card.save(places.repository / "card.json")
    if places.page is not None:
        card.insert(places.page)
    return card


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Write down how long a stage took."""
    log.info("begins", stage=stage)
    began = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - began
    log.info("done", stage=stage, seconds=round(seconds[stage], 1))


def main() -> None:
    """Read the options, bake, print the card's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OWN.repository, help="Triton's model repository (%(default)s)")
    parser.add_argument("--cache", type=Path, default=OWN.cache, help="keeps rendered pictures (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of products, pictures, first weights and batches")
    parser.add_argument("--quick", action="store_true", help="small and bad, in a minute or so")
    options = parser.parse_args()
    places = Places(options.out, None, None, options.cache)
    if options.out == OWN.repository:  # only what is served from here is described here
        places = dataclasses.replace(OWN, cache=options.cache)
    card = bake(
        QUICK if options.quick else FULL,
        places,
        seed=options.seed,
        made_by=f"python -m training.recipe --seed {options.seed}{' --quick' if options.quick else ''}",
    )
    print(card.table())  # noqa: T201 - the answer of the command


if __name__ == "__main__":
    main()
