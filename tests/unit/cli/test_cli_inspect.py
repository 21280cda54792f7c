"""Pictures with a manifest, their rows and their totals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.album import Photo, auroc, open_album, product_id, products_of
from cli.asking import Answer
from cli.inspect import generous_budget
from cli.rows import HEADING, row
from cli.score_card import Reading, reading_of, score_card
from schemas.faults import Fatal
from schemas.messages import DeadLetter, Decision, Evidence, Identity
from schemas.words import MICRO, Action, Divert, IdentityMethod, Outcome, Pattern

AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
GTIN = "04006016212846"


def photo(name: str = "a.jpg", *, label: str = "", expected: str | None = None) -> Photo:
    """Return a photo as `sideline inspect` sends it."""
    one = Photo(Path(name), name, label=label, expected_text=expected)
    return Photo(Path(name), name, label, product_id(one.code) if one.code else "", expected)


def decided(one: Photo, *, score: float = -1.0, claims: tuple[str, ...] = (), product: str | None = None) -> Answer:
    """Return an answer with a threshold of zero."""
    stop = score >= 0
    decision = Decision(
        capture_id="01890a5d-ac96-774b-bcce-b302099a8057",
        site="inspect",
        line="pictures",
        station="inspect",
        unit_id="inspect-1-0",
        captured_at=AT,
        identity=Identity(
            product_id=product,
            method=IdentityMethod.BARCODE if product else IdentityMethod.NONE,
            claims=list(claims),
        ),
        evidence=Evidence(pattern=Pattern.CLASSIFIER, classifier=0, kinds=[0, 2 * MICRO, -MICRO, 0, 0, 0, 0]),
        outcome=Outcome.DECIDED,
        action=Action.SIDELINE if stop else Action.PASS,
        divert=Divert.DAMAGE if stop else Divert.NONE,
        seq=1,
        score=round(score * MICRO),
        threshold=0,
        decide_by=AT + timedelta(seconds=3),
        decided_at=AT + timedelta(milliseconds=250),
    )
    return Answer(one, decision.capture_id, ms=250.0, decision=decision)


class TestAlbum:
    """A folder of pictures."""

    def test_manifest_is_found_and_read(self, tmp_path: Path) -> None:
        """Pictures in subfolders get what the folder's manifest says of them; others are there without it."""
        (tmp_path / "sub").mkdir()
        for name in ("sub/one.JPG", "two.png", "notes.txt"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "manifest.csv").write_text('path,label,expected_text\nsub/one.JPG,damaged,"a\nb"\n')

        one, two = open_album(tmp_path)

        assert ("sub/one.JPG", True, "a\nb") == (one.name, one.damaged, one.expected_text)
        assert ("two.png", None, None) == (two.name, two.damaged, two.expected_text)

    def test_no_pictures(self, tmp_path: Path) -> None:
        """A folder without pictures is an error that says what was looked for."""
        with pytest.raises(Fatal, match=r"\.jpeg"):
            open_album(tmp_path)

    def test_manifest_without_paths(self, tmp_path: Path) -> None:
        """A manifest that names no files is an error."""
        (tmp_path / "a.jpg").write_bytes(b"x")
        (tmp_path / "m.csv").write_text("file,label\na.jpg,damaged\n")

        with pytest.raises(Fatal, match="no column `path`"):
            open_album(tmp_path, tmp_path / "m.csv")

    def test_one_product_per_code(self) -> None:
        """Codes that are written differently but mean the same are one product."""
        photos = [photo(expected="4006016212846"), photo(expected="04006016212846"), photo(expected="")]

        assert {GTIN: f"inspect-{GTIN}"} == products_of(photos)

    @given(st.text(min_size=1, max_size=300))
    def test_product_ids_are_ids(self, code: str) -> None:
        """Whatever a code says, its product id is one that may travel."""
        made = product_id(code)

        assert len(made) <= 64
        assert made.replace("-", "").replace(".", "").replace("_", "").isalnum()
        assert made.isascii()


class TestAuroc:
    """Scores against labels."""

    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
    def test_is_the_share_of_pairs(self, scored: list[tuple[int, bool]]) -> None:
        """AUROC is the share of (damaged, intact) pairs in the right order, ties half."""
        damaged = [score for score, label in scored if label]
        intact = [score for score, label in scored if not label]
        pairs = [(above > below) + (above == below) / 2 for above in damaged for below in intact]

        expected = pytest.approx(sum(pairs) / len(pairs)) if pairs else None

        assert expected == auroc((float(score), label) for score, label in scored)


class TestReadings:
    """Codes against what they should say."""

    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ((f"barcode:inspect-{GTIN}",), Reading.RIGHT),
            ((f"barcode~:inspect-{GTIN}",), Reading.RIGHT),
            ((f"barcode:?{GTIN}",), Reading.RIGHT),
            (("barcode:?00000000000017",), Reading.WRONG),
            (("barcode~:?00000000000017",), Reading.UNREAD),
            (("image~:4006016212846",), Reading.UNREAD),
            ((), Reading.UNREAD),
        ],
    )
    def test_reading(self, claims: tuple[str, ...], expected: Reading) -> None:
        """A code is right by its product or its text; a single doubtful read of nothing known counts for nothing."""
        assert expected == reading_of(decided(photo(expected="4006016212846"), claims=claims))

    def test_nothing_expected(self) -> None:
        """Where nobody knows the code nothing is right or wrong."""
        assert Reading.NONE == reading_of(decided(photo(), claims=("barcode:?123",)))


class TestScoreCard:
    """The totals of a folder."""

    def test_damage(self) -> None:
        """Flagged pictures are counted against their labels."""
        answers = [
            decided(photo(label="damaged"), score=2.0),
            decided(photo(label="damaged"), score=-0.5),
            decided(photo(label="intact"), score=-2.0),
            decided(photo(label="intact"), score=1.0),
        ]

        card = score_card(answers, seconds=1.0)

        assert (2, 1, 2, 1) == (card.damaged, card.damaged_flagged, card.intact, card.intact_flagged)
        assert 0.75 == card.auroc
        assert {"damage": 2, "pass": 2} == card.outcomes

    def test_codes(self) -> None:
        """Right, wrong and unread codes are counted, and pictures without one that were read all the same."""
        expected = photo(expected="4006016212846")
        answers = [
            decided(expected, claims=(f"barcode:inspect-{GTIN}",), product=f"inspect-{GTIN}"),
            decided(expected, claims=("barcode:?17",)),
            decided(expected),
            decided(photo(expected=""), claims=("barcode:?17",)),
        ]

        card = score_card(answers, seconds=1.0)

        assert (3, 1, 1, 1) == (card.codes, card.codes_right, card.codes_wrong, card.identified)
        assert (1, 1) == (card.without_code, card.read_where_none)

    def test_without_labels(self) -> None:
        """Totals about labels are absent where there are none."""
        card = score_card([decided(photo())], seconds=1.0)

        assert (None, None, None) == (card.damaged, card.codes, card.auroc)

    def test_no_answer(self) -> None:
        """A picture without an outcome is not answered; a refused one is."""
        refused = DeadLetter(
            topic="sideline.inspect.captures.v1", partition=0, offset=1, error="Poison", message="a text file",
            stage="TASK_PUT", connector="inspector-1", reason="not_an_image", failed_at=AT,
        )  # fmt: skip
        answers = [Answer(photo(), "x", failed="no answer within 60 s"), Answer(photo(), "y", refused=refused)]

        card = score_card(answers, seconds=1.0)

        assert (2, 1, {"refused": 1}) == (card.pictures, card.answered, card.outcomes)
        assert "not_an_image: a text file" in row(answers[1])


class TestRows:
    """A row per picture."""

    def test_columns_line_up(self) -> None:
        """Rows of long and short names put the outcome below its heading."""
        at = HEADING.index("outcome")

        for name in ("a.jpg", "a/very/long/path/" * 5 + "b.jpg"):
            assert row(decided(photo(name), score=1.0))[at:].startswith("damage")

    def test_unknown_code_is_shown(self) -> None:
        """A code no product has is shown as read."""
        assert "read 4006016212846" in row(decided(photo(), claims=("barcode:?4006016212846",)))


class TestBudget:
    """The site of pictures has a budget that holds."""

    @pytest.mark.parametrize("threshold", [-20.0, 0.0, 1.5, 20.0])
    def test_holds(self, threshold: float) -> None:
        """The budget passes its own checks at any threshold that may be asked for, and pins that threshold."""
        config = generous_budget(round(threshold * MICRO)).check()

        assert round(threshold * MICRO) == config.floor == config.ceiling
