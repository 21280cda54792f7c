"""Fine-tuning: a pretrained backbone goes on learning, from photographs of goods, what damage looks like.

First a head alone, then all weights together, slowly: a head that knows nothing would spoil what the backbone knows
(Kumar et al. 2022, arXiv 2202.10054). The head is thrown away; the backbone comes out as the file it came in as, with
other weights, and everything after it goes on as with a frozen one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as logistic
from torch.nn.functional import interpolate, normalize

from booth.draws import Domain, draws
from schemas.faults import Fatal
from schemas.words import KINDS
from training.album import Album
from training.data.form import DataSet
from training.onnx_torch import OnnxNetwork
from training.photographs.anatomy import Anatomy
from training.photographs.head import LEAST
from training.reading import album_of
from training.untyped import Network, Tensor

VIEWS: Final = 16  # in a batch, half of them damaged
RATE: Final = 1e-4  # highest, of the backbone's weights
HEAD_RATE: Final = 3e-3
HEAD_ALONE: Final = 0.15  # of the steps
KEEP_EVERY_S: Final = 60.0
_SCALE: Final = 16.0  # of features of unit length, for a head that begins at nothing

Tell = Callable[[str, int, int], None]


def tune(anatomy: Anatomy, data: DataSet, tell: Tell, *, folder: Path, steps: int, seed: int) -> Anatomy:
    """Return the backbone after learning from all labelled views of a data set, in a file in `folder`.

    What was learnt is kept once a minute, so that an interrupted run goes on where it was, and one that was finished
    is found again. Runs on the GPU that torch sees, if it sees one.

    Args:
        anatomy: of the backbone.
        data: what to learn from. Measure on other products, and fit the head on other ones.
        tell: told of progress.
        folder: for the file and the checkpoint.
        steps: of 16 views.
        seed: of batches and their variation.

    Raises:
        Fatal: too few views of a class, or a network that is not known here.
    """
    network = OnnxNetwork(anatomy)
    network.prove()
    with TemporaryDirectory(prefix="sideline-tuning-") as scratch:
        album = album_of(data, Path(scratch), say=lambda done, of: tell("pictures", done, of))
        hurt, sound = np.flatnonzero(album.damaged), np.flatnonzero(~album.damaged)
        if min(len(hurt), len(sound)) < LEAST:
            raise Fatal(
                f"a backbone is fine-tuned on {LEAST} damaged and {LEAST} intact views at the least, here it would be "
                f"{len(hurt)} and {len(sound)}: leave out --fine-tune"
            )
        name = _name(anatomy, album, steps, seed)
        tuned = dataclasses.replace(anatomy, path=folder / f"{name}.onnx", inner=False)
        if not tuned.path.exists():
            _learn(network, anatomy, album, (hurt, sound), folder / f"{name}.pt", steps=steps, seed=seed, tell=tell)
            network.cpu().save(tuned.path)
            (folder / f"{name}.pt").unlink(missing_ok=True)
    return tuned


def _learn(
    network: Network,
    anatomy: Anatomy,
    album: Album,
    classes: tuple[NDArray[np.int64], NDArray[np.int64]],
    checkpoint: Path,
    *,
    steps: int,
    seed: int,
    tell: Tell,
) -> None:
    """Learn damage and its kinds, as far as somebody named them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    head = nn.Linear(anatomy.width, 1 + len(KINDS))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    network.to(device)
    head.to(device)
    groups = [
        {"params": list(network.parameters()), "highest": RATE, "weight_decay": 0.01},
        {"params": list(head.parameters()), "highest": HEAD_RATE, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=0.0)
    parts = {"network": network, "head": head, "optimiser": optimiser}
    done = _resumed(checkpoint, parts)
    kept = time.monotonic()
    for step, shares in _shares(steps, done):
        rng = draws(Domain.TRAINING, seed, step)
        rows = np.concatenate([rng.choice(rows, VIEWS // 2) for rows in classes])
        features = network(_pixels(album.pixels[rows], anatomy, rng).to(device))
        answers = head(_SCALE * normalize(features, dim=1))
        _loss(answers, album, rows).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group, share in zip(optimiser.param_groups, shares, strict=True):
            group["lr"] = group["highest"] * share
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        tell("fine-tuning", step, steps)
        if time.monotonic() - kept >= KEEP_EVERY_S and step < steps:
            _save(checkpoint, parts, step)
            kept = time.monotonic()


def _pixels(images: NDArray[np.uint8], anatomy: Anatomy, rng: np.random.Generator) -> Tensor:
    """Vary uint8[B, 224, 224, 5] in light, side and place; float32[B, height, width, 3], normalised, as served."""
    colours = images[..., :3].astype(np.float32)
    mirrored = rng.random(len(colours)) < 0.5  # noqa: PLR2004 - one side or the other
    colours[mirrored] = colours[mirrored, :, ::-1]
    gain = rng.uniform(0.8, 1.2, (len(colours), 1, 1, 1)) * rng.uniform(0.95, 1.05, (len(colours), 1, 1, 3))
    colours = np.roll((colours * gain).clip(0, 255), rng.integers(-8, 9, 2), (1, 2)).astype(np.float32)
    planes = torch.from_numpy(colours).permute(0, 3, 1, 2)
    if planes.shape[2:] != anatomy.size:
        planes = interpolate(planes, anatomy.size, mode="bilinear", align_corners=False)
    how = anatomy.normalise
    return (planes.permute(0, 2, 3, 1) - torch.tensor(how.mean)) / torch.tensor(how.std)


def _loss(answers: Tensor, album: Album, rows: NDArray[np.int64]) -> Tensor:
    """Ask for damage, and for the kinds of views that have some named or are intact."""
    damaged, kinds = (torch.from_numpy(truth[rows].astype(np.float32)) for truth in (album.damaged, album.kinds))
    damaged, kinds = damaged.to(answers.device), kinds.to(answers.device)
    named = ((kinds.sum(1) > 0) | (damaged == 0)).float()
    of_kinds = (logistic(answers[:, 1:], kinds, reduction="none").mean(1) * named).mean()
    return logistic(answers[:, 0], damaged) + (of_kinds if bool(album.kinds.any()) else 0.0)


def _shares(steps: int, done: int) -> Iterator[tuple[int, tuple[float, float]]]:
    """Yield each step to do and the shares of both highest rates: the head alone, then both in a cosine to zero."""
    alone = math.ceil(HEAD_ALONE * steps)
    for step in range(done + 1, steps + 1):
        if step <= alone:
            yield step, (0.0, 1.0)
            continue
        along = (step - alone) / max(1, steps - alone)
        share = min(1.0, along / 0.1) * 0.5 * (1 + math.cos(math.pi * along))
        yield step, (share, share)


def _name(anatomy: Anatomy, album: Album, steps: int, seed: int) -> str:
    """Return a name that changes with the backbone, the pictures, their labels and the options."""
    digest = hashlib.sha256(anatomy.path.read_bytes())
    for part in (album.pixels, album.damaged, album.kinds):
        digest.update(np.ascontiguousarray(part).data)
    digest.update(f"{anatomy.normalise} {anatomy.pooled} {steps} {seed}".encode())
    digest.update(Path(__file__).read_bytes())
    return f"tuned-{digest.hexdigest()[:16]}"


def _resumed(path: Path, parts: dict[str, Network]) -> int:
    """Take up a checkpoint, if there is one; return how many steps it has behind it."""
    if not path.exists():
        return 0
    kept = torch.load(path, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    return int(kept["step"])


def _save(path: Path, parts: dict[str, Network], step: int) -> None:
    """Write a checkpoint, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, unfinished)
    unfinished.replace(path)
