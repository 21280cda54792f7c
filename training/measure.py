"""How good the exported files are on products that no network has seen, by the line's own functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evidence.assemble import ClassifierEvidence, combine_views
from evidence.discrepancy import Discrepancy, StoredPatches, compare, patch_similarity, quantise
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.words import KINDS
from training.album import Album
from training.runtime import session
from training.scores import auroc, recall_at

_BATCH: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One capture, all its views: the truth, what the models say, and its likeness to every product."""

    damaged: bool
    major: bool
    kinds: NDArray[np.bool_]  # bool[7]
    product: int
    classifier: ClassifierEvidence
    patches: NDArray[np.float32]  # float32[V, 100, 64]
    cosines: NDArray[np.float32]  # float32[products]: mean over views of the best cosine of the pooled vectors
    likeness: NDArray[np.float32]  # float32[products]: patch similarity to the best reference


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Captures compared with a gallery of two references a product."""

    cases: tuple[Case, ...]
    gallery: tuple[tuple[tuple[str, StoredPatches], ...], ...]  # of each product: reference ids and int8[V, 100, 64]

    def discrepancy(self, case: Case, product: int) -> Discrepancy:
        """Compare a capture with the references of a product, its own or another."""
        return compare(case.patches, self.gallery[product])


def try_out(album: Album, repository: Path) -> Trial:
    """Ask the exported models about every view and join the views of each capture, as an inspector would."""
    damage, kinds, severity, heat = _ask(repository, CLASSIFIER, album.pixels)
    vectors, patches = _ask(repository, EMBEDDING, album.pixels)
    numbers = range(int(album.product.max()) + 1)
    shelf = [_shots(album, (album.product == number) & album.reference) for number in numbers]
    gallery = tuple(
        tuple((f"{number}-{copy}", quantise(patches[rows])) for copy, rows in enumerate(references))
        for number, references in enumerate(shelf)
    )
    known = np.stack(
        [np.concatenate([vectors[rows] for rows in references]) for references in shelf]
    )  # [P, R * V, 128]
    cases = []
    for rows in _shots(album, ~album.reference):
        first = int(rows[0])
        cosines = np.einsum("vd,prd->pvr", vectors[rows], known).max(axis=2).mean(axis=1)
        likeness = [max(patch_similarity(patches[rows], stored) for _, stored in references) for references in gallery]
        cases.append(
            Case(
                damaged=bool(album.damaged[rows].any()),
                major=bool(album.major[rows].any()),
                kinds=np.asarray(album.kinds[rows].any(axis=0)),
                product=int(album.product[first]),
                classifier=combine_views(damage[rows, 0], kinds[rows], severity[rows, 0], heat[rows]),
                patches=patches[rows],
                cosines=cosines.astype(np.float32),
                likeness=np.array(likeness, np.float32),
            )
        )
    return Trial(tuple(cases), gallery)


def figures(trial: Trial) -> dict[str, float]:
    """Return what the card states of the models alone, before any fusion."""
    cases = trial.cases
    damaged = np.array([case.damaged for case in cases])
    scores = np.array([case.classifier.damage for case in cases], np.float64)
    own = np.array([case.product for case in cases])
    apart = np.array([trial.discrepancy(case, case.product).micro for case in cases], np.float64)
    found = {
        "captures": float(len(cases)),
        "damaged": float(damaged.sum()),
        "classifier_auroc": auroc(scores, damaged),
        "classifier_recall_at_1_percent_fpr": recall_at(scores, damaged, 0.01),
        "discrepancy_auroc": auroc(apart, damaged),
        "discrepancy_recall_at_1_percent_fpr": recall_at(apart, damaged, 0.01),
        "identity_top1_pooled": float(np.mean([case.cosines.argmax() == case.product for case in cases])),
        "identity_top1_patches": float(np.mean(np.stack([case.likeness for case in cases]).argmax(axis=1) == own)),
        "products": float(len(trial.gallery)),
    }
    for place, kind in enumerate(KINDS):
        ill = np.array([bool(case.kinds[place]) for case in cases])
        if ill.any():
            told = ill | ~damaged
            found[f"classifier_auroc_{kind}"] = auroc(scores[told], ill[told])
    major = np.array([case.major for case in cases])
    for name, ill in (("minor", damaged & ~major), ("major", major)):
        told = ill | ~damaged
        found[f"classifier_auroc_{name}"] = auroc(scores[told], ill[told])
    return {name: value for name, value in found.items() if not math.isnan(value)}  # of what there was none of


def _ask(repository: Path, model: str, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return all outputs of a model for uint8[N, 160, 160, 3]."""
    opened = session(repository / model / "1" / "model.onnx")
    answers = [opened.run(None, {"IMAGES": pixels[at : at + _BATCH]}) for at in range(0, len(pixels), _BATCH)]
    return [np.concatenate(each) for each in zip(*answers, strict=True)]


def _shots(album: Album, wanted: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the rows of each shot among the wanted rows, in order."""
    rows = np.flatnonzero(wanted)
    starts = np.flatnonzero(np.diff(album.shot[rows], prepend=-1))
    return np.split(rows, starts[1:])
