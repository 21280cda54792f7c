"""The few figures that a terminal shows; the report has all of them."""

from __future__ import annotations

from training.evaluation.figures import Figures
from training.evaluation.metrics import Recall
from training.evaluation.slices import Slice


def words(found: Figures) -> str:
    """Return a dozen lines."""
    lines = [
        f"{found.captures:,} captures of {found.products:,} products, {found.damaged:,} damaged"
        + (f"; refused: {sum(found.refused.values()):,}" if found.refused else "")
    ]
    for each in found.ways:
        figures = each.merit.official
        lines.append(
            f"{each.way.value:<9} AP {figures.ap_any:.3f}  AP major {figures.ap_major:.3f}  AUROC {figures.auroc:.3f}"
            f"  ECE {each.reliability.ece:.3f}  {'  '.join(_recall(recall) for recall in each.merit.recalls)}"
        )
    refused = {recall.refused for each in found.ways for recall in each.merit.recalls if recall.refused}
    lines += sorted(refused)
    lines += [
        f"choosing among {each.products:,} by looks: top 1 {each.top1:.3f}, DIR at FAR {each.far:.0%} "
        f"{each.dir_at_far:.3f} (damaged {each.dir_damaged:.3f}, designs as referenced {each.dir_familiar:.3f}); "
        f"as shipped {each.shipped_dir:.3f} at FAR {each.shipped_far:.1%}"
        for each in found.open_sets
    ]
    if found.lowest_recall is not None:
        lines.append(f"lowest recall: {_slice(found.lowest_recall, found.lowest_recall.recall)}")
    if found.most_false_alarms is not None:
        lines.append(f"most false alarms: {_slice(found.most_false_alarms, found.most_false_alarms.false_alarms)}")
    return "\n".join(lines)


def _recall(recall: Recall) -> str:
    if recall.refused:
        return f"R@{recall.rate:g} -"
    doubts = (recall.given_threshold, recall.over_products)  # the wider of the two, on either side
    low, high = min(each.low for each in doubts), max(each.high for each in doubts)
    return f"R@{recall.rate:g} {recall.recall:.3f} ({low:.2f}-{high:.2f})"


def _slice(each: Slice, value: float) -> str:
    return f"{each.by} {each.value}: {value:.1%} ({each.damaged:,} damaged, {each.intact:,} intact)"
