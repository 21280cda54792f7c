"""Is the booth an honest exam? `python -m bench.booth_difficulty --backbone mobilenet.onnx`.

Two figures decide. A linear probe on a general backbone's features must find the damage neither at once nor not at all:
AUROC 0.75 to 0.90. A strong classifier on what a file tells without looking (its size, mean colours, contrast,
sharpness, number of views) must find nothing: AUROC at most 0.55. Both are cross-validated so that no product is in
training and test at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from booth.world import Exposure, World
from schemas.words import Severity

FOLDS = 5
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """N captures of the split `test`, one row each, view 0 only."""

    pictures: NDArray[np.uint8]  # uint8[N, 224, 224, 3], RGB
    numbers: NDArray[np.float64]  # float64[N, 15]: what a file tells without looking
    damaged: NDArray[np.bool_]  # bool[N]
    visible: NDArray[np.bool_]  # bool[N]: the damage shows in view 0
    minor: NDArray[np.bool_]  # bool[N]
    kinds: NDArray[np.str_]  # str[N]: the first kind, empty where intact
    product: NDArray[np.int64]  # int64[N]


def sit(*, seed: int, captures: int, products: int, site_style: str) -> Exam:
    """Take the pictures of the exam."""
    cv2.setNumThreads(1)
    world = World(seed, products=products, damage_rate=0.5, split="test", site_style=site_style, depth=0.0)  # type: ignore[arg-type]
    pictures, numbers, rows = [], [], []
    for index in range(captures):
        number, truth, exposures = world.expose(index)
        whole = np.asarray(cv2.imdecode(np.frombuffer(exposures[0].picture.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        numbers.append(without_looking(whole, exposures))
        small = cv2.resize(whole, (224, 224), interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(small[..., ::-1], np.uint8))
        kind = str(truth.kinds[0]) if truth.kinds else ""
        rows.append((truth.damaged, bool(exposures[0].boxes), truth.severity is Severity.MINOR, kind, number))
    damaged, visible, minor, kinds, product = zip(*rows, strict=True)
    return Exam(
        np.stack(pictures), np.array(numbers), np.array(damaged), np.array(visible), np.array(minor), np.array(kinds),
        np.array(product),
    )  # fmt: skip


def without_looking(whole: NDArray[np.uint8], exposures: Sequence[Exposure]) -> list[float]:
    """Return fifteen numbers of a picture uint8[h, w, 3] that know nothing of what it shows."""
    grey = np.asarray(cv2.cvtColor(whole, cv2.COLOR_BGR2GRAY), np.uint8)
    rim = np.concatenate([whole[:24].reshape(-1, 3), whole[-24:].reshape(-1, 3)])
    blocks = np.abs(np.diff(grey.astype(np.float32), axis=1)).mean(axis=0)
    return [
        float(len(exposures)),
        float(len(exposures[0].picture.jpeg)),
        *(float(v) for v in whole.reshape(-1, 3).mean(axis=0)),
        *(float(v) for v in whole.reshape(-1, 3).std(axis=0)),
        *(float(v) for v in rim.mean(axis=0)),
        float(rim.std()),
        float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        float(blocks[7::8].mean() / blocks.mean()),
        float(np.median(np.abs(cv2.Laplacian(grey, cv2.CV_32F)))),
    ]


def features(pictures: NDArray[np.uint8], backbone: Path) -> NDArray[np.float32]:
    """Return float32[N, 1280], unit length: the backbone's pooled features of pictures scaled to -1 .. 1."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(backbone), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        rows.append(np.asarray(session.run(["embedding"], {name: batch})[0], np.float32).reshape(len(batch), -1))
    pooled = np.concatenate(rows)
    return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), np.float32)


def probe(rows: NDArray[np.floating], exam: Exam, *, strong: bool) -> NDArray[np.float64]:
    """Return float64[N]: scores of captures by models that saw none of their product; `strong` means boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    model = (
        HistGradientBoostingClassifier(max_iter=120, learning_rate=0.05, random_state=0)
        if strong
        else LogisticRegression(C=10.0, max_iter=3000)
    )
    shares = cross_val_predict(
        model, rows, exam.damaged, groups=exam.product, cv=GroupKFold(FOLDS), method="predict_proba"
    )
    return np.asarray(shares[:, 1], np.float64)


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive scores above a negative."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, help="ONNX with an output `embedding`; without it only the leak test")
    parser.add_argument("--captures", type=int, default=2000)
    parser.add_argument("--products", type=int, default=250)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--site-style", default="standard")
    options = parser.parse_args()
    exam = sit(seed=options.seed, captures=options.captures, products=options.products, site_style=options.site_style)
    hidden = exam.damaged & ~exam.visible
    unseen = hidden.sum() / exam.damaged.sum()
    say(f"{len(exam.damaged)} captures, {exam.damaged.mean():.2f} damaged, {unseen:.2f} of these out of sight")
    leak = (exam.numbers - exam.numbers.mean(axis=0)) / (exam.numbers.std(axis=0) + 1e-9)
    trees, line = (auroc(probe(leak, exam, strong=strong), exam.damaged) for strong in (True, False))
    say(f"without looking: AUROC {trees:.3f} (boosted trees), {line:.3f} (linear); at most 0.55 is honest")
    if options.backbone is None:
        return
    score = probe(features(exam.pictures, options.backbone), exam, strong=False)
    say(f"linear probe: AUROC {auroc(score, exam.damaged):.3f} of all damage; 0.75 to 0.90 is honest")
    kept = ~hidden
    say(f"  {auroc(score[kept], exam.damaged[kept]):.3f} of damage in sight")
    for name, part in (("minor", exam.minor), ("major", exam.damaged & ~exam.minor)):
        rows = (part & kept) | ~exam.damaged
        say(f"  {auroc(score[rows], exam.damaged[rows]):.3f} {name}")
    for kind in sorted(set(exam.kinds) - {""}):
        rows = ((exam.kinds == kind) & kept) | ~exam.damaged
        say(f"  {auroc(score[rows], exam.damaged[rows]):.3f} {kind} ({int((exam.kinds == kind).sum())})")


def say(line: str) -> None:
    """Print a line."""
    print(line, flush=True)  # noqa: T201 - a benchmark's answer


if __name__ == "__main__":
    main()
