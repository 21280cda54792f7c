"""The rules of the alerts and the series that workers expose, as tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]
from prometheus_client import Counter, Gauge, Histogram

from streams.breakers import SELF
from telemetry.metrics import METRICS

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy/prometheus"
RULES: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TARGET: Final = {"job", "instance"}  # what Prometheus adds to every series
OTHERS: Final = {"up": set[str](), "process_start_time_seconds": set[str]()}
DEPENDENCIES: Final = {"redis", "gallery", "triton", "kafka", SELF}


def series() -> dict[str, set[str]]:
    """Return every series that workers expose, with its labels."""
    found = dict(OTHERS)
    for metric in vars(METRICS).values():
        name, labels = metric._name, set(metric._labelnames)
        if isinstance(metric, Counter):
            found[f"{name}_total"] = labels
        elif isinstance(metric, Histogram):
            found |= {f"{name}_bucket": {*labels, "le"}, f"{name}_sum": labels, f"{name}_count": labels}
        elif isinstance(metric, Gauge):
            found[name] = labels
    return found
