"""A trial from pictures to rows: every way of examining, going on after a stop, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from evidence.identity_limits import IdentityLimits
from evidence.triton import CLASSIFIER, EMBEDDING
from schemas.faults import Fatal
from schemas.words import IdentityMethod, Pattern
from training.data.form import DataSet, Image, Sample
from training.evaluation import rows as rows_
from training.evaluation.disk_source import Disk
from training.evaluation.fitting import makeshift
from training.evaluation.models import Pair
from training.evaluation.rows import About, Row, RowsFile, read
from training.evaluation.trial import Progress, run


@pytest.fixture(scope="module")
def rows(repository: Path, drawn: DataSet, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of a trial on the drawn captures, one of which is no picture."""
    return read(tried(repository, drawn, tmp_path_factory.mktemp("trial")))[1]


def tried(repository: Path, data: DataSet, out: Path) -> Path:
    """Run a trial in one process, with a capture added whose picture is broken."""
    broken = data.root / "broken.png"
    broken.write_bytes(b"no picture at all")
    with_broken = dataclasses.replace(
        data, samples=(*data.samples, Sample("c-broken", (Image(broken),), data.samples[0].label, "p-0", "test"))
    )
    heard: list[Progress] = []
    path = run(Disk(with_broken), repository, out, processes=1, looks_of=10, say=heard.append)
    assert Progress("captures", len(with_broken.samples), len(with_broken.samples)) == heard[-1]
    return path


class TestRun:
    """trial.run."""

    def test_every_capture_has_a_row(self, rows: list[Row], drawn: DataSet) -> None:
        """Rows come in the captures' order, with the truth and the pictures' digests."""
        assert [*(each.capture_id for each in drawn.samples), "c-broken"] == [row.capture_id for row in rows]
        assert [each.label.damaged for each in drawn.samples if each.label] == [row.damaged for row in rows[:-1]]
        assert all(len(row.pictures) == 1 and len(row.pictures[0]) == 64 for row in rows)

    def test_a_broken_picture_costs_only_itself(self, rows: list[Row]) -> None:
        """A capture whose picture cannot be read says why and has no answers."""
        assert [rows[-1]] == [row for row in rows if row.refused]
        assert rows[-1].alone is None
        assert "not_an_image" in rows[-1].refused

    def test_by_code_compares_with_the_right_product(self, rows: list[Row]) -> None:
        """With a right scan each capture is compared with its own references."""
        for row in rows[:-1]:
            assert row.by_code is not None
            assert (row.product_id, IdentityMethod.SCAN) == (row.by_code.product_id, row.by_code.method)
            assert Pattern.GALLERY_BY_CODE == row.by_code.pattern

    def test_the_classifier_alone_knows_no_gallery(self, rows: list[Row]) -> None:
        """Without a gallery there is neither identity nor discrepancy."""
        answers = [row.alone for row in rows[:-1]]
        assert {(Pattern.CLASSIFIER, None, None)} == {
            (each.pattern, each.product_id, each.discrepancy) for each in answers if each
        }

    def test_without_scan_and_codes_it_arrives_by_looks(self, rows: list[Row]) -> None:
        """Drawn captures have no scan and no codes, so that arriving and looking are one."""
        assert [row.by_image for row in rows] == [row.arrived for row in rows]

    def test_red_is_found(self, rows: list[Row]) -> None:
        """Every damaged capture outscores every intact one of a product without decoys."""
        plain = [row for row in rows[:-1] if row.facts["decoy"] == "none" and row.alone]
        intact = max(row.alone.score for row in plain if row.alone and not row.damaged)
        assert all(row.alone.score > intact for row in plain if row.alone and row.damaged)

    def test_looks_are_tried_for_as_many_as_asked(self, rows: list[Row]) -> None:
        """Choices among 1, 3 and all 6 products, for the first ten captures."""
        assert [10] == [len([row for row in rows if row.looks])]
        assert {(1, 3, 6)} == {tuple(look.products for look in row.looks) for row in rows[:10]}
        assert all(row.looks[0].plain.right for row in rows[:10])

    def test_a_stopped_trial_goes_on(self, repository: Path, drawn: DataSet, tmp_path: Path, rows: list[Row]) -> None:
        """Rows that are there are kept, a half-written one is made again, and the result is the same."""
        path = tried(repository, drawn, tmp_path)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:20]) + lines[20][:30])

        assert rows == read(tried(repository, drawn, tmp_path))[1]

    def test_rows_to_fit_a_calibration_on(self, repository: Path, drawn: DataSet, tmp_path: Path) -> None:
        """With a makeshift calibration each capture is laid over the likeliest, and looks most like its own."""
        few = dataclasses.replace(drawn, samples=drawn.samples[:6])
        scratch = tmp_path / "models"
        shutil.copytree(repository, scratch)
        makeshift().save(scratch / "fusion.json")
        path = run(Disk(few), scratch, tmp_path, processes=1, looks_of=6, say=lambda _: None, likeness=True)
        for row in read(path)[1]:
            assert {f"p-{number}" for number in range(6)} == set(row.likeness)
            assert row.product_id == max(row.likeness, key=lambda product: row.likeness[product].patch)
            assert all(alike.agree is not None for alike in row.likeness.values())
            assert [1] == [sum(alike.laid is not None for alike in row.likeness.values())]
            assert all(look.verified is not None and look.plain.mated.laid is None for look in row.looks)
            assert row.by_code is not None
            assert row.own == row.by_code.discrepancy


class TestPair:
    """The models of a repository."""

    def test_models_of_another_version_are_refused(self, repository: Path, tmp_path: Path) -> None:
        """A file that is no such model is named before any picture is looked at."""
        for name in (CLASSIFIER, EMBEDDING):
            (tmp_path / name).symlink_to(repository / EMBEDDING)
        with pytest.raises(Fatal, match="has DAMAGE of shape None, this software needs"):
            Pair(tmp_path)

    def test_a_repository_without_models(self, tmp_path: Path) -> None:
        """What is missing is named, with the command that makes it."""
        with pytest.raises(Fatal, match="make models"):
            Pair(tmp_path)


class TestRowsFile:
    """Rows on disk."""

    def test_rows_of_other_models_are_refused(self, tmp_path: Path) -> None:
        """What was made otherwise is not mixed, and the message says what differs."""
        about = About(
            source="s", models={"m": "1"}, fusion="f", prior=0, limits=IdentityLimits(), products=1, references=1
        )
        RowsFile.open(tmp_path / rows_.NAME, about).__exit__()

        with pytest.raises(Fatal, match="fusion 'f', now 'g'"):
            RowsFile.open(tmp_path / rows_.NAME, About(**{**_fields(about), "fusion": "g"}))  # type: ignore[arg-type]

    def test_something_else_is_refused(self, tmp_path: Path) -> None:
        """A file of anything else is named with the command that makes rows."""
        (tmp_path / "x").write_text("hello\n")
        with pytest.raises(Fatal, match="holds no rows of a trial"):
            read(tmp_path / "x")


def _fields(about: About) -> dict[str, object]:
    return {name: getattr(about, name) for name in About.__struct_fields__}
