"""Alerts fire when they must and at no other time: promtool on every rule, and a real Prometheus on a real page."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser as promql
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import REGISTRY

from budget.store import DecisionStore
from schemas.faults import Fatal, Reason
from streams.breakers import SELF, Breakers
from streams.outbox import Outbox
from streams.window import Limits, Window
from tests.contract.alert_rules import DEPENDENCIES, FOLDER, ROOT, RULES, TARGET, series
from tests.contract.prometheus import Programs, Prometheus, programs, until
from workers.mailroom import Undertaker
from workers.proposals import Proposer
from workers.settler import Settler

FILES: Final = sorted(FOLDER.glob("*_test.yml"))
TESTS: Final[list[dict[str, Any]]] = [test for path in FILES for test in yaml.safe_load(path.read_text())["tests"]]
QUERY_WITHIN_S: Final = 240


def parts_of(series_text: str) -> tuple[str, dict[str, str]]:
    """Read the name and the labels of a series."""
    found = promql.parse(series_text)
    assert isinstance(found, promql.VectorSelector), series_text
    return str(found.name), {matcher.name: matcher.value for matcher in found.matchers.matchers}


def fires(alert: str) -> list[bool]:
    """Say for each case of an alert whether it fires there."""
    cases = [case for test in TESTS for case in test.get("alert_rule_test", ()) if case["alertname"] == alert]
    return [bool(case.get("exp_alerts")) for case in cases]


def quiet_on_something(rule: dict[str, Any]) -> bool:
    """Tell whether an alert has a quiet case in a test that gives its rule something to look at."""
    metrics = {name for name in series() if re.search(rf"\b{name}\b", rule["expr"])}
    return any(
        metrics & {parts_of(given["series"])[0] for given in test["input_series"]}
        for test in TESTS
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == rule["alert"] and not case.get("exp_alerts")
    )


class TestCases:
    """The cases themselves; nothing is run."""

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_every_alert_has_a_firing_and_a_quiet_case(self, rule: dict[str, Any]) -> None:
        """A rule that nobody has seen do both is not trusted."""
        assert any(fires(rule["alert"]))
        assert quiet_on_something(rule)

    def test_every_case_is_of_an_alert_that_exists(self) -> None:
        """A renamed alert would be quiet for ever."""
        named = {case["alertname"] for test in TESTS for case in test.get("alert_rule_test", ())}

        assert {rule["alert"] for rule in RULES} == named

    @pytest.mark.parametrize("test", TESTS, ids=lambda test: test["name"][:40])
    def test_series_have_the_labels_that_workers_expose(self, test: dict[str, Any]) -> None:
        """No more and no fewer: a join that works only on invented labels must not pass."""
        known = series()
        for given in test["input_series"]:
            name, labels = parts_of(given["series"])
            assert known[name] | TARGET == labels.keys(), given["series"]
            assert labels["job"] == "sideline"
            assert labels.get("dependency", "redis") in DEPENDENCIES


def sample(name: str, **labels: str) -> float | None:
    """Return what this process would expose, None where there is no such series."""
    return REGISTRY.get_sample_value(name, labels)


class TestFirstEvents:
    """Counters that alerts watch for a first event are there before it, at 0, or its rise would not be seen."""

    def test_dead_letters_of_every_reason(self) -> None:
        """From the moment that a worker has what buries."""
        Undertaker(Outbox("127.0.0.1:9", client_id="test"), entity="born", worker="test")

        assert {0.0} == {sample("sideline_dead_letters_total", entity="born", reason=one.value) for one in Reason}

    async def test_events_failures_of_our_own_and_openings_of_breakers(self) -> None:
        """From the moment that a worker has a window."""

        async def nothing(*_: object) -> None:
            """Handle, bury and probe: never called."""

        breakers = Breakers({"born": nothing})
        Window(entity="born", handle=nothing, bury=nothing, breakers=breakers, limits=Limits())

        assert 0.0 == sample("sideline_events_received_total", entity="born")
        assert 0.0 == sample("sideline_handler_failures_total", entity="born")
        assert 0.0 == sample("sideline_breaker_opened_total", dependency="born")
        assert sample("sideline_breaker_opened_total", dependency=SELF) is not None

    async def test_damage_among_what_passed(self) -> None:
        """For each site, from the settler's start."""
        store = DecisionStore("redis://127.0.0.1:9", store_id="none")
        proposer = Proposer(store, Outbox("127.0.0.1:9", client_id="test"), source="test")
        Settler(store, {"born1": frozenset(), "born2": frozenset()}, proposer)

        assert [0.0, 0.0, None] == [
            sample("sideline_verdicts_total", site=site, verdict="damaged", effect="label")
            for site in ("born1", "born2", "born3")
        ]


class TestPrograms:
    """Where promtool comes from."""

    def test_a_machine_without_them_and_without_apt_is_told_the_fix(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nothing is left that looks like an installation."""
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(Fatal, match=r"put prometheus and promtool on PATH .*sudo apt-get update"):
            programs(tmp_path / "cache")
        assert not (tmp_path / "cache/prometheus").exists()


@pytest.fixture(scope="module")
def tools() -> Programs:
    """Return Prometheus and promtool."""
    return programs(ROOT / ".sideline/cache")


def promtool(tools: Programs, *words: str) -> tuple[int, str]:
    """Run promtool and return its exit status and what it said."""
    done = subprocess.run([tools.promtool, *words], capture_output=True, text=True, timeout=QUERY_WITHIN_S, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
class TestRules:
    """What promtool says."""

    def test_prometheus_takes_the_rules(self, tools: Programs) -> None:
        """Every rule, with its templates."""
        status, said = promtool(tools, "check", "rules", str(FOLDER / "alerts.yml"))

        assert status == 0, said
        assert f"{len(RULES)} rules found" in said

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
    def test_alerts_fire_and_stay_quiet_as_the_cases_say(self, tools: Programs, path: Path) -> None:
        """At that time, with those labels and words."""
        status, said = promtool(tools, "test", "rules", str(path))

        assert status == 0, said

    def test_a_broken_rule_is_found(self, tools: Programs, tmp_path: Path) -> None:
        """The cases can fail: with the sum that drops a site without diverts, one of them does."""
        whole = (FOLDER / "alerts.yml").read_text()
        broken = whole.replace(
            "increase(sideline_withheld_total[10m]) or increase(sideline_diverts_total",
            "increase(sideline_withheld_total[10m]) + increase(sideline_diverts_total",
        )
        assert broken != whole
        (tmp_path / "alerts.yml").write_text(broken)
        (tmp_path / "cases.yml").write_bytes((FOLDER / "alerts_test.yml").read_bytes())

        status, said = promtool(tools, "test", "rules", str(tmp_path / "cases.yml"))

        assert status == 1
        assert {"SidelineBudgetExhausted"} == set(re.findall(r"alertname: (\w+)", said))


@dataclass(frozen=True, slots=True)
class Watched:
    """A worker's process, where its pages are, and the Prometheus that scrapes it."""

    worker: subprocess.Popen[str]
    instance: str
    prometheus: Prometheus


@pytest.fixture
def watched(tools: Programs, tmp_path: Path) -> Iterator[Watched]:
    """Start a worker and a Prometheus on loopback with all rules, `for` of SidelineWorkerDown cut to 3 s."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == "SidelineWorkerDown":
                rule["for"] = "3s"
    copy = tmp_path / "alerts.yml"
    copy.write_text(yaml.safe_dump(rules))
    command = [sys.executable, "-m", "tests.contract.idle_worker"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            instance = f"127.0.0.1:{int(worker.stdout.readline())}"
            prometheus = Prometheus(tools.prometheus, tmp_path, rules=copy, targets=[instance])
            try:
                yield Watched(worker, instance, prometheus)
            finally:
                prometheus.stop()
        finally:
            worker.kill()


@pytest.mark.slow
class TestPrometheus:
    """A server that scrapes what a worker serves."""

    def test_sees_a_worker_rest_and_die(self, watched: Watched) -> None:
        """All rules can be evaluated, nothing fires on a worker that is well, its first rest and its death are told."""
        prometheus = watched.prometheus
        up = until(lambda: (prometheus.ask("query?query=up==1") or {}).get("result"), "a scrape")
        assert [{"__name__": "up", "job": "sideline", "instance": watched.instance}] == [one["metric"] for one in up]
        until(lambda: {rule["health"] for rule in prometheus.rules()} == {"ok"}, "an evaluation of every rule")
        assert len(RULES) == len(prometheus.rules())
        assert {"alerts": []} == prometheus.ask("alerts")

        watched.worker.send_signal(signal.SIGUSR1)
        until(lambda: prometheus.alerts("SidelinePoisonPause", "firing"), "SidelinePoisonPause")

        watched.worker.kill()
        until(lambda: prometheus.alerts("SidelineWorkerDown", "pending"), "SidelineWorkerDown pending")
        (down,) = until(lambda: prometheus.alerts("SidelineWorkerDown", "firing"), "SidelineWorkerDown firing")
        assert {
            "alertname": "SidelineWorkerDown",
            "severity": "page",
            "job": "sideline",
            "instance": watched.instance,
        } == down["labels"]
        assert f"{watched.instance} answers no scrape" == down["annotations"]["summary"]
