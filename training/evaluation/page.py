"""The report as one page: tables, curves and pictures inside it, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from schemas.words import MICRO
from training.evaluation.figures import Figures, Merit
from training.evaluation.intervals import Interval
from training.evaluation.metrics import Recall
from training.evaluation.mistakes import Mistake
from training.evaluation.slices import Slice

if TYPE_CHECKING:  # the report imports this module
    from training.evaluation.report import Report

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid #ddd; padding-bottom: .2em; }
table { border-collapse: collapse; margin: .8em 0; font-size: .92em; }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th { background: #f6f6f4; } th:first-child, td:first-child { text-align: left; white-space: normal; }
small { color: #777; } p.worst { background: #fdf3e7; padding: .5em .8em; }
.curves img { width: 49%; } .mistakes { display: flex; flex-wrap: wrap; gap: 14px; }
.mistakes figure { margin: 0; width: 500px; } .mistakes img { height: 180px; margin-right: 4px; }
figcaption { font-size: .85em; color: #444; }
"""


def render(report: Report, drawings: Mapping[str, bytes], alarms: Sequence[Mistake], misses: Sequence[Mistake]) -> str:
    """Return the page."""
    found = report.figures
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation</title>",
        f"<style>{_STYLE}</style><h1>Evaluation</h1>",
        _summary(report),
        "<h2>Finding damage</h2>",
        _merits([each.merit for each in found.ways]),
        _recalls([each.merit for each in found.ways], found.prevalence),
        _curves(drawings),
        "<h2>Are the probabilities true?</h2>",
        _reliability(found),
        "<h2>What each part adds</h2>",
        _merits(found.ablations),
        "<h2>What references are for</h2>",
        _groups(found),
        "<h2>Telling products by their looks</h2>",
        _identity(found),
        "<h2>Slices, worst first</h2>",
        _slices(found),
        *_gallery("The worst false alarms", alarms),
        *_gallery("The worst misses", misses),
        "</html>",
    ]
    return "\n".join(parts)


def _summary(report: Report) -> str:
    found, about = report.figures, report.about
    refused = "; ".join(f"{count} {reason}" for reason, count in found.refused.items()) or "none"
    rows = [
        ("captures with a truth", f"{found.captures:,} ({found.damaged:,} damaged, {found.major:,} of them major)"),
        ("products", f"{found.products:,}; in the gallery {about.products:,} with {about.references:,} references"),
        ("refused captures", refused),
        ("captures without a label", f"{found.unlabelled:,}"),
        ("source", about.source),
        ("fusion", about.fusion),
        *((name, digest) for name, digest in about.models.items()),
        ("command", report.command),
        ("made", report.made_at),
    ]
    return _table((), [(name, escape(text)) for name, text in rows])


def _merits(merits: Iterable[Merit]) -> str:
    names = ("ap_any", "ap_major", "auroc", "recall_at_half_precision", "recall_at_1_percent_fpr")
    rows = [
        (
            each.name,
            f"{each.captures:,}",
            *(_doubted(getattr(each.official, name), getattr(each.official_may_be, name)) for name in names),
        )
        for each in merits
    ]
    return _table(("", "captures", "AP any", "AP major", "AUROC", "R at 50 % P", "R at 1 % FPR"), rows)


def _recalls(merits: Iterable[Merit], prevalence: float) -> str:
    rows = [(each.name, *_recall(recall)) for each in merits for recall in each.recalls]
    head = (
        "",
        "FPR",
        "recall",
        "threshold given",
        "products redrawn",
        "false alarms",
        f"precision at {prevalence:.2%}",
    )
    words = (
        "<p><small>Two intervals of 95 %: with the threshold taken as given (Clopper and Pearson), and with whole "
        "products redrawn and the threshold measured anew each time. The rate itself is only known as well as the "
        "false alarms could be counted.</small></p>"
    )
    return _table(head, rows) + words


def _recall(recall: Recall) -> tuple[str, ...]:
    if recall.refused:
        return (f"{recall.rate:g}", f"<small>{escape(recall.refused)}</small>", "", "", "", "")
    alarms = f"{recall.alarms} ({recall.rate_may_be.low:.2%} to {recall.rate_may_be.high:.2%})"
    return (
        f"{recall.rate:g}",
        _number(recall.recall),
        _interval(recall.given_threshold),
        _interval(recall.over_products),
        alarms,
        _number(recall.precision),
    )


def _curves(drawings: Mapping[str, bytes]) -> str:
    images = (f"<img alt='{escape(title)}' src='{_data('png', image)}'>" for title, image in drawings.items())
    return f"<div class='curves'>{''.join(images)}</div>"


def _reliability(found: Figures) -> str:
    rows = [
        (
            each.merit.name,
            f"{each.compared:.1%}",
            _doubted(each.reliability.ece, each.ece_may_be),
            _number(each.reliability.brier),
            _number(each.reliability.log_loss),
        )
        for each in found.ways
    ]
    words = (
        "<p><small>Scores are log-odds on a line where damage is rare; here that prior is taken out and this set's own "
        "share of damage put in. ECE: mean gap between said and found, bins of equal mass.</small></p>"
    )
    patterns = [
        (
            f"as it arrived, {each.pattern.value.replace('_', ' ')}",
            f"{each.captures:,}",
            _doubted(each.reliability.ece, each.ece_may_be),
            _number(each.reliability.brier),
            _number(each.reliability.log_loss),
        )
        for each in found.patterns
    ]
    ways = _table(("", "references spoke", "ECE", "Brier", "log loss"), rows)
    return ways + _table(("", "captures", "ECE", "Brier", "log loss"), patterns) + words


def _groups(found: Figures) -> str:
    rows = [
        (
            each.name,
            each.way.value.replace("_", " "),
            f"{each.damaged:,}",
            _with(each.found, each.found_may_be),
            f"{each.intact:,}",
            _with(each.false_alarms, each.false_alarms_may_be),
        )
        for each in found.groups
    ]
    words = "<p><small>At the score that 1 % of all intact captures lie above, found for each way.</small></p>"
    return _table(("", "way", "damaged", "found", "intact", "false alarms"), rows) + words


def _identity(found: Figures) -> str:
    sets = [
        (
            f"{each.products:,}",
            f"{each.captures:,}",
            _with(each.top1, each.top1_may_be),
            _with(each.dir_at_far, each.dir_may_be),
            _number(each.dir_damaged),
            _number(each.dir_familiar),
            _with(each.shipped_dir, each.shipped_dir_may_be),
            _with(each.shipped_far, each.shipped_far_may_be),
        )
        for each in found.open_sets
    ]
    far = found.open_sets[0].far if found.open_sets else 0.01
    head = (
        "products to choose from",
        "captures",
        "top 1",
        f"DIR at FAR {far:.0%}",
        "of damaged units",
        "of designs as referenced",
        "DIR as shipped",
        "FAR as shipped",
    )
    names = [
        (
            name.replace("_", " "),
            f"{each.captures:,}",
            f"{each.named:,}",
            _with(each.wrong_rate, each.wrong_rate_may_be),
            f"{each.conflicts:,}",
        )
        for name, each in found.named.items()
    ]
    return _table(head, sets) + _table(("way", "captures", "named", "wrong of those", "conflicts"), names)


def _slices(found: Figures) -> str:
    words = []
    if (lowest := found.lowest_recall) is not None:
        words.append(f"Lowest recall: <b>{_name(lowest)}</b>, {_with(lowest.recall, lowest.recall_may_be)}.")
    if (most := found.most_false_alarms) is not None:
        words.append(f"Most false alarms: <b>{_name(most)}</b>, {_with(most.false_alarms, most.false_alarms_may_be)}.")
    rows = [
        (
            _name(each),
            f"{each.damaged:,}",
            _with(each.recall, each.recall_may_be) if each.damaged else "",
            f"{each.intact:,}",
            _with(each.false_alarms, each.false_alarms_may_be) if each.intact else "",
            _number(each.auroc),
        )
        for each in found.slices
    ]
    told = f"<p class='worst'>{' '.join(words)}</p>" if words else ""
    return told + _table(("slice", "damaged", "recall", "intact", "false alarms", "AUROC"), rows)


def _gallery(title: str, mistakes: Sequence[Mistake]) -> list[str]:
    if not mistakes:
        return []
    figures = [
        f"<figure><img src='{_data('jpeg', each.jpeg)}'>"
        + (f"<img src='{_data('jpeg', each.reference)}'>" if each.reference is not None else "")
        + f"<figcaption>{_caption(each)}</figcaption></figure>"
        for each in mistakes
    ]
    return [f"<h2>{escape(title)}</h2><div class='mistakes'>{''.join(figures)}</div>"]


def _caption(mistake: Mistake) -> str:
    row, answer = mistake.row, mistake.answer
    truth = f"{row.severity.value} {', '.join(kind.value for kind in row.kinds)}" if row.damaged else "intact"
    facts = ", ".join(f"{name} {value}" for name, value in sorted(row.facts.items()))
    own = " (wrong)" if answer.product_id not in {None, row.product_id} else ""
    known = f"{answer.method.value} {answer.product_id or ''}{own}"
    return escape(f"{row.capture_id}: {truth}; score {answer.score / MICRO:+.2f}, {known}; {facts}")


def _name(each: Slice) -> str:
    return escape(f"{each.by.replace('_', ' ')}: {each.value}")


def _with(value: float, may_be: Interval) -> str:
    return "" if math.isnan(value) else f"{value:.1%} <small>({_interval(may_be)})</small>"


def _doubted(value: float, may_be: Interval) -> str:
    return "" if math.isnan(value) else f"{value:.3f} <small>({may_be.low:.3f} to {may_be.high:.3f})</small>"


def _interval(may_be: Interval) -> str:
    return f"{may_be.low:.1%} to {may_be.high:.1%}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold our own tags, texts from outside were escaped where they came in."""
    top = f"<tr>{''.join(f'<th>{each}</th>' for each in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
