"""From nothing to served models, in one command.

    python -m training.recipe --seed 1

renders the booth's training products, trains both networks, exports them as Triton loads them, proves that the files
answer as the networks do, measures them on other products, and fits the fusion on yet other ones. Pictures and learning
are kept in the cache: a recipe that was stopped goes on where it was. What is shipped is `--size large`, which wants a
GPU and several cores that render; `small` is what two cores do in 45 minutes, `quick` what shows in a minute or so that
all of it works. With another `--out`, neither the docs nor the GPU profile are touched.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import structlog
import torch

from evidence.triton import CLASSIFIER, EMBEDDING
from training.album import Order, album, fingerprint
from training.card import Card, LearntWorld
from training.course import draw
from training.evaluation.for_card import card_figures
from training.export import export
from training.learn import Budget, learn
from training.refit import EXAM, FIT, FITTING, exam, fit_and_measure

log = structlog.get_logger(__name__)

CARD: Final = "card.json"
PROBES: Final = 16  # views on which an exported file must answer as its network does
LEAST_S: Final = 60.0  # of learning, however slow the machine is
AFTER: Final = 1.0  # times what rendering took, for exporting, calibrating and measuring


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    train: tuple[int, int]  # products, captures
    fit: tuple[int, int]  # the same of the captures that the calibration is fitted on
    test: tuple[int, int]  # ... and measured on
    budget: Budget
    width: float = 1.0  # of the networks, times `training.networks.WIDTHS`
    whole_s: float = math.inf  # for everything; learning gets what the rest leaves of it

    def learning(self, rendering_s: float) -> Budget:
        """Return how long to learn on a machine that rendered for so long.

        Pictures that were in the cache say nothing of the machine, and leave learning all the time of its own.
        """
        left = self.whole_s - (1 + AFTER) * rendering_s
        return dataclasses.replace(self.budget, limit_s=max(LEAST_S, min(self.budget.limit_s, left)))


SIZES: Final = {
    "quick": Scale(train=(24, 160), fit=(10, 150), test=(10, 150), budget=Budget(steps=40, limit_s=60)),
    "small": Scale(train=(900, 6500), fit=FIT, test=EXAM, budget=Budget(steps=3800, limit_s=1440), whole_s=2700),
    "large": Scale(train=(1800, 13000), fit=FIT, test=EXAM, budget=Budget(steps=14000, limit_s=math.inf), width=1.5),
}


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
        order = Order(seed, "train", *scale.train, twins=True, depth=1.0)  # `learn` takes half of it away again
        lessons = album(order, cache=places.cache, processes=_processes(), say=_chunks)
    with _timed("train", seconds):
        checkpoint = None if places.cache is None else places.cache / f"lesson-{_lesson(order)}.pt"
        lesson = learn(lessons, scale.learning(seconds["render"]), seed=seed, width=scale.width, checkpoint=checkpoint)
    if places.cache is not None:
        draw(lesson.course, places.cache / "learning.png")
    networks = dict(zip((CLASSIFIER, EMBEDDING), lesson.pair.served(), strict=True))
    with _timed("export", seconds):
        differences = {
            name: export(
                network,
                name,
                repository=places.repository,
                profiles=places.profiles,
                probes=np.array(lessons.pixels[:PROBES]),
            )
            for name, network in networks.items()
        }
    files = {name: (places.repository / name / "1" / "model.onnx").read_bytes() for name in networks}
    card = Card(
        made_by=made_by,
        seed=seed,
        worlds=[LearntWorld(seed, "train", scale.train[0]), _fitted_on(scale, seed)],
        train_views=len(lessons),
        steps=lesson.steps,
        parameters={name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()},
        bytes={name: len(content) for name, content in files.items()},
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        onnx_difference=differences,
        figures={},
        seconds=seconds,
    )
    return refit(card, scale, places, seed=seed)


def refit(card: Card, scale: Scale, places: Places, *, seed: int) -> Card:
    """Calibrate and measure the models that are there, and write the card anew.

    For when only the arithmetic after the models has changed (`evidence.fit`, `evidence.limits`).

    Raises:
        Fatal: too few captures.
    """
    seconds = dict(card.seconds)
    found = fit_and_measure(
        places.repository,
        exam(scale.fit, seed + FITTING),
        exam(scale.test, seed),
        processes=_processes(),
        timed=lambda stage: _timed(stage, seconds),
        say=_captures,
    )
    measured = card_figures(found)
    worlds = [each for each in card.worlds if each.split != "test"]
    card = dataclasses.replace(card, worlds=[*worlds, _fitted_on(scale, seed)], figures=measured, seconds=seconds)
    card.save(places.repository / CARD)
    if places.page is not None:
        card.insert(places.page)
    return card


def _fitted_on(scale: Scale, seed: int) -> LearntWorld:
    """Return the products that the calibration is fitted on."""
    return LearntWorld(seed + FITTING, "test", scale.fit[0])


def _lesson(order: Order) -> str:
    """Return a name for what is learnt from an order that changes when the networks or the lessons do."""
    digest = hashlib.sha256(fingerprint(order).encode())
    for name in ("networks.py", "lessons.py", "learn.py", "optimiser.py", "variation.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:16]


def _processes() -> int:
    """Return how many processes render and ask side by side: two at least, as many as there are cores."""
    return max(2, len(os.sched_getaffinity(0)))


def _captures(stage: str, done: int, of: int) -> None:
    """Say how far a trial is, now and then."""
    if done % 200 == 0 or done == of:
        log.info("trial", stage=stage, done=done, of=of)


def _chunks(done: int, of: int) -> None:
    """Say how far rendering is, now and then."""
    if done % 20 == 0 or done == of:
        log.info("rendering", chunks=done, of=of)


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
    parser.add_argument(
        "--size", choices=SIZES, help="how much of everything; large where torch sees a GPU, small elsewhere"
    )
    parser.add_argument("--steps", type=int, help="of learning, however long they take; more is better")
    parser.add_argument("--moved", action="store_true", help="turn, mirror and scale the views while learning, as well")
    parser.add_argument("--refit", action="store_true", help="keep the models, calibrate and measure them again")
    options = parser.parse_args()
    places = Places(options.out, None, None, options.cache)
    if options.out == OWN.repository:  # only what is served from here is described here
        places = dataclasses.replace(OWN, cache=options.cache)
    size = options.size or ("large" if torch.cuda.is_available() else "small")
    if size != "large" and options.out == OWN.repository and not options.refit:
        log.warning(
            "models that are worth less than the shipped ones are about to take their place",
            size=size,
            instead="--size large, on a machine with a GPU",
            undo="git checkout triton_models docs/models.md deploy/triton",
        )
    scale = SIZES[size]
    command = f"python -m training.recipe --seed {options.seed} --size {size}"
    if options.steps:
        budget = Budget(steps=options.steps, limit_s=math.inf)
        scale = dataclasses.replace(scale, budget=budget, whole_s=math.inf)
        command += f" --steps {options.steps}"
    if options.moved:
        scale = dataclasses.replace(scale, budget=dataclasses.replace(scale.budget, moved=True))
        command += " --moved"
    if options.refit:
        card = refit(Card.load(places.repository / CARD), scale, places, seed=options.seed)
    else:
        card = bake(scale, places, seed=options.seed, made_by=command)
    print(card.table())  # noqa: T201 - the answer of the command


if __name__ == "__main__":
    main()
