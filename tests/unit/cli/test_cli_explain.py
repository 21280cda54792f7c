"""A decision is told in words and drawn as a poster."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from budget.config import BudgetConfig
from cli.canvas import broken, width_of, writable
from cli.explain import said
from cli.find import Found
from cli.poster import WIDTH, Tile, draw
from cli.story import tell
from cli.wording import decision_line, verdict_word
from schemas.codec import decode, encode
from schemas.messages import DeadLetter, Decision, Disposition, Evidence, Identity, Rejection, Versions
from schemas.words import (
    MICRO,
    Action,
    DamageKind,
    Divert,
    IdentityMethod,
    Outcome,
    Pattern,
    Severity,
    Verdict,
)

CAPTURE_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
CONFIG = BudgetConfig(alpha_ppm=20_000, burst_tokens=5, reserve=0)
STOPPED = Decision(
    capture_id=CAPTURE_ID,
    site="demo",
    line="line-1",
    station="station-1",
    unit_id="LPN-1",
    captured_at=AT,
    views=["file:///pictures/1.jpg"],
    identity=Identity(
        product_id="4006016212846",
        method=IdentityMethod.SCAN,
        confidence_ppm=990_000,
        claims=["scan:4006016212846", "barcode:?12345", "image~:4006016212853"],
    ),
    evidence=Evidence(
        pattern=Pattern.CLASSIFIER,
        classifier=4 * MICRO,
        kinds=[0, 3 * MICRO, -MICRO, 0, 0, 0, -5 * MICRO],
        severity=Severity.MAJOR,
        major=True,
        place=[100_000, 200_000, 300_000, 100_000],
    ),
    versions=Versions(software="0.1.0", classifier="1", embedding="1", fusion="booth-1"),
    outcome=Outcome.DECIDED,
    action=Action.SIDELINE,
    divert=Divert.DAMAGE,
    reason="above_threshold",
    seq=41,
    score=3_910_000,
    threshold=2_000_000,
    balance_before=3_260_000,
    balance_after=2_280_000,
    pending_before=0,
    pending_after=MICRO,
    config_version=1,
    decide_by=AT + timedelta(seconds=3),
    decided_at=AT + timedelta(milliseconds=300),
)
WITHHELD = msgspec.structs.replace(
    STOPPED, action=Action.PASS, divert=Divert.NONE, withheld=True, reason="no_token", pending_after=0
)
LATE = msgspec.structs.replace(
    WITHHELD, outcome=Outcome.UNDETERMINED, action=Action.NONE, withheld=False, reason="redis_away", seq=None,
    score=None, threshold=None, evidence=None, identity=None, versions=None,
)  # fmt: skip
REFUSED = DeadLetter(
    topic="sideline.demo.captures.v1",
    partition=0,
    offset=7,
    error="Poison",
    message="file:///pictures/1.jpg does not exist",
    stage="TASK_PUT",
    connector="inspector-1",
    reason="view_missing",
    failed_at=AT,
)


def found(
    decision: Decision | None, *, refused: DeadLetter | None = None, verdicts: tuple[Disposition, ...] = ()
) -> Found:
    """Return what `find` would."""
    return Found(CAPTURE_ID, "demo", decision, refused=refused, verdicts=verdicts)


class TestStory:
    """What is said about a capture."""

    def test_stop(self) -> None:
        """A stop names the score and the threshold that was in force."""
        story = tell(found(STOPPED), calibration=None, config=CONFIG)

        assert ("damage", "Sidelined for damage") == (story.tone, story.headline)
        assert "score +3.91 reaches the threshold of +2.00" == story.why

    def test_withheld(self) -> None:
        """A withheld stop says what the budget lacked."""
        story = tell(found(WITHHELD), calibration=None, config=CONFIG)

        assert "withheld" == story.tone
        assert story.why.endswith("but the false-alarm budget had no token left")

    def test_undetermined(self) -> None:
        """An undetermined capture names the dependency that was away, and shows no score."""
        story = tell(found(LATE), calibration=None, config=CONFIG)

        assert ("undetermined", "redis was away") == (story.tone, story.why)
        assert story.score is None

    def test_refused(self) -> None:
        """A refused capture gives the dead letter's reason."""
        story = tell(found(None, refused=REFUSED), calibration=None, config=None)

        assert ("Refused", "view_missing: file:///pictures/1.jpg does not exist") == (story.headline, story.why)

    def test_on_its_way(self) -> None:
        """A capture without an outcome says so."""
        assert "No outcome yet" == tell(found(None), calibration=None, config=None).headline

    def test_kinds_come_likeliest_first(self) -> None:
        """Damage kinds are probabilities in falling order."""
        kinds = tell(found(STOPPED), calibration=None, config=None).kinds

        assert "deformation" == kinds[0].kind
        assert 0.953 == pytest.approx(kinds[0].chance, abs=1e-3)
        assert 7 == len(kinds)

    def test_claims(self) -> None:
        """Every source's claim is listed, unknown codes and weak looks as such."""
        claims = list(tell(found(STOPPED), calibration=None, config=None).identity[-3:])

        assert ["scan: 4006016212846", "barcode: unknown code 12345", "image: 4006016212853 (weak)"] == claims

    def test_a_scan_of_another_unit_is_named_as_such(self) -> None:
        """And an unknown code that looks like the mark of one is still an unknown code."""
        identity = Identity(claims=["scan!:?LPN-7QX2M80414", "barcode:?A!:?B"])
        stopped = msgspec.structs.replace(STOPPED, identity=identity)
        claims = list(tell(found(stopped), calibration=None, config=None).identity[-2:])

        assert ["scan: label of another unit LPN-7QX2M80414", "barcode: unknown code A!:?B"] == claims

    def test_redriven(self) -> None:
        """What a capture was rejected for before is told among its times."""
        chain = [Rejection(reason="view_missing", rejected_at=AT, redriven_at=AT)]
        story = tell(found(msgspec.structs.replace(STOPPED, rejections=chain)), calibration=None, config=CONFIG)

        assert "rejected 08:00:00.000 UTC for view_missing, then redriven" == story.times[0]

    def test_verdicts(self) -> None:
        """What people said is part of the story."""
        verdict = Disposition(
            disposition_id="d-1",
            site="demo",
            associate_id="anna",
            judged_at=AT,
            verdict=Verdict.DAMAGED,
            capture_id=CAPTURE_ID,
            kinds=[DamageKind.SPILLAGE],
        )

        story = tell(found(STOPPED, verdicts=(verdict,)), calibration=None, config=CONFIG)

        assert ("08:00:00.000  damaged (spillage) by anna",) == story.verdicts

    def test_other_calibration(self) -> None:
        """Without the calibration that made the score, its parts are not made up."""
        (line,) = tell(found(STOPPED), calibration=None, config=None).terms

        assert "booth-1, which is not at hand" in line

    def test_in_a_terminal(self) -> None:
        """The words fit a terminal and hold headline, score and ids."""
        console = Console(width=100, file=io.StringIO(), record=True)

        console.print(said(tell(found(STOPPED), calibration=None, config=CONFIG)))

        text = console.export_text()
        assert "Sidelined for damage" in text
        assert CAPTURE_ID in text


class TestPoster:
    """The picture of a decision."""

    @pytest.mark.parametrize("decision", [STOPPED, WITHHELD, LATE, None], ids=["stop", "withheld", "late", "refused"])
    def test_any_outcome(self, decision: Decision | None, tmp_path: Path) -> None:
        """Every outcome has a poster of full width, with or without pictures."""
        story = tell(found(decision, refused=None if decision else REFUSED), calibration=None, config=CONFIG)
        views = [
            Tile("view 1 of 2", np.full((300, 400, 3), 128, np.uint8), place=(100_000, 200_000, 300_000, 100_000)),
            Tile("view 2 of 2", missing="no picture: it is gone"),
        ]

        draw(story, views=views, references=[], path=tmp_path / "poster.png")

        with Image.open(tmp_path / "poster.png") as poster:
            assert WIDTH == poster.width
            assert 600 < poster.height < 3000

    def test_evidence_is_outlined(self, tmp_path: Path) -> None:
        """The place of the evidence is outlined in the colour of the outcome."""
        story = tell(found(STOPPED), calibration=None, config=CONFIG)
        grey = np.full((680, 680, 3), 128, np.uint8)
        draw(story, views=[Tile("view", grey)], references=[], path=tmp_path / "without.png")
        draw(
            story,
            views=[Tile("view", grey, place=(0, 0, MICRO // 2, MICRO // 2))],
            references=[],
            path=tmp_path / "with.png",
        )

        def red_on_grey(name: str) -> int:
            pixels = np.asarray(Image.open(tmp_path / name).convert("RGB"))[280:800, 60:700]
            return int(((pixels[..., 0] > 150) & (pixels[..., 1] < 80)).sum())

        assert 0 == red_on_grey("without.png")
        assert 1000 < red_on_grey("with.png")

    def test_text_is_broken_to_its_width(self) -> None:
        """No line is wider than asked for, whatever the words."""
        lines = broken("a few words and " + "x" * 300, 20, 200)

        assert max(width_of(line, 20) for line in lines) <= 200
        assert "afewwordsand" + "x" * 300 == "".join(lines).replace(" ", "")

    def test_unwritable(self) -> None:
        """What the typeface lacks is spelled out or marked, never an empty box."""
        assert "score >= 2 ?" == writable("score ≥ 2 イ")


class TestLines:
    """One line per event."""

    @pytest.mark.parametrize(
        ("decision", "word"),
        [(STOPPED, "damage"), (WITHHELD, "withheld"), (LATE, "undetermined")],
    )
    def test_word(self, decision: Decision, word: str) -> None:
        """A single word says what became of a capture."""
        assert word == verdict_word(decision)

    def test_decision(self) -> None:
        """A decision's line holds time, seq, score against threshold, identity, unit and capture."""
        line = decision_line(decode(Decision, encode(STOPPED))).plain

        assert line.startswith("08:00:00.300  #41")
        assert "score +3.91 ≥ +2.00  4006016212846 by scan, 99 %  unit LPN-1" in line
        assert line.endswith(CAPTURE_ID)
