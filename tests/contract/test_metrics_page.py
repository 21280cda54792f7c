"""The metrics and their page agree, and no label can grow without bound."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from telemetry.document import PAGE, page
from telemetry.metrics import Metrics

# Registered sites and lines, and words from enums; ids of captures, units, products or people are not among them.
BOUNDED = {
    "action", "change", "dependency", "disposition", "divert", "effect", "entity", "line", "method", "outcome", "part",
    "reason", "site", "stage", "verdict", "version",
}  # fmt: skip


class TestMetrics:
    """What Prometheus is told."""

    def test_the_page_is_current(self) -> None:
        """docs/metrics.md is what `make schemas` writes from the module."""
        assert page() == PAGE.read_text(encoding="utf-8")

    def test_labels_are_bounded(self) -> None:
        """Every label takes its values from a short list."""
        metrics = [each for each in vars(Metrics(CollectorRegistry())).values() if isinstance(each, MetricWrapperBase)]
        assert metrics
        assert set() == {label for metric in metrics for label in metric._labelnames} - BOUNDED

    def test_names_carry_the_product_and_base_units(self) -> None:
        """Names start with sideline_; histograms measure seconds."""
        metrics = [each for each in vars(Metrics(CollectorRegistry())).values() if isinstance(each, MetricWrapperBase)]
        assert [] == [metric._name for metric in metrics if not metric._name.startswith("sideline_")]
        assert [] == [m._name for m in metrics if m._type == "histogram" and not m._name.endswith("_seconds")]
