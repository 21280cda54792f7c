"""Alerts ask for what exists, and every alert and every fault has a page that quotes what the programs really say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import promql_parser as promql
import pytest

from cli.commands import COMMANDS
from cli.tail import Stream
from deploy.local.endpoints import SERVERS
from schemas.faults import Reason
from tests.chaos.faults import Kind
from tests.contract.alert_rules import DEPENDENCIES, ROOT, RULES, TARGET, series

PAGES: Final = sorted(path for path in (ROOT / "docs/runbooks").glob("*.md") if path.name != "README.md")
SECTIONS: Final = ("What you see", "What it means", "What to do", "Over when")

# What libraries and servers say, and other words that no source file of ours holds. Seen in real logs.
NOT_OURS: Final = (
    "Connection refused",
    "DEADLINE_EXCEEDED: Deadline Exceeded",
    "Heartbeat failed for group inspector because it is rebalancing",
    "Heartbeat failed: local member_id was not recognized; resetting and re-joining group",
    "Heartbeat session expired - marking coordinator dead",
    "marking coordinator dead",
    "No space left on device",
    "NOT_FOUND",
    "has no available versions",
    "OOM command not allowed when used memory > 'maxmemory'",
    "Stub process 'damage_classifier_0_0' is not healthy.",
    "Thread keepalive is not responding...",
    "UNAVAILABLE: failed to connect to all addresses",
    "Unable connect to node",
    "exited: inspector-1 (terminated by SIGKILL; not expected)",
    "spawned: 'inspector-1' with pid",
    "stamina.retry_scheduled",
    "timed out",
)


def labels_of(node: Any) -> set[str]:  # noqa: ANN401, PLR0911 - nodes have no common type; one return for each kind
    """Return the labels that an expression's result can have; fail where it uses what does not exist."""
    match node:
        case promql.NumberLiteral() | promql.StringLiteral():
            return set()
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels_of(node.expr)
        case promql.MatrixSelector():
            return labels_of(node.vector_selector)
        case promql.VectorSelector():
            return selected(node)
        case promql.Call():
            given = [labels_of(each) for each in node.args]
            return set[str]().union(*given) - ({"le"} if node.func.name == "histogram_quantile" else set())
        case promql.AggregateExpr():
            inner = labels_of(node.expr)
            wanted = set(node.modifier.labels) if node.modifier else set[str]()
            assert wanted <= inner, f"by {sorted(wanted - inner)}: the series have only {sorted(inner)}"
            return wanted
        case promql.BinaryExpr():
            left, right = labels_of(node.lhs), labels_of(node.rhs)
            on = set(node.modifier.matching.labels) if node.modifier and node.modifier.matching else set[str]()
            assert on <= left, f"on {sorted(on)}: the left side has {sorted(left)}"
            assert on <= right, f"on {sorted(on)}: the right side has {sorted(right)}"
            return left or right  # a number or `time()` has no labels of its own
    raise AssertionError(f"{type(node).__name__} is not understood here")


def selected(node: promql.VectorSelector) -> set[str]:
    """Check one selector and return the labels of its series."""
    known = series()
    assert node.name in known, f"no metric {node.name}"
    labels = known[node.name] | TARGET
    for matcher in node.matchers.matchers:
        assert matcher.name in labels, f"{node.name} has no label {matcher.name}"
        values = set(matcher.value.split("|"))
        if matcher.name == "dependency":
            assert values <= DEPENDENCIES
        if matcher.name == "reason" and node.name == "sideline_dead_letters_total":
            assert values <= set(Reason)
    return labels


def page_id(path: Path) -> str:
    """Name a page in test reports."""
    return path.stem


def section(page: str, name: str) -> str:
    """Return the text below a heading."""
    return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def quoted(text: str) -> Iterator[str]:
    """Yield code spans, line breaks within them joined, and not what stands in blocks of code."""
    for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield re.sub(r"\s*\n\s*", " ", span)


@cache
def sources() -> str:
    """Return all text of ours that can come out of a program, on one line, quotes of both kinds as one."""
    folders = (
        "budget",
        "cli",
        "deploy",
        "evidence",
        "gallery",
        "schemas",
        "settings",
        "streams",
        "telemetry",
        "workers",
    )
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    files += [ROOT / "budget/decision.lua"]
    text = " ".join(path.read_text() for path in files)
    joined = re.sub(r"\"\s+f?\"", "", text)  # a string that goes on in the next line
    return re.sub(r"\{[^{}]*\}", "..", re.sub(r"\s+", " ", joined))


class TestRules:
    """The file of alerts."""

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_a_rule_has_the_right_shape(self, rule: dict[str, Any]) -> None:
        """What Prometheus wants, how urgent it is, and whom it sends where."""
        assert (
            {"alert", "expr", "labels", "annotations"}
            <= rule.keys()
            <= {
                "alert",
                "expr",
                "for",
                "labels",
                "annotations",
            }
        )
        assert re.fullmatch(r"Sideline[A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1s"))
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
        assert {"summary", "runbook"} == rule["annotations"].keys()

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_a_rule_uses_only_metrics_and_labels_that_exist(self, rule: dict[str, Any]) -> None:
        """A renamed metric must not leave an alert that can never fire."""
        labels = labels_of(promql.parse(rule["expr"]))
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))

        assert used <= labels

    def test_names_are_unique(self) -> None:
        """Two rules of one name would hide each other."""
        names = [rule["alert"] for rule in RULES]

        assert len(names) == len(set(names))

    @pytest.mark.parametrize(
        "wrong",
        [
            "sideline_event_received_total > 0",
            'sideline_breaker_open{dependency="postgres"} == 1',
            "sum by (station) (sideline_withheld_total) > 0",
            "sideline_scans_total{line='a'} > 0",
        ],
    )
    def test_a_wrong_rule_is_found(self, wrong: str) -> None:
        """The check itself can fail: no such metric, dependency, label to group by, label to match."""
        with pytest.raises(AssertionError):
            labels_of(promql.parse(wrong))


class TestPages:
    """The pages."""

    def test_every_alert_has_its_page_and_the_page_names_it(self) -> None:
        """Both ways, so that neither moves alone."""
        named = {(rule["annotations"]["runbook"], rule["alert"]) for rule in RULES}
        told = {
            (str(path.relative_to(ROOT)), alert)
            for path in PAGES
            for alert in re.findall(r"`(Sideline\w+)`", path.read_text().split("\n## ")[0])
        }

        assert set() == named - told
        assert {alert for _, alert in told} == {rule["alert"] for rule in RULES}

    def test_every_fault_of_the_harness_has_a_page(self) -> None:
        """Whatever `make chaos` does to a line, a person can read up."""
        told = {
            fault
            for path in PAGES
            for words in re.findall(r"Faults: ([a-z, \n-]+)\.", path.read_text().split("\n## ")[0])
            for fault in re.split(r",\s+", words)
        }

        assert {kind.value for kind in Kind} == told

    @pytest.mark.parametrize("path", PAGES, ids=page_id)
    def test_a_page_has_an_alert_or_a_fault_and_its_four_parts(self, path: Path) -> None:
        """What you see, what it means, what to do, when it is over; in that order."""
        page = path.read_text()
        head = page.split("\n## ")[0]

        assert "`Sideline" in head or "Faults: " in head
        assert list(SECTIONS) == re.findall(r"^## (.+)$", page, re.MULTILINE)
        assert "lost" in section(page, "What it means").lower()

    @pytest.mark.parametrize("path", PAGES, ids=page_id)
    def test_the_index_and_links_lead_to_pages(self, path: Path) -> None:
        """Every page is in the index, every link leads somewhere."""
        links = re.findall(r"\]\(([^)#]+)\)", path.read_text())

        assert f"({path.name})" in (path.parent / "README.md").read_text()
        assert [] == [link for link in links if not (path.parent / link).exists()]

    @pytest.mark.parametrize("path", PAGES, ids=page_id)
    def test_metrics_and_commands_on_a_page_exist(self, path: Path) -> None:
        """A reader types them."""
        commands = {entry.name for entry in COMMANDS}
        for span in quoted(path.read_text()):
            for name in re.findall(r"\bsideline_\w+", span):
                assert {name, f"{name}_total", f"{name}_bucket"} & series().keys(), f"no metric {name}"
            if match := re.match(r"sideline ([a-z-]+)", span):
                assert match[1] in commands, f"no command {span}"
            if match := re.match(r"sideline logs ([a-z-]+)", span):
                assert match[1] in {*SERVERS, "watchdog"}, f"no part {match[1]}"
            if match := re.match(r"sideline tail (\w+)", span):
                assert match[1] in set(Stream), f"no stream {match[1]}"

    @pytest.mark.parametrize("path", PAGES, ids=page_id)
    def test_what_you_see_is_what_the_programs_say(self, path: Path) -> None:
        """Words in quotes are found in our sources, piece by piece between `..`, or are known words of others."""
        unknown = []
        for span in quoted(section(path.read_text(), "What you see")):
            if re.match(r"sideline[_ ]|sum\(|up |/|SIDELINE_", span) or not re.search(r"[a-z] [a-z]", span):
                continue
            words = span.strip('"')
            if any(words in known or known in words for known in NOT_OURS):
                continue
            pieces = [piece.strip() for part in re.split(r"\.\.|  ", words) for piece in re.split(r"\b\w+=", part)]
            unknown += [piece for piece in pieces if " " in piece and piece.rstrip(":, ") not in sources()]
        assert [] == unknown
