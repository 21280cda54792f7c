"""From a data set of photographs and a backbone to a served classifier, its figures and its charts."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.frame import CHANNELS, SIDE
from evidence.place import around_peak
from evidence.triton import CLASSIFIER
from schemas.faults import Fatal
from schemas.words import KINDS
from training.data.form import DataSet, Sample
from training.data.split import split_by_product
from training.graft import ANSWERS, Head, graft, write
from training.photographs.anatomy import Anatomy, Normalise, examine
from training.photographs.charts import WORST, draw_mistakes, draw_reliability, draw_roc
from training.photographs.exam import ROUNDS, Sheet, calibration_error, interval
from training.photographs.exam import examine as sit_exam
from training.photographs.features import FeatureShelf
from training.photographs.head import LEAST, Answer, constant, fit_answer
from training.photographs.prints import Print, PrintShop, Unreadable, read_bytes
from training.photographs.rows import Rows, enough, gather, parted
from training.runtime import session
from training.scores import auroc

CARD: Final = "card.json"
_PROBES: Final = 4

Say = Callable[[str], None]
Tell = Callable[[str, int, int], None]  # a stage, how much of it is done, of how much
Tune = Callable[[Anatomy, DataSet, Tell], Anatomy]  # a backbone and what it is to learn from, to another backbone
TUNING: Final = {"backbone": 0.6, "head": 0.4}  # shares of products: no figure is of pictures the backbone learnt from


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    backbone: Path
    out: Path
    seed: int = 0
    normalise: Normalise | None = None
    flip: bool = True
    rounds: int = ROUNDS  # of measuring
    made_by: str = "sideline train classifier"
    tune: Tune | None = None  # given, the backbone learns from `TUNING` of the products before the head is fitted


@dataclass(frozen=True, slots=True)
class PhotoCard:
    """What was made, from what, and how good it is. `learnt` names the answers that are more than a base rate."""

    made_by: str
    seed: int
    backbone: str
    backbone_sha256: str
    data: str
    captures: int
    damaged: int
    views: int
    left_out: tuple[str, ...]
    learnt: tuple[str, ...]
    strength: float
    mirrored: bool
    figures: dict[str, float]
    onnx_difference: float
    model_sha256: str
    model_bytes: int
    view_ms: float  # of CPU, one thread
    tuned_on: int = 0  # captures that the backbone learnt from; they are none of `captures`

    def save(self, path: Path) -> None:
        """Write the card as JSON, whole."""
        unfinished = path.with_name(f".{path.name}")
        unfinished.write_text(json.dumps(_rounded(asdict(self)), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        unfinished.replace(path)


def train(data: DataSet, wish: Wish, *, say: Say, tell: Tell) -> PhotoCard:
    """Examine the backbone, tune it if wished, compute features, measure, fit, graft, prove; write into `wish.out`.

    Features are kept beside that folder (`<out>.features`), so that what was interrupted goes on and what is repeated
    is quick. The same data, backbone, options and seed give the same model.

    Raises:
        Fatal: the backbone is unusable, there are too few captures, or the grafted file differs from its parts.
    """
    anatomy = examine(wish.backbone, wish.normalise)
    say(anatomy.sentence())
    learn, test = parted(data)
    tuned_on = 0
    if wish.tune is not None:
        shares = split_by_product(replace(data, samples=tuple(learn)), TUNING, wish.seed)
        _check_shares(shares)
        tuned_on, learn = len(shares["backbone"].samples), list(shares["head"].samples)
        say(f"{tuned_on} captures for the backbone, {len(learn)} of other products for the head and its figures")
        anatomy = wish.tune(anatomy, shares["backbone"], tell)
    wanted = [sample for sample in (*learn, *test) if sample.label is not None]
    features, left_out = _features(anatomy, wish, wanted, say, tell)
    rows = gather(learn, features)
    say(f"{len(rows.paths)} captures in {len(rows)} views, {_damaged(rows)} captures damaged")
    sheet = sit_exam(
        rows.features,
        rows.damaged,
        rows.captures,
        rows.groups,
        seed=wish.seed,
        rounds=wish.rounds,
        tell=lambda done, of: tell("folds", done, of),
    )
    head, learnt, strength = fit_head(rows, seed=wish.seed)
    model = graft(anatomy, head, flip=wish.flip)
    difference = write(model, anatomy, head, _probes(rows), flip=wish.flip, repository=wish.out)
    found = sheet.figures()
    if enough(test, features):
        found |= _held_out(gather(test, features), head)
    elif test:
        say(f"the split test has fewer than {LEAST} captures of a class: nothing is measured on it, only in the folds")
    places = _charts(sheet, rows, wish.out)
    card = PhotoCard(
        made_by=wish.made_by,
        seed=wish.seed,
        backbone=anatomy.sentence(),
        backbone_sha256=hashlib.sha256(wish.backbone.read_bytes()).hexdigest(),
        data=data.name,
        captures=len(rows.paths),
        damaged=_damaged(rows),
        views=len(rows),
        left_out=tuple(left_out),
        learnt=learnt,
        strength=strength,
        mirrored=wish.flip,
        figures=found,
        onnx_difference=difference,
        model_sha256=hashlib.sha256(model).hexdigest(),
        model_bytes=len(model),
        view_ms=places,
        tuned_on=tuned_on,
    )
    card.save(wish.out / CARD)
    return card


def _check_shares(shares: Mapping[str, DataSet]) -> None:
    """Refuse to tune where products cannot be parted so that there is something to learn from and to measure on."""
    for name, share in shares.items():
        labels = [sample.label.damaged for sample in share.samples if sample.label is not None]
        damaged = sum(labels)
        if min(damaged, len(labels) - damaged) < LEAST:
            raise Fatal(
                f"fine-tuning parts the products; for the {name} there are {damaged} damaged and "
                f"{len(labels) - damaged} intact captures, {LEAST} of each are the least: leave out --fine-tune"
            )


def fit_head(rows: Rows, *, seed: int) -> tuple[Head, tuple[str, ...], float]:
    """Fit all nine answers; return them, the names of those that were learnt, and the strength for damage.

    A kind with fewer than ten views with or without it, and a severity likewise, become their base rate by the rule of
    succession; where no kind was written down at all, each gets its seventh of the damage.
    """
    width = rows.features.shape[1]
    damage = fit_answer(rows.features, rows.damaged, rows.groups, seed=seed)
    answers, learnt = [damage], ["damage"]
    unnamed = (rows.damaged.sum() + 1) / (len(rows) + 2) / len(KINDS)
    named = bool(rows.kinds.any())
    for place, kind in enumerate(KINDS):
        answers.append(
            _learnt_or_constant(rows, rows.kinds[:, place], rows.kinds_known, seed=seed)
            if named
            else constant(float(unnamed), width)
        )
        learnt += [str(kind)] if answers[-1].strength else []
    answers.append(_learnt_or_constant(rows, rows.major, rows.severity_known, seed=seed))
    learnt += ["severity"] if answers[-1].strength else []
    if len(answers) != ANSWERS:
        raise Fatal(f"{len(answers)} answers where the contract has {ANSWERS}")
    weights = np.stack([answer.weights for answer in answers], axis=1).astype(np.float32)
    return Head(weights, np.array([answer.bias for answer in answers], np.float32)), tuple(learnt), damage.strength


def _learnt_or_constant(rows: Rows, truth: NDArray[np.bool_], known: NDArray[np.bool_], *, seed: int) -> Answer:
    said = truth[known]
    if min(said.sum(), (~said).sum()) < LEAST:
        return constant(float((said.sum() + 1) / (len(said) + 2)), rows.features.shape[1])
    return fit_answer(rows.features[known], said, rows.groups[known], seed=seed)


def _features(
    anatomy: Anatomy, wish: Wish, samples: Sequence[Sample], say: Say, tell: Tell
) -> tuple[dict[Path, NDArray[np.float32]], list[str]]:
    """Return the features of every readable view, and in words which were left out."""
    paths = list(dict.fromkeys(image.path for sample in samples for image in sample.images))
    shelf = FeatureShelf(Path(f"{wish.out}.features"), graft(anatomy, None, flip=wish.flip))
    found: dict[Path, NDArray[np.float32]] = {}
    left_out = []
    for done, (path, vector) in enumerate(shelf.compute(paths), 1):
        if isinstance(vector, Unreadable):
            left_out.append(f"{path}: {vector.why}")
            say(f"left out: {left_out[-1]}")
        else:
            found[path] = vector
        tell("features", done, len(paths))
    return found, left_out


def _probes(rows: Rows) -> NDArray[np.uint8]:
    """Return pictures to prove the file on: some of the data's own, and noise."""
    chosen = [rows.paths[place] for place in np.linspace(0, len(rows.paths) - 1, _PROBES).astype(int)]
    with PrintShop(processes=1) as shop:
        made = shop.make([raw for path in chosen if isinstance(raw := read_bytes(path), bytes)])
    noise = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, CHANNELS), dtype=np.uint8)
    return np.concatenate([*(each.pixels for each in made if isinstance(each, Print)), noise])


def _charts(sheet: Sheet, rows: Rows, out: Path) -> float:
    """Draw the charts, asking the written model where it sees damage; return the CPU milliseconds a view takes it."""
    draw_roc(sheet, out / "roc.png")
    draw_reliability(sheet, out / "reliability.png")
    model = session(out / CLASSIFIER / "1" / "model.onnx")
    worst = np.argsort(-np.where(sheet.truth, -sheet.mean, sheet.mean))[:WORST]
    shown = [(rows.paths[capture], read_bytes(rows.paths[capture])) for capture in worst]
    readable = [(path, raw) for path, raw in shown if isinstance(raw, bytes)]
    with PrintShop(processes=1) as shop:
        prints = shop.make([raw for _, raw in readable])
    places, times = {}, []
    for (path, _), made in zip(readable, prints, strict=True):
        if isinstance(made, Print):
            began = time.thread_time()
            (heat,) = model.run(["HEAT"], {"IMAGES": made.pixels})
            times.append((time.thread_time() - began) * 1000)
            places[path] = around_peak(heat[0])
    draw_mistakes(sheet, rows.paths, places, out / "mistakes.png")
    return statistics.median(times) if times else 0.0


def _held_out(rows: Rows, head: Head) -> dict[str, float]:
    """Return figures of the fitted head on captures that the data set keeps for it."""
    views = rows.features @ head.weights[:, 0].astype(np.float64) + float(head.bias[0])
    count = len(rows.paths)
    scores, truth = np.full(count, -np.inf), np.zeros(count, bool)
    np.maximum.at(scores, rows.captures, views)
    np.logical_or.at(truth, rows.captures, rows.damaged)
    low, high = interval(scores, truth)
    return {
        "test_captures": float(count),
        "test_damaged": float(truth.sum()),
        "test_auroc": auroc(scores, truth),
        "test_auroc_95_percent_from": low,
        "test_auroc_95_percent_to": high,
        "test_expected_calibration_error": calibration_error(1 / (1 + np.exp(-scores)), truth),
    }


def _damaged(rows: Rows) -> int:
    return len(set(rows.captures[rows.damaged].tolist()))


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value
