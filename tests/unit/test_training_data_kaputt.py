"""Kaputt's layouts, on trees that the writer makes and on tables as people have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from schemas.faults import Fatal
from schemas.words import DamageKind, Severity
from training.data import open_data_set
from training.data.findings import Matter
from training.data.form import DataSet, Label
from training.data.tree import Layout, Taken, TakenReference, TakenView, Tree

HURT = Label(damaged=True, kinds=frozenset({DamageKind.SPILLAGE, DamageKind.MISSING_UNIT}), severity=Severity.MAJOR)
BOX = (0.25, 0.5, 0.125, 0.25)


def jpeg(seed: int) -> bytes:
    """Draw a picture of 64 x 48 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def view(seed: int, *, depth: bool = False) -> TakenView:
    """Return a view whose item fills the middle."""
    item = np.zeros((12, 16), np.uint8)
    item[3:9, 4:12] = 255
    plane = np.full((24, 32), 7000 + seed, np.uint16)
    png = bytes(cv2.imencode(".png", plane)[1].tobytes()) if depth else None
    return TakenView(jpeg(seed), png, item, camera_id=f"camera-{seed % 2}", boxes=(BOX,))


def tree(root: Path, layout: Layout, label: Label | None = HURT, split: str = "train") -> Tree:
    """Write a split with a damaged capture of two views, an intact one, and two references of their product."""
    made = Tree(root, split, layout)
    intact = None if label is None else Label(damaged=False)
    rows = made.put(Taken("c1", (view(0, depth=True), view(1)), "p1", label, "cardboard", {"decoy": "crack"}))
    rows += made.put(Taken("c2", (view(2),), "p1", intact, "paper"))
    references = [
        row for number in (3, 5) for row in made.put_reference(TakenReference(f"r{number}", "p1", (view(number),)))
    ]
    made.close(rows, references)
    return made


def foreign(root: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write a table as others do."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), file)


def put(path: Path, seed: int = 0) -> None:
    """Put a picture somewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(seed))


def matters(data: DataSet) -> dict[Matter, int]:
    """Count the cases of each matter found while reading."""
    return {finding.matter: finding.count for finding in data.findings}


class TestWrittenTrees:
    """What the writer writes is what the reader reads."""

    @pytest.mark.parametrize("layout", ["A", "B"])
    def test_the_truth_survives(self, tmp_path: Path, layout: Layout) -> None:
        """Views, labels, kinds, severity, product, material, facts, boxes, depth, masks and references come back."""
        tree(tmp_path, layout)
        data = open_data_set(tmp_path)
        hurt, intact = data.samples
        assert ("c1", HURT, "p1", "train") == (hurt.capture_id, hurt.label, hurt.product_id, hurt.split)
        assert {"material": "cardboard", "decoy": "crack"} == hurt.facts
        assert ["camera-0", "camera-1"] == [image.camera_id for image in hurt.images]
        assert [True, False] == [image.depth is not None for image in hurt.images]
        assert (BOX,) == hurt.images[1].boxes
        assert Label(damaged=False) == intact.label
        assert [("r3", "p1", "train"), ("r5", "p1", "train")] == [
            (reference.reference_id, reference.product_id, reference.split) for reference in data.references
        ]
        assert jpeg(2) == intact.images[0].path.read_bytes()
        assert () == data.notes

    def test_masks_and_crops_are_of_the_item(self, tmp_path: Path) -> None:
        """The mask has the picture's size; the crop is the item and a margin."""
        tree(tmp_path, "A")
        image = open_data_set(tmp_path).samples[0].images[0]
        assert image.item_mask is not None
        mask = np.asarray(cv2.imread(str(image.item_mask), cv2.IMREAD_UNCHANGED))
        assert (48, 64) == mask.shape
        assert {0, 1} == set(np.unique(mask).tolist())
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (12, 35, 16, 47) == (rows[0], rows[-1], columns[0], columns[-1])
        crop = np.asarray(cv2.imread(str(open_data_set(tmp_path, kind="kaputt-crops").samples[0].images[0].path)))
        assert (28, 38, 3) == crop.shape

    def test_writing_again_changes_nothing(self, tmp_path: Path) -> None:
        """Files that are there are not written a second time; nothing unfinished stays behind."""
        tree(tmp_path, "A")
        pictures = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
        tree(tmp_path, "A")
        assert pictures == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
        assert [] == list(tmp_path.rglob("*.part"))

    def test_splits_share_a_tree(self, tmp_path: Path) -> None:
        """Each split has its tables."""
        tree(tmp_path, "B", split="train")
        tree(tmp_path, "B", split="test")
        assert {"train", "test"} == {reference.split for reference in open_data_set(tmp_path).references}

    def test_without_labels_there_are_no_columns_for_them(self, tmp_path: Path) -> None:
        """As in Kaputt 2."""
        made = tree(tmp_path, "A", None)
        assert "defect" not in parquet.read_schema(made.table("query")).names
        assert [None, None] == [sample.label for sample in open_data_set(tmp_path).samples]


class TestForeignTrees:
    """Trees as people have them: paths joined in several ways, cells of several types."""

    P = "data/train/query-data/image/x.jpg"

    @pytest.mark.parametrize(
        ("table", "file"),
        [
            ("datasets/query-train.parquet", f"query-image/{P}"),  # the prefix of the archive
            ("datasets/query-train.parquet", "query-image/x.jpg"),  # the archive's folder and the file's name
            ("query-train.parquet", P),  # from the root
            ("sample-data/query-sample.parquet", P),
            ("sample-data/query-sample.parquet", f"sample-data/{P}"),
        ],
    )
    def test_every_way_of_joining_paths(self, tmp_path: Path, table: str, file: str) -> None:
        """The picture is found, and its split comes from the table's name or, in the sample, from its path."""
        foreign(tmp_path, table, [{"capture_id": "x", "item_identifier": "i", "query_image": self.P, "defect": True}])
        put(tmp_path / file)
        (sample,) = open_data_set(tmp_path).samples
        assert (tmp_path / file, "train") == (sample.images[0].path, sample.split)

    @pytest.mark.parametrize(
        ("types", "kinds"),
        [
            ("deformation,penetration", {"deformation", "penetration"}),
            ("['Missing Unit']", {"missing_unit"}),
            (["spillage", "superficial"], {"spillage", "superficial"}),
            (None, set()),
            ("", set()),
        ],
    )
    def test_kinds_in_every_form(self, tmp_path: Path, types: object, kinds: set[str]) -> None:
        """Comma-separated, a list, a list as text, nothing."""
        row = {"capture_id": "x", "query_image": "x.jpg", "defect": True, "major_defect": False, "defect_types": types}
        foreign(tmp_path, "query-test.parquet", [row])
        put(tmp_path / "x.jpg")
        (sample,) = open_data_set(tmp_path).samples
        assert sample.label is not None
        assert (kinds, Severity.MINOR) == ({str(kind) for kind in sample.label.kinds}, sample.label.severity)

    def test_severity_follows_the_two_truths(self, tmp_path: Path) -> None:
        """None for what is no defect, major or minor for what is; a major one that is no defect is a contradiction."""
        truths = [(False, False), (True, True), (True, False), (False, True), (None, None)]
        rows = [
            {"capture_id": f"x{number}", "query_image": f"x{number}.jpg", "defect": defect, "major_defect": major}
            for number, (defect, major) in enumerate(truths)
        ]
        foreign(tmp_path, "query-test.parquet", rows)
        for number in range(len(truths)):
            put(tmp_path / f"x{number}.jpg")
        data = open_data_set(tmp_path)
        assert ["none", "major", "minor", "none", None] == [
            None if sample.label is None else str(sample.label.severity) for sample in data.samples
        ]
        assert {Matter.SEVERE_INTACT: 1} == matters(data)

    def test_crops_stand_in_for_missing_pictures(self, tmp_path: Path) -> None:
        """Who fetched only the crops has a data set, and is told."""
        tree(tmp_path, "A")
        shutil.rmtree(tmp_path / "query-image")
        data = open_data_set(tmp_path)
        assert ["query-crop"] == list({sample.images[0].path.relative_to(tmp_path).parts[0] for sample in data.samples})
        assert {Matter.CROPS_ONLY: 3} == matters(data)

    def test_paths_out_of_the_tree_are_refused(self, tmp_path: Path) -> None:
        """As in every table."""
        put(tmp_path / "secret.jpg")
        root = tmp_path / "set"
        put(root / "a.jpg")
        paths = ["a.jpg", "../secret.jpg", str(tmp_path / "secret.jpg")]
        foreign(root, "query-test.parquet", [{"capture_id": path, "query_image": path} for path in paths])
        data = open_data_set(root)
        assert ["a.jpg"] == [sample.capture_id for sample in data.samples]
        assert {Matter.REFUSED_PATH, Matter.MISSING_FILE} == set(matters(data))

    def test_two_rows_with_one_id_are_two_samples(self, tmp_path: Path) -> None:
        """Nothing overwrites anything, and it is told."""
        foreign(tmp_path, "query-test.parquet", [{"capture_id": "x", "query_image": f"{n}.jpg"} for n in "ab"])
        put(tmp_path / "a.jpg")
        put(tmp_path / "b.jpg")
        data = open_data_set(tmp_path)
        assert 2 == len({sample.capture_id for sample in data.samples})
        assert {Matter.REPEATED_ID: 1} == matters(data)

    def test_what_is_no_table_is_refused_in_words(self, tmp_path: Path) -> None:
        """A damaged file, and one without pictures."""
        (tmp_path / "query-test.parquet").write_bytes(b"PAR1 and then nothing")
        with pytest.raises(Fatal, match="no readable Parquet"):
            open_data_set(tmp_path)
        foreign(tmp_path, "query-test.parquet", [{"picture": "a.jpg"}])
        with pytest.raises(Fatal, match="no column `query_image`; it has picture"):
            open_data_set(tmp_path)
