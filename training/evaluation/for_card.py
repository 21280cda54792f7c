"""What a recipe takes from a trial: the figures of a model card, and the scores that a threshold starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from training.evaluation.figures import Figures
from training.evaluation.metrics import ALWAYS
from training.evaluation.rows import Row, usable
from training.evaluation.table import Way


def card_figures(found: Figures) -> dict[str, float]:
    """Return a card's figures by name; those that the set cannot tell are left out."""
    figures = {"captures": float(found.captures), "damaged": float(found.damaged), "products": float(found.products)}
    for each in found.ways:
        name, official = each.way.value, each.merit.official
        figures |= {
            f"{name}_ap_any": official.ap_any,
            f"{name}_ap_major": official.ap_major,
            f"{name}_auroc": official.auroc,
            f"{name}_recall_at_half_precision": official.recall_at_half_precision,
            f"{name}_ece": each.reliability.ece,
        }
        for recall in each.merit.recalls:
            if not recall.refused:
                name_of_rate = "1_percent" if recall.rate == ALWAYS else f"{recall.rate * 100:g}_percent"
                figures[f"{name}_recall_at_{name_of_rate}_fpr"] = recall.recall
    figures |= {f"ablation_{each.name}_auroc".replace(" ", "_"): each.official.auroc for each in found.ablations}
    figures |= {f"kind_{each.value}_auroc": each.auroc for each in found.slices if each.by == "kind" and each.damaged}
    for size in found.open_sets:
        figures[f"looks_among_{size.products}_top1"] = size.top1
        figures[f"looks_among_{size.products}_dir_at_1_percent_far"] = size.dir_at_far
    figures |= {f"{name}_wrong_names": each.wrong_rate for name, each in found.named.items()}
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def vetted_negatives(rows: Sequence[Row]) -> list[int]:
    """Return the fused scores of intact captures, each once with a right scan and once by its looks, in order.

    They warm a site's threshold (`budget.warm`); the calibration must not have been fitted on these captures.
    """
    intact = [row for row in usable(rows) if not row.damaged]
    answers = [getattr(row, way.value) for row in intact for way in (Way.BY_CODE, Way.BY_IMAGE)]
    return sorted(answer.score for answer in answers if answer is not None)
