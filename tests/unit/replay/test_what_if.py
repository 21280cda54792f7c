"""A sequence run again: as it was, with more or less budget, with other scores; and what can be said of the rest."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from budget.config import BudgetConfig
from cli.replay.chart import draw
from cli.replay.estimate import weighted_count
from cli.replay.known import Missing, load_calibrations
from cli.replay.report import said, write_csv
from cli.replay.rows import in_sequence, row_of
from cli.replay.simulate import Simulation, Unjudged, labels_of, recorded
from cli.replay.tally import Tally, sample, tally
from cli.replay.whatif import Cap, Compared, Way
from evidence.calibration import Calibration
from feedback.labels import Stop, join
from schemas.faults import Fatal
from schemas.words import MICRO, Divert
from tests.unit.replay.recording import CALIBRATION, CONFIG, SITE, Recording

RECORDING = Recording(seed=5).play(4_000)
OTHER = msgspec.structs.replace(CALIBRATION, version="fusion-other", prior=CALIBRATION.prior + MICRO)


def ways(
    recording: Recording,
    other: Calibration | None = None,
    *,
    unjudged: Unjudged = Unjudged.CLEARED,
    **changes: int,
) -> Compared:
    """Simulate a recording as it was, and with changes."""
    rows = in_sequence(row for one in recording.decisions if (row := row_of(one, other)) is not None)
    timeout_ms = recording.config.verdict_timeout_ms
    stops = [Stop(one, timeout_ms) for one in recording.decisions if one.divert is not Divert.NONE]
    labels = labels_of(join(SITE, stops, recording.heard))
    calibrations = {**recording.by_version, OTHER.version: OTHER}
    changed = {
        version: msgspec.structs.replace(config, **changes).check() for version, config in recording.configs.items()
    }

    def simulated(name: str, configs: dict[int, BudgetConfig], *, rescore: bool) -> Way:
        simulation = Simulation(rows, labels, configs, calibrations, rescore=rescore, unjudged=unjudged)
        return Way(name, list(simulation.run()), cap(configs))

    return Compared(
        rows=rows,
        labels=labels,
        unjudged=unjudged,
        on_record=Way("on record", recorded(rows), cap(recording.configs)),
        unchanged=simulated("as it was", recording.configs, rescore=False),
        changed=simulated("with changes", changed, rescore=True),
    )


def cap(configs: dict[int, BudgetConfig]) -> Cap:
    """Return the largest of each."""
    return Cap(max(one.alpha_ppm for one in configs.values()), max(one.burst_tokens for one in configs.values()))


def tallies(compared: Compared) -> list[Tally]:
    """Count all three ways."""
    drawn = sample(compared.rows, compared.labels)
    return [tally(compared.rows, way, compared.labels, drawn) for way in compared.ways]


class TestSimulation:
    """The budget over a recorded sequence."""

    def test_without_a_change_it_is_the_recording(self) -> None:
        """To the last threshold, where every divert was judged: the verdicts come when they came."""
        recording = Recording(seed=11, judged=1.0)
        recording.play(1_200)
        recording.configure(alpha_ppm=20_000)
        recording.play(1_200)
        compared = ways(recording)
        assert list(compared.on_record.outcomes) == list(compared.unchanged.outcomes)
        assert 1.0 == compared.agreeing
        assert {1, 2} == {row.config_version for row in compared.rows}

    def test_a_larger_budget_catches_more(self) -> None:
        """Where no line, station or audit has a part in it; and every window keeps the larger cap.

        Both ways are simulated: on record verdicts came that no simulation has. Of a single day it is no law, as a
        threshold answers to what it has stopped: of seeds 1 to 16 two lose one unit, of 63 and of 49. So it is asked of
        eight days together.
        """
        roomy = msgspec.structs.replace(
            CONFIG, lines={}, beta_ppm=200_000, burst_diverts=100, audit_ppm=0, audit_max_ppm=0
        )
        caught = []
        for seed in range(1, 9):
            compared = ways(Recording(seed=seed, config=roomy).play(4_000), alpha_ppm=20_000, burst_tokens=20)
            _, before, after = tallies(compared)
            caught.append((before.caught, after.caught))
            assert after.caught >= before.caught - 1
            assert after.diverts[Divert.DAMAGE] > before.diverts[Divert.DAMAGE]
            assert after.unconfirmed <= after.allowed
        before_all, after_all = map(sum, zip(*caught, strict=True))
        assert after_all > before_all
        assert sum(after < before for before, after in caught) <= 1

    def test_what_nobody_judged_can_be_taken_either_way(self) -> None:
        """Tokens that come back stop more units than tokens that are spent."""
        spent = tallies(ways(RECORDING, alpha_ppm=20_000))[2]
        back = tallies(ways(RECORDING, alpha_ppm=20_000, unjudged=Unjudged.CONFIRMED))[2]
        assert back.diverts[Divert.DAMAGE] > spent.diverts[Divert.DAMAGE]
        assert back.unknown > spent.unknown

    def test_a_smaller_budget_sidelines_less_and_keeps_its_cap(self) -> None:
        """What it no longer stops is missed."""
        before, _, after = tallies(ways(RECORDING, alpha_ppm=1_000, burst_tokens=2))
        assert after.diverts[Divert.DAMAGE] < before.diverts[Divert.DAMAGE]
        assert after.caught + after.missed == before.caught + before.missed
        assert after.withheld["no_token"] + after.withheld["reserved"] > 0
        assert after.unconfirmed <= after.allowed

    def test_another_calibration_scores_anew(self) -> None:
        """From the recorded evidence, with a threshold of its own."""
        compared = ways(RECORDING, OTHER)
        pairs = zip(compared.unchanged.outcomes, compared.changed.outcomes, strict=True)
        raised = {new.score - old.score for old, new in pairs}
        assert {MICRO} == raised

    def test_a_calibration_of_other_models_is_refused(self) -> None:
        """Its numbers mean nothing for this evidence."""
        foreign = msgspec.structs.replace(OTHER, classifier="damage_classifier:9")
        with pytest.raises(Fatal, match="damage_classifier:9"):
            row_of(RECORDING.decisions[0], foreign)

    def test_a_sequence_whose_beginning_is_gone_goes_on_from_what_its_first_record_found(self) -> None:
        """Its tokens and its threshold, not those of a new site."""
        late = Recording(seed=5)
        late.play(2_000)
        late.decisions = late.decisions[1_500:]
        compared = ways(late)
        assert compared.rows[0].seq > 1
        assert compared.agreeing > 0.98


class TestEstimates:
    """What audits say of captures that nobody had to look at."""

    def test_nothing_found_is_not_nothing_there(self) -> None:
        """At 1 in 100, no damage among the audits leaves room for 369 damaged ones (95 %, Poisson)."""
        estimate = weighted_count([], 100.0)
        assert (0.0, 0.0) == (estimate.value, estimate.low)
        assert pytest.approx(368.9, abs=0.1) == estimate.high

    def test_the_interval_holds_the_truth_as_often_as_it_says(self) -> None:
        """Over 400 draws of 600 damaged passes, audited at two rates."""
        rng = random.Random(4)
        held = 0
        for _ in range(400):
            rates = [0.02] * 300 + [0.05] * 300
            found = [1 / rate for rate in rates if rng.random() < rate]
            estimate = weighted_count(found, 50.0)
            held += estimate.low <= 600 <= estimate.high
        assert held / 400 >= 0.94

    def test_estimates_stay_within_what_is_possible_and_near_the_truth(self) -> None:
        """A recording knows the truth: damaged passes are between the bounds, on record and after a change."""
        recording = Recording(seed=21, damage_rate=0.05)
        recording.play(6_000)
        compared = ways(recording, alpha_ppm=30_000)
        for way, counted in zip(compared.ways, tallies(compared), strict=True):
            damaged = [recording.truth[row.capture_id] for row in compared.rows]
            stopped = [outcome.sidelined for outcome in way.outcomes]
            missed = sum(bad and not stop for bad, stop in zip(damaged, stopped, strict=True))
            assert counted.missed_about is not None
            assert counted.missed <= counted.missed_about.low <= missed <= counted.missed_about.high <= len(damaged)

    def test_without_audits_nothing_is_claimed(self) -> None:
        """The table says unknown, the words say why."""
        recording = Recording(seed=2, config=msgspec.structs.replace(RECORDING.config, audit_ppm=0))
        recording.play(300)
        compared = ways(recording)
        assert tallies(compared)[0].missed_about is None
        console = Console(width=140, record=True, file=io.StringIO())
        console.print(said(compared, ["nothing"]))
        text = console.export_text()
        assert "unknown" in text
        assert "No audit has a verdict" in text


class TestReport:
    """What is left on disk."""

    def test_a_line_per_capture_and_a_picture(self, tmp_path: Path) -> None:
        """The CSV can be read back; the picture is one."""
        compared = ways(RECORDING, burst_tokens=12)
        with write_csv(compared, tmp_path).open() as file:
            lines = list(csv.DictReader(file))
        assert [str(row.seq) for row in compared.rows] == [line["seq"] for line in lines]
        assert sum(way.divert is Divert.DAMAGE for way in compared.changed.outcomes) == sum(
            line["changed_divert"] == "damage" for line in lines
        )
        assert b"\x89PNG" == draw(compared, tmp_path).read_bytes()[:4]


class TestKnown:
    """Versions that must be at hand."""

    def test_older_calibrations_come_from_a_folder(self, tmp_path: Path) -> None:
        """Under the versions that they carry."""
        for calibration in (CALIBRATION, OTHER):
            calibration.save(tmp_path / f"{calibration.version}.json")
        assert {CALIBRATION.version: CALIBRATION, OTHER.version: OTHER} == load_calibrations(None, tmp_path)

    def test_two_calibrations_of_one_version_are_refused(self, tmp_path: Path) -> None:
        """Nobody could say which one a record means."""
        CALIBRATION.save(tmp_path / "1.json")
        msgspec.structs.replace(OTHER, version=CALIBRATION.version).save(tmp_path / "2.json")
        with pytest.raises(Fatal, match=CALIBRATION.version):
            load_calibrations(None, tmp_path)

    def test_an_empty_folder_says_what_belongs_there(self, tmp_path: Path) -> None:
        """Not that a version is missing."""
        with pytest.raises(Fatal, match=r"holds no \*\.json"):
            load_calibrations(None, tmp_path)

    def test_what_is_missing_is_named_with_the_number_of_records(self) -> None:
        """A version that is not at hand is never skipped."""
        missing = Missing()
        skipped = [missing.note(one, {}, {}) for one in RECORDING.decisions[:100]]
        assert all(skipped)
        with pytest.raises(Fatal, match=r"fusion-paper of 100 records.*--fusions.*configuration 1 of 100 records"):
            missing.check(SITE)
