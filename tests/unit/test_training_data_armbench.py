"""ARMBench's image defects: what its sublabels mean here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.words import DamageKind, Severity
from training.data import open_data_set
from training.data.findings import Matter
from training.data.form import Label


def picture(root: Path, name: str, note: object) -> None:
    """Put a picture and its note into a tree with both lists."""
    pick = name.partition("_")[0]
    folder = root / "data" / pick
    folder.mkdir(parents=True, exist_ok=True)
    (root / "train.csv").write_text("A1\r\nA2\r\n")
    (root / "test.csv").write_text("B1\n")
    (folder / f"{name}.jpg").write_bytes(b"not opened by the reader")
    (folder / f"{name}.json").write_text(note if isinstance(note, str) else json.dumps(note))


class TestReadArmbench:
    """A picture is a sample, a pick is its product."""

    @pytest.mark.parametrize(
        ("sublabel", "kind", "severity"),
        [
            ("open_box", DamageKind.ACTUATION, Severity.UNKNOWN),
            ("partial_box", DamageKind.ACTUATION, Severity.MINOR),
            ("crush_box", DamageKind.DEFORMATION, Severity.UNKNOWN),
            ("empty_bag", DamageKind.MISSING_UNIT, Severity.MAJOR),
            ("torn_bag", DamageKind.PENETRATION, Severity.UNKNOWN),
            ("book_jacket", DamageKind.DECONSTRUCTION, Severity.UNKNOWN),
            ("open_book", DamageKind.ACTUATION, Severity.UNKNOWN),
            ("open_book_jacket", DamageKind.DECONSTRUCTION, Severity.UNKNOWN),
        ],
    )
    def test_sublabels_become_kinds(self, tmp_path: Path, sublabel: str, kind: DamageKind, severity: Severity) -> None:
        """Each has its kind; how bad it is only where the word says so."""
        picture(tmp_path, "A1_0", {"id": "A1", "label": "package_defect", "sublabel": sublabel, "polygon": []})
        (sample,) = open_data_set(tmp_path).samples
        assert Label(damaged=True, kinds=frozenset({kind}), severity=severity) == sample.label
        assert {"sublabel": sublabel} == sample.facts

    def test_nominal_is_intact_and_two_units_are_neither(self, tmp_path: Path) -> None:
        """A multi-pick is a fault of the pick and no damage."""
        picture(tmp_path, "A1_0", {"sublabel": "nominal"})
        picture(tmp_path, "A1_1", {"sublabel": "multi_pick"})
        assert [Label(damaged=False), None] == [sample.label for sample in open_data_set(tmp_path).samples]

    def test_pictures_of_a_pick_stay_in_its_split(self, tmp_path: Path) -> None:
        """The id is the product, so no split by product takes them apart."""
        for name in ("A1_0", "A1_1", "B1_0"):
            picture(tmp_path, name, {"sublabel": "nominal"})
        assert [("A1_0", "pick-A1", "train"), ("A1_1", "pick-A1", "train"), ("B1_0", "pick-B1", "test")] == [
            (sample.capture_id, sample.product_id, sample.split) for sample in open_data_set(tmp_path).samples
        ]

    def test_several_sublabels_are_united(self, tmp_path: Path) -> None:
        """All kinds, and a severity that nobody knows."""
        picture(tmp_path, "A1_0", {"sublabel": ["partial_box", "crush_box"]})
        (sample,) = open_data_set(tmp_path).samples
        kinds = frozenset({DamageKind.ACTUATION, DamageKind.DEFORMATION})
        assert Label(damaged=True, kinds=kinds, severity=Severity.UNKNOWN) == sample.label

    @pytest.mark.parametrize("note", ["{", "[1, 2]", '"text"', '{"sublabel": "nominal"'])
    def test_broken_notes_cost_only_their_picture_its_label(self, tmp_path: Path, note: str) -> None:
        """The picture stays, unlabelled, and it is told; so are picks that are listed and not there."""
        picture(tmp_path, "A1_0", note)
        data = open_data_set(tmp_path)
        assert [None] == [sample.label for sample in data.samples]
        assert {Matter.BROKEN_NOTE: 1, Matter.MISSING_FILE: 2} == {
            finding.matter: finding.count for finding in data.findings
        }
