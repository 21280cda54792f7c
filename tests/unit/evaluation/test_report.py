"""From rows to figures, a page, and the command that makes both."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from booth.catalogue import spec
from cli.main import app
from evidence.identity import Foremost
from evidence.identity_limits import IdentityLimits, ImageTier
from evidence.limits import Choice, Outcome
from schemas.faults import Fatal
from schemas.words import MICRO, DamageKind, IdentityMethod, Pattern, Severity
from tests.unit.evaluation.toys import calibration
from training.data.form import DataSet
from training.evaluation.disjoint import CARD, check_apart, learnt_products
from training.evaluation.figures import Figures, Group, figures
from training.evaluation.for_card import card_figures, vetted_negatives
from training.evaluation.identities import named, open_sets
from training.evaluation.rows import About, Answer, Row
from training.evaluation.slices import slices, worst
from training.evaluation.table import Table, Way

ABOUT = About(source="s", models={}, fusion="f", prior=0, limits=calibration().limits, products=10, references=10)


def answer(score: float, *, discrepancy: float | None = None, product: str | None = None) -> Answer:
    """Return an answer with a score in log-odds."""
    return Answer(
        score=round(score * MICRO),
        pattern=Pattern.CLASSIFIER if discrepancy is None else Pattern.GALLERY_BY_CODE,
        discrepancy=None if discrepancy is None else round(discrepancy * MICRO),
        product_id=product,
        method=IdentityMethod.NONE if product is None else IdentityMethod.IMAGE,
    )


def row(number: int, *, damaged: bool, alone: float, by_code: float, **fields: object) -> Row:
    """Return a capture of product p-<number mod 10> that arrived with a right scan."""
    known: dict[str, object] = {
        "capture_id": f"c-{number}",
        "product_id": f"p-{number % 10}",
        "damaged": damaged,
        "severity": Severity.MAJOR if damaged else Severity.NONE,
        "pictures": ("0" * 64,),
        "alone": answer(alone),
        "by_code": answer(by_code, discrepancy=by_code),
        "by_image": answer(by_code),
        "arrived": answer(by_code),
    }
    return Row(number=number, **{**known, **fields})  # type: ignore[arg-type]


def fooled(captures: int = 200) -> list[Row]:
    """Return captures where print fools the classifier on its own, and a missing piece escapes it."""
    rows = []
    for number in range(captures):
        facts = {"decoy": "crack" if number % 4 == 1 else "none", "material": "paper" if number % 5 else "other"}
        if number % 10 == 0:
            kinds = (DamageKind.MISSING_UNIT,)
            rows.append(row(number, damaged=True, alone=-3, by_code=5, kinds=kinds, facts=facts))
        else:
            printed = facts["decoy"] == "crack" and number % 8 == 1
            alone = 4 + number / 1000 if printed else -4
            rows.append(row(number, damaged=False, alone=alone, by_code=-4, facts=facts))
    return rows


def told(rows: Sequence[Row]) -> Figures:
    """Return the figures of rows."""
    return figures(ABOUT, rows, prevalence=0.001, least=10, draws=20)


def group(found: Figures, name: str, way: Way) -> Group:
    """Return one group's figures."""
    return next(each for each in found.groups if each.name == name and each.way is way)


class TestFigures:
    """figures.figures."""

    def test_references_save_from_decoys_and_find_what_is_missing(self) -> None:
        """At 1 % false alarms print fools only the classifier alone, and only references see that a piece is gone."""
        found = told(fooled())

        assert 0.0 == group(found, "missing unit, against all intact", Way.ALONE).found
        assert 1.0 == group(found, "missing unit, against all intact", Way.BY_CODE).found
        assert 0.0 == group(found, "printed decoy", Way.BY_CODE).false_alarms
        assert 1 == round(group(found, "printed decoy", Way.ALONE).false_alarms * found.groups[0].intact)
        assert 0.0 == group(found, "no decoy", Way.ALONE).false_alarms

    def test_what_is_not_there_is_not_told(self) -> None:
        """Without new designs there is no figure about them."""
        assert not [each for each in told(fooled()).groups if "design" in each.name]

    def test_refused_and_unlabelled_captures_are_counted_apart(self) -> None:
        """They are in no figure, and not forgotten."""
        rows = fooled(50)
        rows[3] = replace(rows[3], refused="not_an_image: view 0")
        rows[4] = replace(rows[4], damaged=None)
        found = told(rows)
        assert (48, {"not_an_image": 1}, 1) == (found.captures, found.refused, found.unlabelled)

    def test_nothing_to_measure_is_fatal(self) -> None:
        """Without any label there is no report."""
        with pytest.raises(Fatal, match="none of the captures has a label"):
            told([replace(each, damaged=None) for each in fooled(10)])

    def test_ablations_are_of_the_same_captures(self) -> None:
        """Classifier, references and both are compared where all three can speak."""
        rows = fooled()
        rows[0] = replace(rows[0], by_code=answer(5))
        found = told(rows)
        assert {199} == {each.captures for each in found.ablations}
        assert 1.0 == found.ablations[1].official.auroc


class TestSlices:
    """slices.slices."""

    def test_the_worst_are_named(self) -> None:
        """The kind that is missed and the material that alarms are found, whatever else there is."""
        rows = [
            *(
                row(n, damaged=True, alone=0, by_code=-9 if n % 2 else 9, kinds=(kind,), facts={"material": "paper"})
                for n in range(40)
                for kind in [DamageKind.SPILLAGE if n % 2 else DamageKind.ACTUATION]
            ),
            *(
                row(n, damaged=False, alone=0, by_code=1 if n % 20 == 0 else -1, facts={"material": m})
                for n in range(40, 140)
                for m in ["other" if n % 20 == 0 else "paper"]
            ),
        ]
        table = Table.of(rows)
        found = slices(table, table.scores(Way.BY_CODE), 0.0)
        lowest, most = worst(found, least=5)

        assert lowest is not None
        assert most is not None
        assert ("kind", "spillage", 0.0) == (lowest.by, lowest.value, lowest.recall)
        assert ("material", "other", 1.0, 5) == (most.by, most.value, most.false_alarms, most.intact)
        assert (None, None) == worst(found, least=1_000)

    def test_slices_of_a_dimension_hold_every_capture_once(self) -> None:
        """What is no damage's own divides all captures."""
        table = Table.of(fooled())
        found = [each for each in slices(table, table.scores(Way.ALONE), 0.0) if each.by == "material"]
        assert len(table) == sum(each.damaged + each.intact for each in found)

    def test_what_all_captures_share_is_no_slice(self) -> None:
        """Every capture has one view and no depth: nothing to tell apart."""
        table = Table.of(fooled())
        ways = {each.by for each in slices(table, table.scores(Way.ALONE), 0.0)}
        assert not {"views", "depth"} & ways
        assert {"kind", "severity", "material", "decoy"} == ways


class TestIdentities:
    """identities."""

    def test_open_sets_by_hand(self) -> None:
        """Of 100 strangers one may pass: the limit is the second highest, and half of the known ones pass it, right."""
        looks = [
            Choice(3, Outcome(n != 99, Foremost(similarity=n * 10_000, lead=0), Foremost(similarity=n * 5_000, lead=0)))
            for n in range(100)
        ]
        rows = [row(n, damaged=False, alone=0, by_code=0, looks=(look,)) for n, look in enumerate(looks)]
        tier = ImageTier(products=3, margin_weight=0, score=900_000, right=MICRO)
        (found,) = open_sets(rows, IdentityLimits(tiers=(tier,)), gallery=10)

        assert 0.99 == found.top1
        assert pytest.approx((98 * 5_000 - 900_000) / MICRO) == found.limit
        assert 49 / 100 == found.dir_at_far  # 50 to 98; 99 is named, and wrong
        assert (0.09, 0.0) == (found.shipped_dir, found.shipped_far)

    def test_damage_and_new_designs_are_told_apart(self) -> None:
        """Ten captures look like their own product; two damaged ones and, of these, one in a new design do not."""
        own, stranger = Foremost(similarity=950_000, lead=0), Foremost(similarity=100_000, lead=0)
        rows = [
            replace(
                row(n, damaged=n < 4, alone=0, by_code=0, looks=(Choice(3, Outcome(n > 1, own, stranger)),)),
                facts={"redesigned": "yes" if n == 0 else "no"},
            )
            for n in range(12)
        ]
        (found,) = open_sets(rows, IdentityLimits(), gallery=10)
        (intact,) = open_sets(rows[4:], IdentityLimits(), gallery=10)

        assert (10 / 12, 2 / 4, 10 / 11) == (found.dir_at_far, found.dir_damaged, found.dir_familiar)
        assert math.isnan(intact.dir_damaged)

    def test_wrong_names(self) -> None:
        """Of two named captures one is wrong; the third has no name."""
        answers = [answer(0, product="p-0"), answer(0, product="p-9"), answer(0)]
        rows = [row(n, damaged=False, alone=0, by_code=0, by_image=each) for n, each in enumerate(answers)]
        found = named(Table.of(rows), Way.BY_IMAGE)
        assert (3, 2, 1, 0.5) == (found.captures, found.named, found.wrong, found.wrong_rate)


class TestForCard:
    """What a recipe takes from a trial."""

    def test_figures_have_names_and_values(self) -> None:
        """Every figure is a finite number; a rate that cannot be told is not among them."""
        found = card_figures(told(fooled()))
        assert 200.0 == found["captures"]
        assert 1.0 == found["by_code_auroc"]
        assert 1.0 == found["by_code_recall_at_1_percent_fpr"]
        assert 1.0 == found["kind_missing_unit_auroc"]
        assert not [name for name in found if "0.1_percent" in name]

    def test_negatives_are_the_intact_ones(self) -> None:
        """Two scores of each intact capture, in order."""
        negatives = vetted_negatives(fooled(100))
        assert 2 * 90 == len(negatives)
        assert sorted(negatives) == negatives
        assert {-4 * MICRO} == set(negatives)


class TestDisjoint:
    """Nothing is measured on what was learnt from."""

    def card(self, folder: Path, **fields: object) -> Path:
        """Write a card."""
        (folder / CARD).write_bytes(msgspec.json.encode({"made_by": "a test", **fields}))
        return folder

    def test_products_of_the_training_split_are_refused(self, tmp_path: Path) -> None:
        """A card names the products of a world's training split; those of its test split are others."""
        repository = self.card(tmp_path, worlds=[{"seed": 1, "split": "train", "products": 400}])
        splits = [[spec(1, split, number).product_id for number in range(50)] for split in ("train", "test", "run")]

        with pytest.raises(Fatal, match="were shown 50 of these products"):
            check_apart(splits[0], repository)
        for apart in splits[1:]:
            check_apart(apart, repository)

    def test_worlds_and_ids_that_a_card_lists(self, tmp_path: Path) -> None:
        """Products fitted on count, too, whether named by world or by id."""
        world = {"seed": 1001, "split": "test", "products": 3}
        repository = self.card(tmp_path, worlds=[world], trained_on=["B00X"])

        assert {spec(1001, "test", number).product_id for number in range(3)} | {"B00X"} == learnt_products(repository)
        with pytest.raises(Fatal, match="B00X"):
            check_apart(["B00X", "B00Y"], repository)

    def test_no_seed_makes_splits_meet(self, tmp_path: Path) -> None:
        """Whatever the seeds, a product of one split has another id than any of the others."""
        ids = [{spec(seed, split, 7).product_id for seed in range(200)} for split in ("train", "test", "run")]
        assert not ids[0] & ids[1]
        assert not ids[0] & ids[2]
        assert not ids[1] & ids[2]

    def test_an_unreadable_card_is_fatal(self, tmp_path: Path) -> None:
        """What cannot be read might list anything."""
        (tmp_path / CARD).write_text("{")
        with pytest.raises(Fatal, match="no usable model card"):
            learnt_products(tmp_path)


class TestCommand:
    """sideline evaluate."""

    @pytest.fixture(scope="class")
    def out(self, repository: Path, drawn: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The report of a trial on drawn captures, read from a manifest."""
        manifest(drawn)
        out = tmp_path_factory.mktemp("out")
        self.evaluate("--data", str(drawn.root), "--models", str(repository), "--processes", "1", "--out", str(out))
        return out

    def evaluate(self, *options: str) -> str:
        """Run the command and return what it printed."""
        result = CliRunner().invoke(app, ["evaluate", *options])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def test_the_report_is_complete_in_one_file(self, out: Path) -> None:
        """Tables, curves and the worst mistakes with their references are inside the page; nothing is fetched."""
        page = (out / "report.html").read_text()
        assert 4 == page.count("src='data:image/png")
        assert 12 + 12 <= page.count("src='data:image/jpeg") <= 2 * (12 + 12)
        assert "http" not in page
        assert "material: cardboard" in page

    def test_the_json_holds_every_figure(self, out: Path) -> None:
        """Counts, versions, command, and recalls that are refused in words."""
        report = json.loads((out / "report.json").read_text())
        found = report["figures"]
        assert (36, 12) == (found["captures"], found["damaged"])
        assert "fusion-of-a-test" == report["about"]["fusion"]
        assert ["alone", "by_code", "by_image", "arrived"] == [each["way"] for each in found["ways"]]
        assert "24 intact captures, 40,000 are needed" in found["ways"][0]["merit"]["recalls"][2]["refused"]

    def test_rows_alone_make_the_same_figures(self, out: Path, tmp_path: Path) -> None:
        """A report made again from rows has equal figures, asks no model, and shows no pictures."""
        rows = str(out / "rows.jsonl")
        printed = self.evaluate("--rows", rows, "--out", str(tmp_path))
        first, again = (json.loads((folder / "report.json").read_text()) for folder in (out, tmp_path))
        assert first["figures"] == again["figures"]
        assert "36 captures of 6 products" in printed
        assert "image/jpeg" not in (tmp_path / "report.html").read_text()

    def test_recall_at_a_rate_of_ones_own(self, out: Path, tmp_path: Path) -> None:
        """A line's own rate of false stops stands among the others, told or refused as they are, and no rate twice."""
        rows = str(out / "rows.jsonl")
        printed = self.evaluate("--rows", rows, "--rate", "0.3", "--rate", "0.001", "--out", str(tmp_path))
        merit = json.loads((tmp_path / "report.json").read_text())["figures"]["ways"][0]["merit"]
        assert [0.3, 1e-2, 1e-3, 5e-4] == [each["rate"] for each in merit["recalls"]]
        assert "24 intact captures, 67 are needed" in merit["recalls"][0]["refused"]
        assert "R@0.3 -" in printed

    def test_rows_of_another_source_are_refused(self, out: Path, tmp_path: Path) -> None:
        """Pictures of other captures would be shown as the worst mistakes."""
        with pytest.raises(Fatal, match=r"holds rows of .*, not of booth seed=3"):
            self.evaluate("--rows", str(out / "rows.jsonl"), "--booth", "3", "--out", str(tmp_path))

    def test_what_to_evaluate_on_must_be_said(self, tmp_path: Path) -> None:
        """Neither, or both, of two sources: the message names the options."""
        with pytest.raises(Fatal, match="--data DIR, --booth SEED, or --rows FILE"):
            self.evaluate("--out", str(tmp_path))
        with pytest.raises(Fatal, match="--data DIR, --booth SEED, or --rows FILE"):
            self.evaluate("--out", str(tmp_path), "--booth", "1", "--data", str(tmp_path))

    @pytest.mark.parametrize(
        ("option", "value", "words"), [("--split", "dev", "run, train and test"), ("--site-style", "night", "mixed")]
    )
    def test_what_the_booth_does_not_have(self, option: str, value: str, words: str, tmp_path: Path) -> None:
        """A split or a style that does not exist is named with those that do."""
        with pytest.raises(Fatal, match=words):
            self.evaluate("--booth", "1", option, value, "--out", str(tmp_path))

    def test_a_split_without_captures(self, drawn: DataSet, tmp_path: Path) -> None:
        """A data set's splits are named where the one asked for is not among them."""
        manifest(drawn)
        with pytest.raises(Fatal, match="its splits: test"):
            self.evaluate("--data", str(drawn.root), "--split", "train", "--out", str(tmp_path))

    def test_products_that_were_learnt_from_are_refused(self, repository: Path, drawn: DataSet, tmp_path: Path) -> None:
        """A card that lists one of the set's products stops the command before it begins."""
        manifest(drawn)
        models = tmp_path / "models"
        models.mkdir()
        for each in repository.iterdir():
            (models / each.name).symlink_to(each)
        (models / CARD).write_bytes(msgspec.json.encode({"trained_on": ["p-3"]}))
        with pytest.raises(Fatal, match=r"were shown 1 of these products \(p-3\)"):
            self.evaluate("--data", str(drawn.root), "--models", str(models), "--out", str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def manifest(drawn: DataSet) -> None:
    """Write the drawn captures down as a manifest beside them."""
    with (drawn.root / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "product_id", "kinds", "severity", "split", "material", "reference"])
        for pristine in drawn.references:
            table.writerow([pristine.images[0].path.name, "", pristine.product_id, "", "", "test", "", "yes"])
        for sample in drawn.samples:
            label = sample.label
            if label is not None:
                kinds = ";".join(kind.value for kind in label.kinds)
                said = "damaged" if label.damaged else "intact"
                facts = [sample.product_id, kinds, label.severity.value, "test", sample.facts["material"], "no"]
                table.writerow([sample.images[0].path.name, said, *facts])
