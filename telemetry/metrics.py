"""Every metric of the line, in one place. `python -m telemetry.document` writes docs/metrics.md from this module.

Base units (seconds, bytes, captures). Labels are bounded: registered sites and lines, reasons and dependencies from
enums, versions; never an id of a capture, unit, product or person.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

STAGE_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """The metrics of one process. Groups follow the questions an operator asks."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register everything at once, so that a metric exists from the first scrape on."""
        # Is work flowing?
        self.received: Final = Counter(
            "sideline_events_received", "Events taken from Kafka.", ["entity"], registry=registry
        )
        self.finished: Final = Counter(
            "sideline_events_finished", "Events whose outcome is durable.", ["entity"], registry=registry
        )
        self.in_work: Final = Gauge(
            "sideline_events_in_work",
            "Events taken from Kafka and not finished, parked ones included.",
            registry=registry,
        )
        self.parked: Final = Gauge(
            "sideline_events_parked", "Events taken from Kafka that wait for a place in the window.", registry=registry
        )
        self.head_age: Final = Gauge(
            "sideline_ledger_head_age_seconds",
            "Age of the oldest event whose offset cannot be acknowledged yet.",
            registry=registry,
        )
        self.member: Final = Gauge(
            "sideline_group_member",
            "1 in a consumer group that is settled, with or without partitions; 0 while it is being put together.",
            registry=registry,
        )
        self.partitions: Final = Gauge(
            "sideline_partitions_assigned",
            "Partitions this process holds. 0 for long in a member of its group: a spare worker.",
            registry=registry,
        )
        self.revoked: Final = Counter(
            "sideline_rebalances", "Times partitions were revoked from this process.", registry=registry
        )
        self.cancelled: Final = Counter(
            "sideline_events_cancelled",
            "Events dropped at a revoke or shutdown; Kafka delivers them again.",
            registry=registry,
        )
        self.stage: Final = Histogram(
            "sideline_stage_seconds",
            "Time one capture spent in a stage of the inspector.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.answer: Final = Histogram(
            "sideline_answer_seconds",
            "From the broker's append time of a capture to its acknowledged decision.",
            ["site"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        # What is away?
        self.breaker_open: Final = Gauge(
            "sideline_breaker_open",
            "1 while a dependency is away and admission pauses.",
            ["dependency"],
            registry=registry,
        )
        self.breaker_opened: Final = Counter(
            "sideline_breaker_opened", "Times a dependency was found away.", ["dependency"], registry=registry
        )
        self.loop_tick: Final = Gauge(
            "sideline_event_loop_tick_timestamp_seconds", "Unix time of the event loop's last tick.", registry=registry
        )
        self.fetch_retries: Final = Counter(
            "sideline_view_fetch_retries",
            "Times a view's storage did not answer and was asked again.",
            registry=registry,
        )
        self.depth_left_out: Final = Counter(
            "sideline_depth_left_out",
            "Depth views that were missing, late or unreadable; their captures were judged without.",
            registry=registry,
        )
        # What was answered?
        self.outcomes: Final = Counter(
            "sideline_outcomes",
            "Outcomes made by this process.",
            ["site", "line", "outcome", "reason"],
            registry=registry,
        )
        self.diverts: Final = Counter(
            "sideline_diverts", "Units sent to a person.", ["site", "line", "divert"], registry=registry
        )
        self.withheld: Final = Counter(
            "sideline_withheld",
            "Captures above the threshold that passed for want of a token.",
            ["site", "line"],
            registry=registry,
        )
        self.from_record: Final = Counter(
            "sideline_answered_from_record",
            "Captures answered with stored bytes: redelivered or sent again.",
            ["site"],
            registry=registry,
        )
        self.dead_letters: Final = Counter(
            "sideline_dead_letters", "Messages put on a dead-letter topic.", ["entity", "reason"], registry=registry
        )
        self.gave_up: Final = Counter(
            "sideline_handler_failures",
            "Attempts at an event that failed for our own reasons (bugs).",
            ["entity"],
            registry=registry,
        )
        # What are units thought to be?
        self.identities: Final = Counter(
            "sideline_identities",
            "Captures by how their product was identified.",
            ["site", "method"],
            registry=registry,
        )
        self.conflicts: Final = Counter(
            "sideline_identity_conflicts",
            "Captures whose sources of identity disagree; divert none or audit: no token, or too late.",
            ["site", "divert"],
            registry=registry,
        )
        self.stray_scans: Final = Counter(
            "sideline_stray_scans",
            "Scans of a capture's unit that read the label of another unit; recorded and not used.",
            ["site"],
            registry=registry,
        )
        # How is the budget?
        self.balance: Final = Gauge(
            "sideline_budget_balance_tokens", "Unspent false-alarm tokens.", ["site"], registry=registry
        )
        self.pending: Final = Gauge(
            "sideline_budget_pending_tokens", "Tokens of sidelined units not judged yet.", ["site"], registry=registry
        )
        self.threshold: Final = Gauge(
            "sideline_threshold_log_odds",
            "Fused score from which a capture asks for a token.",
            ["site"],
            registry=registry,
        )
        self.sequence: Final = Gauge(
            "sideline_sequence", "Number of the site's last capture decided from a score.", ["site"], registry=registry
        )
        self.associate_outliers: Final = Gauge(
            "sideline_associate_outliers",
            "Associates whose verdicts differ from the others' by more than chance; who: sideline associates.",
            ["site"],
            registry=registry,
        )
        self.verdicts: Final = Counter(
            "sideline_verdicts", "Dispositions processed.", ["site", "verdict", "effect"], registry=registry
        )
        self.epcis_events: Final = Counter(
            "sideline_epcis_events", "EPCIS events sent by the herald.", ["site", "disposition"], registry=registry
        )
        # Is the gallery alive?
        self.gallery_references: Final = Gauge(
            "sideline_gallery_references", "References in this process's index.", registry=registry
        )
        self.gallery_products: Final = Gauge(
            "sideline_gallery_products", "Products in this process's catalogue.", registry=registry
        )
        self.gallery_staleness: Final = Gauge(
            "sideline_gallery_staleness_seconds", "Time since the index last agreed with the store.", registry=registry
        )
        self.gallery_changes: Final = Counter(
            "sideline_gallery_changes",
            "References and products taken in or out by the curator.",
            ["change"],
            registry=registry,
        )
        self.gallery_candidates: Final = Counter(
            "sideline_gallery_candidates",
            "Judged captures by what they did in the gallery: candidate, seen, known, contradicts, contradicted.",
            ["effect"],
            registry=registry,
        )
        self.proposals: Final = Counter(
            "sideline_gallery_proposals",
            "Judged stops that the settler told the gallery of.",
            ["site", "verdict"],
            registry=registry,
        )
        self.scans: Final = Counter("sideline_scans", "Scans stored by the tracker.", ["site"], registry=registry)
        # What is running?
        self.version: Final = Gauge(
            "sideline_version_info", "1, with what runs as labels.", ["part", "version"], registry=registry
        )


METRICS: Final = Metrics()
