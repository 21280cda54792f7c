"""From a trial to `fusion.json`: rows as the inspector would record them, fitted by `evidence.fit`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from booth.draws import Domain, draws
from evidence.assemble import assemble
from evidence.calibration import Calibration
from evidence.fit import FitRow, fit
from evidence.fusion import fuse
from evidence.identity import IdentityLimits, ImageCandidate, ScanClaim, identify
from evidence.limits import fit_limits
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.messages import Identity
from training.measure import Case, Trial
from training.scores import auroc, recall_at


def calibrate(trial: Trial, *, seed: int) -> Calibration:
    """Measure the limits of identification, then fit every pattern.

    Each capture counts with a right scan and, where its looks suffice, without one.

    Raises:
        Fatal: too few captures.
    """
    limits = fit_limits(
        np.stack([case.likeness for case in trial.cases]),
        np.stack([case.cosines for case in trial.cases]),
        [case.product for case in trial.cases],
    )
    rows = []
    for index, case in enumerate(trial.cases):
        other = int(draws(Domain.TRAINING, seed, index).integers(1, len(trial.gallery)))
        stranger = trial.discrepancy(case, (case.product + other) % len(trial.gallery)).micro
        own = trial.discrepancy(case, case.product)
        for scanned in (True, False):
            identity = identified(case, limits, scanned=scanned)
            right = identity.product_id == str(case.product) and not identity.conflict
            evidence = assemble(case.classifier, own if right else None, identity)
            rows.append(
                FitRow(
                    damaged=case.damaged,
                    classifier=evidence.classifier,
                    pattern=evidence.pattern,
                    confidence_ppm=identity.confidence_ppm,
                    discrepancy=evidence.discrepancy,
                    other=None if evidence.discrepancy is None else stranger,
                )
            )
    return fit(
        rows,
        version="not yet saved",
        classifier=f"{CLASSIFIER}:1",
        embedding=f"{EMBEDDING}:1",
        limits=limits,
    )


def fused_figures(trial: Trial, calibration: Calibration) -> dict[str, float]:
    """Return how well the fused score finds damage, with right scans and by looks alone, and what looks identify."""
    damaged = np.array([case.damaged for case in trial.cases])
    found = {}
    for name, scanned in (("by_code", True), ("by_image", False)):
        scores, identities = [], []
        for case in trial.cases:
            identity = identified(case, calibration.limits, scanned=scanned)
            compared = None
            if identity.product_id is not None and not identity.conflict:
                compared = trial.discrepancy(case, int(identity.product_id))
            scores.append(float(fuse(assemble(case.classifier, compared, identity), identity, calibration)))
            identities.append(identity)
        found[f"fused_auroc_{name}"] = auroc(scores, damaged)
        found[f"fused_recall_at_1_percent_fpr_{name}"] = recall_at(scores, damaged, 0.01)
        if not scanned:
            named = [(i.product_id, str(c.product)) for i, c in zip(identities, trial.cases, strict=True)]
            accepted = [(product, own) for product, own in named if product is not None]
            found["identity_by_image_accepted"] = len(accepted) / len(named)
            found["identity_by_image_wrong"] = sum(p != own for p, own in accepted) / max(1, len(accepted))
        else:
            found["identity_false_conflicts"] = float(np.mean([each.conflict for each in identities]))
    return found


def vetted_negatives(trial: Trial, calibration: Calibration) -> list[int]:
    """Return the fused scores of the trial's intact captures, each once with a right scan and once by its looks.

    The trial must not be the one the calibration was fitted on. They warm a site's threshold (`budget.warm`).
    """
    scores = []
    for case in trial.cases:
        if case.damaged:
            continue
        for scanned in (True, False):
            identity = identified(case, calibration.limits, scanned=scanned)
            compared = None
            if identity.product_id is not None and not identity.conflict:
                compared = trial.discrepancy(case, int(identity.product_id))
            scores.append(fuse(assemble(case.classifier, compared, identity), identity, calibration))
    return sorted(scores)


def identified(case: Case, limits: IdentityLimits, *, scanned: bool) -> Identity:
    """Identify a capture with a right scan, or by its looks alone."""
    return identify(
        scan=ScanClaim(str(case.product), str(case.product), 0) if scanned else None,
        codes=[],
        candidates=[
            ImageCandidate(str(number), float(cosine), float(patch))
            for number, (cosine, patch) in enumerate(zip(case.cosines, case.likeness, strict=True))
        ],
        expected=[],
        limits=limits,
    )


def save(calibration: Calibration, repository: Path) -> Path:
    """Write the calibration beside the models, named by its content and theirs.

    Decisions record that name. Triton takes folders for models, not files.
    """
    content = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(calibration, version="")))
    for model in (CLASSIFIER, EMBEDDING):
        content.update((repository / model / "1" / "model.onnx").read_bytes())
    path = repository / "fusion.json"
    msgspec.structs.replace(calibration, version=f"fusion-{content.hexdigest()[:12]}").save(path)
    return path
