"""Folders of pictures with and without a table, and tables that mean no good."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.faults import Fatal
from schemas.words import DamageKind, Severity
from training.data import open_data_set
from training.data.findings import Matter
from training.data.form import DataSet, Label
from training.data.shelf import Outside, Shelf

_CELLS = ["", "damaged", "intact", "yes", "no", "maybe", "major", "none", "reference", "spillage;x", "nan", '"', "../a"]


def draw(path: Path, seed: int = 0) -> Path:
    """Draw a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8))
    return path


def album(root: Path, table: str | bytes, *names: str) -> Path:
    """Draw pictures and write a manifest beside them."""
    for seed, name in enumerate(names):
        draw(root / name, seed)
    (root / "manifest.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return root


def matters(data: DataSet) -> dict[Matter, int]:
    """Count the cases of each matter found while reading."""
    return {finding.matter: finding.count for finding in data.findings}


class TestManifest:
    """A table that says what the pictures are."""

    def test_everything_that_a_row_may_say_is_taken(self, tmp_path: Path) -> None:
        """Label, kinds, severity, split and product have their fields; depth and mask are files; the rest are facts."""
        root = album(
            tmp_path,
            "path,label,product_id,kinds,severity,split,depth,mask,material,licence\n"
            'a.jpg,damaged,p1,"deformation, missing unit",major,val,a-depth.png,a-mask.png,cardboard,CC0\n'
            "b.jpg,intact,p2,,,train,,,,CC0\n",
            "a.jpg", "b.jpg", "a-depth.png", "a-mask.png",
        )  # fmt: skip
        data = open_data_set(root)
        first, second = data.samples
        kinds = frozenset({DamageKind.DEFORMATION, DamageKind.MISSING_UNIT})
        assert Label(damaged=True, kinds=kinds, severity=Severity.MAJOR) == first.label
        assert ("p1", "validation", {"material": "cardboard"}) == (first.product_id, first.split, first.facts)
        assert (root / "a-depth.png", root / "a-mask.png") == (first.images[0].depth, first.images[0].item_mask)
        assert Label(damaged=False) == second.label
        assert () == data.notes

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
    def test_encodings_of_common_programs(self, tmp_path: Path, encoding: str) -> None:
        """A byte-order mark is no part of the first column's name, and umlauts survive."""
        root = album(tmp_path, "path;label\nkäse.jpg;intact\n".encode(encoding), "käse.jpg")
        assert [root / "käse.jpg"] == [sample.images[0].path for sample in open_data_set(root).samples]

    def test_views_of_one_capture_stay_together(self, tmp_path: Path) -> None:
        """Rows with one capture id are one sample, the views in the order of the table."""
        table = "capture_id,path,camera_id,label\nc,b.jpg,side,damaged\nc,a.jpg,top,damaged\n"
        (sample,) = open_data_set(album(tmp_path, table, "a.jpg", "b.jpg")).samples
        assert ["side", "top"] == [image.camera_id for image in sample.images]

    def test_labels_name_products_where_there_are_references(self, tmp_path: Path) -> None:
        """With a split `reference` and no product column, the label is the product."""
        table = "path,label,split\nr/a.jpg,Milk,reference\nd/a.jpg,Milk,dev\n"
        data = open_data_set(album(tmp_path, table, "r/a.jpg", "d/a.jpg"))
        assert [("Milk", "dev")] == [(sample.product_id, sample.split) for sample in data.samples]
        assert ["Milk"] == [reference.product_id for reference in data.references]

    def test_a_column_may_name_the_reference(self, tmp_path: Path) -> None:
        """Then all rows that name it are of one product."""
        table = "path,label,reference\na.jpg,intact,r.jpg\nb.jpg,damaged,r.jpg\n"
        data = open_data_set(album(tmp_path, table, "a.jpg", "b.jpg", "r.jpg"))
        assert {"r.jpg"} == {sample.product_id for sample in data.samples}
        assert ["r.jpg"] == [reference.product_id for reference in data.references]

    def test_other_words_are_kept_and_not_guessed(self, tmp_path: Path) -> None:
        """A label that says nothing of damage makes no label."""
        (sample,) = open_data_set(album(tmp_path, "path,label\na.jpg,code128\n", "a.jpg")).samples
        assert (None, {"label": "code128"}) == (sample.label, sample.facts)

    def test_a_kind_may_stand_for_the_label(self, tmp_path: Path) -> None:
        """`spillage` says damaged, and how."""
        (sample,) = open_data_set(album(tmp_path, "path,label\na.jpg,Spillage\n", "a.jpg")).samples
        assert Label(damaged=True, kinds=frozenset({DamageKind.SPILLAGE}), severity=Severity.UNKNOWN) == sample.label

    def test_contradictions_are_told(self, tmp_path: Path) -> None:
        """The word on damage wins, and each contradiction is counted."""
        table = "path,label,kinds,severity\na.jpg,intact,spillage,major\nb.jpg,damaged,rust,none\nc.jpg,intact,,awful\n"
        data = open_data_set(album(tmp_path, table, "a.jpg", "b.jpg", "c.jpg"))
        assert {
            Matter.KINDS_ON_INTACT: 1,
            Matter.SEVERE_INTACT: 1,
            Matter.UNKNOWN_KIND: 1,
            Matter.MILD_DAMAGED: 1,
            Matter.UNKNOWN_SEVERITY: 1,
        } == matters(data)
        assert [False, True, False] == [sample.label is not None and sample.label.damaged for sample in data.samples]

    def test_a_picture_named_twice_counts_once(self, tmp_path: Path) -> None:
        """The first row counts; that the second says something else is told."""
        data = open_data_set(album(tmp_path, "path,label\na.jpg,intact\na.jpg,damaged\n", "a.jpg"))
        assert [1] == [len(sample.images) for sample in data.samples]
        assert {Matter.REPEATED_ROW: 1, Matter.TRUTHS_DIFFER: 1} == matters(data)

    def test_missing_and_unlisted_files_are_told(self, tmp_path: Path) -> None:
        """What is not there is left out; what is in no row as well."""
        data = open_data_set(album(tmp_path, "path\na.jpg\ngone.jpg\n\n,\n", "a.jpg", "more.jpg"))
        assert ["a.jpg"] == [sample.capture_id for sample in data.samples]
        assert {Matter.MISSING_FILE: 1, Matter.UNLISTED: 1} == matters(data)

    def test_short_and_long_rows_are_read(self, tmp_path: Path) -> None:
        """Missing cells are empty; cells without a column are dropped and told."""
        data = open_data_set(album(tmp_path, "path,label,split\na.jpg\nb.jpg,intact,test,x,y\n", "a.jpg", "b.jpg"))
        assert [None, "test"] == [sample.split for sample in data.samples]
        assert {Matter.RAGGED_ROW: 1} == matters(data)


class TestHostileTables:
    """Tables are not believed."""

    @pytest.mark.parametrize("path", ["/etc/hostname", "../secret.jpg", "a/../../secret.jpg", "C:\\x.jpg", "..\\x.jpg"])
    def test_paths_out_of_the_folder_are_refused(self, tmp_path: Path, path: str) -> None:
        """The picture beside the folder is never opened, whatever the row says."""
        draw(tmp_path / "secret.jpg")
        draw(tmp_path / "x.jpg")
        data = open_data_set(album(tmp_path / "set", f"path\na.jpg\n{path}\n", "a.jpg"))
        assert {Matter.REFUSED_PATH: 1} == matters(data)
        assert ["a.jpg"] == [sample.capture_id for sample in data.samples]

    def test_links_out_of_the_folder_are_refused(self, tmp_path: Path) -> None:
        """Neither a linked file nor a linked folder leads out; a link that stays inside is followed."""
        draw(tmp_path / "out" / "secret.jpg")
        root = album(tmp_path / "set", "path\na.jpg\nfile.jpg\nfolder/secret.jpg\ninside.jpg\n", "a.jpg")
        (root / "file.jpg").symlink_to(tmp_path / "out" / "secret.jpg")
        (root / "folder").symlink_to(tmp_path / "out")
        (root / "inside.jpg").symlink_to(root / "a.jpg")
        data = open_data_set(root)
        assert ["a.jpg", "inside.jpg"] == [sample.capture_id for sample in data.samples]
        assert {Matter.REFUSED_PATH: 2} == matters(data)

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ("file_of_picture,label\na.jpg,intact\n", "no column `path`"),
            ("", "no column `path`"),
            ('path,label\na.jpg,"' + "x" * 200_000 + '"\n', "field larger"),
            ("path\ngone.jpg\n", "no picture that could be used"),
            (b"path\0label", "no text"),
            (b"path\n\x81\n", "no encoding"),
        ],
    )
    def test_tables_that_are_none(self, tmp_path: Path, table: str | bytes, said: str) -> None:
        """Each is refused in words that say what to mend."""
        with pytest.raises(Fatal, match=said):
            open_data_set(album(tmp_path, table, "a.jpg"))

    def test_control_characters_stay_out_of_the_notes(self, tmp_path: Path) -> None:
        """A note is printed on terminals."""
        data = open_data_set(album(tmp_path, "path\na.jpg\n\x1b[2Jgone.jpg\n", "a.jpg"))
        assert ["?[2Jgone.jpg at row 3"] == list(data.findings[0].examples)

    def test_a_manifest_that_is_a_link_out_is_not_read(self, tmp_path: Path) -> None:
        """Who wants that names the file itself."""
        (tmp_path / "elsewhere.csv").write_text("path\na.jpg\n")
        draw(tmp_path / "set" / "a.jpg")
        (tmp_path / "set" / "manifest.csv").symlink_to(tmp_path / "elsewhere.csv")
        with pytest.raises(Fatal, match="leads out of the folder"):
            open_data_set(tmp_path / "set")

    @settings(max_examples=200)
    @given(
        rest=st.lists(st.lists(st.sampled_from([*_CELLS, "a.jpg"]) | st.text(max_size=8), max_size=6), max_size=6).map(
            lambda rows: "\n".join(",".join(row) for row in rows).encode(errors="replace")
        )
        | st.binary(max_size=80)
    )
    def test_any_table_is_read_or_refused(self, rest: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        """No cell makes anything but samples, notes or a refusal."""
        root = tmp_path_factory.getbasetemp() / "any"
        album(root, b"path,label,kinds,severity,split,reference\na.jpg,damaged,,,,\n" + rest, "a.jpg")
        with suppress(Fatal):
            assert "a.jpg" == open_data_set(root).samples[0].capture_id

    @given(path=st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "a", "", "\\", "b.jpg"])).map("/".join))
    def test_whatever_is_found_lies_inside(self, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        """A look-up finds a file below the root, nothing, or refuses."""
        root = tmp_path_factory.getbasetemp() / "shelf"
        if not root.exists():
            draw(root / "a" / "b.jpg")
            draw(root / "b.jpg")
        try:
            found = Shelf(root).find(path)
        except Outside:
            return
        assert found is None or found.resolve().is_relative_to(root.resolve())


class TestFolder:
    """Pictures without a table."""

    def test_names_of_folders_are_labels_and_splits(self, tmp_path: Path) -> None:
        """The innermost word wins; other folders say nothing."""
        for path in ("train/damaged/a.jpg", "test/intact/b.jpg", "valid/other/c.jpg"):
            draw(tmp_path / path)
        samples = {sample.capture_id: sample for sample in open_data_set(tmp_path).samples}
        assert Label(damaged=True, severity=Severity.UNKNOWN) == samples["train/damaged/a.jpg"].label
        assert Label(damaged=False) == samples["test/intact/b.jpg"].label
        assert samples["valid/other/c.jpg"].label is None
        assert ["test", "train", "validation"] == [samples[name].split for name in sorted(samples)]

    def test_a_bare_folder_has_no_labels(self, tmp_path: Path) -> None:
        """Pictures alone are a data set to score, not to learn from; hidden files are none."""
        for name in ("b.jpg", "a.JPG", ".hidden.jpg", "notes.txt"):
            draw(tmp_path / "x.png").rename(tmp_path / name)
        assert ["a.JPG", "b.jpg"] == [sample.capture_id for sample in open_data_set(tmp_path).samples]

    def test_what_is_none_is_refused_in_words(self, tmp_path: Path) -> None:
        """An empty folder, a file of another kind, nothing at all, and a kind that nobody knows."""
        (tmp_path / "file.zip").touch()
        for path, said in (
            (tmp_path, "no pictures"),
            (tmp_path / "file.zip", "no manifest"),
            (tmp_path / "x", "there is no"),
        ):
            with pytest.raises(Fatal, match=said):
                open_data_set(path)
        with pytest.raises(Fatal, match="there are auto, kaputt"):
            open_data_set(tmp_path, kind="coco")
