"""Learning: batches of whole families, a schedule that ends on time, checkpoints to go on from."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from booth.draws import Domain, draws
from schemas.faults import Fatal
from training.album import Album, Targets
from training.course import Point
from training.lessons import CAPTURES, REFERENCES, Rows, classifier_loss, comparison_loss, identity_loss
from training.networks import Pair
from training.optimiser import Optimiser
from training.untyped import Device, Dtype, Network, Tensor
from training.variation import move, vary

Head = Literal["classifier", "embedding"]
BOTH: Final[tuple[Head, ...]] = ("classifier", "embedding")
BLIND: Final = (1 / 3, 1 / 2)  # of references and of captures with depth lose it, so that nothing learns to need it
PATIENCE: Final = 0.02  # of the time may be lost before the schedule hurries: the clock must not touch what need not
EVERY: Final = 100  # steps between two reports; short lessons report ten times

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to learn: so many steps of so many products, and never longer than a wall time."""

    steps: int
    products: int = 10  # in a batch, six views of each
    rate: float = 2.5e-3
    limit_s: float = 600.0
    moved: bool = False  # views are turned, mirrored and brought nearer or farther as well (`training.variation.move`)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A trained pair, and what it took."""

    pair: Network
    steps: int
    seconds: float
    course: tuple[Point, ...]


def learn(
    album: Album,
    budget: Budget,
    *,
    seed: int,
    heads: tuple[Head, ...] = BOTH,
    width: float = 1.0,
    threads: int = 2,
    checkpoint: Path | None = None,
    keep_every_s: float = 60.0,
    say: Callable[[Point], None] = lambda _point: None,
) -> Lesson:
    """Train the networks on an album, both on one trunk unless told otherwise.

    An embedding needs families: at least two references and two pairs of captures of a product. The classifier alone
    learns from any album, damaged and intact views half and half. The same album, budget, seed and threads give the
    same pair, if the time suffices and nothing interrupts. Learns on the GPU that torch sees, if it sees one; there a
    pair is not the same to the last bit, and pictures stay in memory and go over batch by batch.

    Args:
        album: what to learn from.
        budget: how long.
        seed: of weights, batches and augmentation.
        heads: which networks.
        width: of the networks, times `training.networks.WIDTHS`.
        threads: of torch.
        checkpoint: file to go on from and to write to; None for none.
        keep_every_s: how often it is written.
        say: told how it goes, at least ten times.

    Raises:
        Fatal: the album has nothing to learn this from.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = _precision(device)
    _log.info("learns", device=device.type, precision=str(precision), steps=budget.steps, views=len(album))
    pair = Pair(width).to(device, memory_format=torch.channels_last)
    pair.train()
    optimiser = Optimiser(pair, rate=budget.rate)
    draw, look_up = _batches(album, budget, heads), _pictures(album.pixels, device)
    lesson = dataclasses.replace(budget, limit_s=math.inf)  # how long it may take is no part of what it is,
    key = f"{seed} {heads} {width} {lesson} {len(album)}"
    state = _State.resumed(checkpoint, pair, optimiser, key=key, limit_s=budget.limit_s)
    budget = dataclasses.replace(budget, limit_s=state.limit_s)  # and it keeps the time it began with
    began, kept = time.monotonic() - state.seconds, time.monotonic()
    sums: dict[str, Tensor] = {}
    counted = 0
    every = max(1, min(EVERY, budget.steps // 10))
    for step, share in _shares(budget, began, state.step):
        rng = draws(Domain.TRAINING, seed, step)
        rows = draw(rng)
        images, truth = vary(look_up(rows), _blind(album.reference[rows], rng), rng), album.targets(rows)
        if budget.moved:
            images, cells = move(images, truth.cells, rng)
            truth = dataclasses.replace(truth, cells=cells)
        images = images.to(precision)
        parts = _losses(pair, truth, images, heads)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(pair.parameters(), 2.0)
        optimiser.step(share)
        state.step, state.seconds = step, time.monotonic() - began
        counted += 1
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.detach()  # read when it is told: a GPU need not be waited for
        if step % every == 0 or step == budget.steps:
            point = Point(step, round(state.seconds, 1), {name: total.item() / counted for name, total in sums.items()})
            state.course.append(point)
            sums, counted = {}, 0
            losses = {name: round(value, 3) for name, value in point.losses.items()}
            _log.info("learning", step=step, of=budget.steps, seconds=point.seconds, **losses)
        if checkpoint is not None and time.monotonic() - kept >= keep_every_s:
            state.save(checkpoint, pair, optimiser)
            kept = time.monotonic()
        if state.course and state.course[-1].step == step:
            say(state.course[-1])
    pair.eval()
    if checkpoint is not None:
        state.save(checkpoint, pair, optimiser)
    return Lesson(pair.cpu(), state.step, state.seconds, tuple(state.course))


@dataclass(slots=True)
class _State:
    """How far learning has come, beside weights and optimiser."""

    key: str
    step: int
    seconds: float
    limit_s: float
    course: list[Point]

    @classmethod
    def resumed(cls, path: Path | None, pair: Network, optimiser: Optimiser, *, key: str, limit_s: float) -> _State:
        """Go on from a checkpoint of the very same lesson, with its limit; begin anew otherwise."""
        fresh = cls(key, 0, 0.0, limit_s, [])
        if path is None or not path.exists():
            return fresh
        kept = torch.load(path, weights_only=True, map_location="cpu")
        if kept["key"] != key:
            return fresh
        pair.load_state_dict(kept["pair"])
        optimiser.restore(kept["optimiser"])
        torch.set_rng_state(kept["rng"])
        _log.info("goes on", step=kept["step"])
        return cls(
            key,
            kept["step"],
            kept["seconds"],
            kept.get("limit_s", limit_s),
            [Point(**point) for point in kept["course"]],
        )

    def save(self, path: Path, pair: Network, optimiser: Optimiser) -> None:
        """Write the checkpoint, whole or not at all."""
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        torch.save(
            {
                "key": self.key,
                "step": self.step,
                "seconds": self.seconds,
                "limit_s": self.limit_s,
                "course": [{"step": p.step, "seconds": p.seconds, "losses": p.losses} for p in self.course],
                "pair": pair.state_dict(),
                "optimiser": optimiser.state(),
                "rng": torch.get_rng_state(),
            },
            unfinished,
        )
        unfinished.replace(path)


def _pictures(pixels: NDArray[np.uint8], device: Device) -> Callable[[Rows], Tensor]:
    """Return how rows of uint8[N, H, W, 5] come to a device: out of a GPU's memory, if half of it holds them all."""
    if device.type == "cuda" and pixels.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        there = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(pixels), 1024):  # not all at once: an album is larger than many a memory
            there[start : start + 1024] = torch.from_numpy(np.array(pixels[start : start + 1024]))
        return lambda rows: there[torch.from_numpy(rows).to(device)]
    return lambda rows: torch.from_numpy(pixels[rows]).to(device)


def _precision(device: Device) -> Dtype:
    """Return what convolutions are multiplied in: bfloat16 where a chip does it itself, for in software it is no use.

    On two cores with AVX2 and nothing newer a step took 17 s in bfloat16 and 2.1 s in float32.
    """
    if device.type == "cuda":
        own = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        own = any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return torch.bfloat16 if own else torch.float32


def _losses(pair: Network, truth: Targets, images: Tensor, heads: tuple[Head, ...]) -> dict[str, Tensor]:
    """Ask the networks about a batch, normalised float[B, 5, 224, 224] in the type to multiply in."""
    with torch.autocast(images.device.type, images.dtype, enabled=images.dtype != torch.float32):
        answers, (vectors, patches) = pair(images)
    parts = {}
    if "classifier" in heads:
        parts["damage"] = classifier_loss(answers, truth)
    if "embedding" in heads:
        parts["identity"] = 0.5 * identity_loss(vectors, pair.vector_scale)  # learnt long before damage is
        parts["comparison"] = comparison_loss(patches, truth, pair)
    return parts


def _blind(reference: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose which views of a batch, bool[B] references or captures, lose their depth: of twins both, or none."""
    drawn = rng.random((len(reference) + 1) // 2).repeat(2)[: len(reference)]
    return np.asarray(drawn < np.where(reference, *BLIND))


def _shares(budget: Budget, began: float, step: int) -> Iterator[tuple[int, float]]:
    """Yield each step to do and its share of the rate: a warm-up, then a cosine to zero, hurried if time runs short."""
    while step < budget.steps:
        done, spent = step / budget.steps, (time.monotonic() - began) / budget.limit_s
        if spent > done + PATIENCE:
            done = spent
        if done >= 1:
            return
        step += 1
        yield step, min(done / 0.05 + 0.02, 1.0) * 0.5 * (1 + math.cos(math.pi * done))


def _batches(album: Album, budget: Budget, heads: tuple[Head, ...]) -> Callable[[np.random.Generator], Rows]:
    """Return how a batch is drawn: families where there are enough, else damaged and intact views half and half."""
    shelf = _families(album)
    if len(shelf) >= 2:  # noqa: PLR2004 - one family has nothing to be told from
        return lambda rng: _families_drawn(shelf, budget.products, rng)
    if "embedding" in heads:
        raise Fatal(
            f"an embedding learns from products with {REFERENCES} references and {CAPTURES} captures each; "
            f"of these there are {len(shelf)}."
        )
    hurt, sound = np.flatnonzero(album.damaged), np.flatnonzero(~album.damaged)
    if not len(hurt) or not len(sound):
        raise Fatal(f"a classifier learns from damaged and intact views; there are {len(hurt)} and {len(sound)}.")
    half = 3 * budget.products
    return lambda rng: np.concatenate([rng.choice(hurt, half), rng.choice(sound, half)])


def _families(album: Album) -> list[tuple[Rows, Rows]]:
    """Return the rows of each product that has enough: references int64[n], and pairs int64[n, 2] of captures.

    Twins lie side by side, so they are pairs; elsewhere any two captures are.
    """
    shelf = []
    order = np.argsort(album.product, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(album.product[order])) + 1):
        references, captures = own[album.reference[own]], own[~album.reference[own]]
        if len(references) >= REFERENCES and len(captures) >= CAPTURES:
            shelf.append((references, captures[: len(captures) // 2 * 2].reshape(-1, 2)))
    return shelf


def _families_drawn(shelf: list[tuple[Rows, Rows]], products: int, rng: np.random.Generator) -> Rows:
    """Draw whole families: two references, then two pairs of captures of each product."""
    chosen = rng.choice(len(shelf), min(products, len(shelf)), replace=False)
    drawn: list[NDArray[np.int64]] = []
    for place in chosen:
        references, twins = shelf[int(place)]
        drawn.append(rng.choice(references, REFERENCES, replace=False))
        drawn.append(rng.choice(twins, CAPTURES // 2, replace=False).reshape(-1))
    return np.concatenate(drawn)
