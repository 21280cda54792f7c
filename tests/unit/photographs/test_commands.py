"""`sideline train classifier`, `score` and `read-codes` on drawn pictures, good and bad ones."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from typer.testing import CliRunner, Result
from zxingcpp import BarcodeFormat

from cli.main import app
from evidence.triton import CLASSIFIER
from schemas.faults import Fatal

MakeBackbone = Callable[..., Path]
MakePhotographs = Callable[..., Path]
EAN = "4006381333931"


def sideline(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=True)


def table(file: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(name="trained", scope="module")
def fixture_trained(backbone: MakeBackbone, photographs: MakePhotographs) -> Path:
    """Train on drawn boxes, one file of them broken, and return the folder; features and pictures lie beside it."""
    folder = photographs()
    (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    result = train(folder, backbone())
    assert 0 == result.exit_code, result.output
    assert "left out" in result.output
    return folder / "m"


def train(folder: Path, backbone: Path) -> Result:
    """Train on a folder's photographs, into `m` in it."""
    return sideline(
        *("train", "classifier", "--data", folder / "manifest.csv", "--backbone", backbone),
        *("--out", folder / "m", "--no-mirror", "--rounds", 2),
    )


class TestTrainAndScore:
    """From photographs to scores."""

    def test_learns_what_is_drawn(self, trained: Path, photographs: MakePhotographs, tmp_path: Path) -> None:
        """The card holds figures, the charts are there, and photographs it never saw are told apart by score."""
        card = json.loads((trained / "card.json").read_text())
        assert (31, 15, 1) == (card["captures"], card["damaged"], len(card["left_out"]))
        assert card["figures"]["fold_auroc_mean"] > 0.9
        assert card["onnx_difference"] <= 1e-3
        for chart in ("roc.png", "reliability.png", "mistakes.png"):
            assert cv2.imread(str(trained / chart)) is not None
        fresh = photographs(8, seed=9)
        result = sideline("score", "--model", trained, "--images", fresh, "--out", tmp_path / "s.csv")
        assert 0 == result.exit_code, result.output
        scores = [float(row["score"]) for row in table(tmp_path / "s.csv")]
        damaged, intact = scores[::2], scores[1::2]
        assert np.mean(damaged) > 0 > np.mean(intact)
        assert "AUROC" in result.output

    def test_a_small_test_split_is_no_obstacle(self, backbone: MakeBackbone, photographs: MakePhotographs) -> None:
        """Exports of a few days keep a handful of captures for the test: too few to measure on, and that is said."""
        folder = photographs()
        rows = table(folder / "manifest.csv")
        with (folder / "manifest.csv").open("w", newline="") as file:
            parted = ((row["path"], row["label"], "test" if place < 6 else "train") for place, row in enumerate(rows))
            csv.writer(file).writerows([("path", "label", "split"), *parted])
        result = train(folder, backbone())
        assert 0 == result.exit_code, result.output
        assert "fewer than 10 captures of a class" in result.output
        card = json.loads((folder / "m" / "card.json").read_text())
        assert "test_auroc" not in card["figures"]
        assert 26 == card["captures"]

    def test_goes_on_from_kept_features(self, trained: Path, backbone: MakeBackbone) -> None:
        """A second run computes no feature again and writes the same model, byte for byte."""
        shelf = trained.with_name("m.features")
        times = {path: path.stat().st_mtime_ns for path in shelf.rglob("*.npy")}
        before = (trained / CLASSIFIER / "1" / "model.onnx").read_bytes()
        result = train(trained.parent, backbone())
        assert 0 == result.exit_code, result.output
        assert 31 == len(times)
        assert times == {path: path.stat().st_mtime_ns for path in shelf.rglob("*.npy")}
        assert before == (trained / CLASSIFIER / "1" / "model.onnx").read_bytes()

    def test_bad_pictures_have_empty_scores(self, trained: Path, photographs: MakePhotographs, tmp_path: Path) -> None:
        """Missing, empty, truncated and foreign files are rows without a score; the status is 0, with --strict 1."""
        folder = photographs(2)
        whole = (folder / "1.png").read_bytes()
        (folder / "empty.jpg").write_bytes(b"")
        (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
        (folder / "text.jpg").write_text("no picture")
        (folder / "folder.jpg").mkdir()
        names = ["1.png", "gone.png", "empty.jpg", "cut.png", "text.jpg", "folder.jpg"]
        (folder / "list.csv").write_text("path\n" + "\n".join(names) + "\n")
        arguments = ("score", "--model", trained, "--images", folder / "list.csv", "--out", tmp_path / "s.csv")
        assert 0 == sideline(*arguments).exit_code
        rows = table(tmp_path / "s.csv")
        assert names == [row["path"] for row in rows]
        assert [True] + [False] * 5 == [row["score"] != "" for row in rows]
        assert 1 == sideline(*arguments, "--strict").exit_code

    def test_nothing_scored_is_a_failure(self, trained: Path, tmp_path: Path) -> None:
        """Where no picture could be read the rows are written and the status is 1."""
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "a.jpg").write_text("no picture")
        result = sideline("score", "--model", trained, "--images", tmp_path / "bad", "--out", tmp_path / "s.csv")
        assert 1 == result.exit_code
        assert [{"path": "a.jpg", "score": ""}] == table(tmp_path / "s.csv")


class TestFaults:
    """Errors name what is wrong and the fix."""

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("score", "--model", "nowhere", "--images", "{photos}", "--out", "s.csv"), "sideline train classifier"),
            (("score", "--images", "nowhere", "--out", "s.csv"), "there is no nowhere"),
            (("read-codes", "nowhere", "--out", "c.csv"), "there is no nowhere"),
            (("train", "classifier", "--backbone", "b.onnx", "--out", "m"), "--data"),
            (("train", "classifier", "--backbone", "b.onnx", "--data", "{photos}", "--out", "m"), "no backbone b.onnx"),
        ],
        ids=str,
    )
    def test_are_fatal_with_a_sentence(
        self, photographs: MakePhotographs, arguments: tuple[str, ...], words: str
    ) -> None:
        """Each ends in our own error, which the command line turns into one line."""
        folder = photographs(1)
        result = sideline(*(each.format(photos=folder) for each in arguments))
        assert isinstance(result.exception, Fatal)
        assert words in str(result.exception)

    @pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
    @pytest.mark.parametrize("task", ["classifier", "embedding"])
    def test_networks_need_torch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
        """Without torch, here or in the checkout's training environment, the error names the command that mends it."""
        monkeypatch.chdir(tmp_path)
        result = sideline("train", task, "--out", "m")
        assert "learning a network needs torch: make training" == str(result.exception)

    def test_a_fusion_needs_models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is missing is named before anything is rendered."""
        monkeypatch.chdir(tmp_path)
        result = sideline("train", "fusion", "--models", "nowhere")
        assert isinstance(result.exception, Fatal)
        assert "make models" in str(result.exception)

    def test_a_model_of_another_contract_is_refused(self, backbone: MakeBackbone, photographs: MakePhotographs) -> None:
        """A bare backbone is no classifier."""
        result = sideline("score", "--model", backbone(), "--images", photographs(1), "--out", "s.csv")
        assert isinstance(result.exception, Fatal)
        assert "is no damage_classifier" in str(result.exception)


class TestReadCodes:
    """`sideline read-codes`."""

    @pytest.fixture(name="codes")
    def fixture_codes(self, tmp_path: Path) -> Path:
        """Draw a folder: two codes, none, a broken file and a missing one, with a manifest of what they say."""
        folder = tmp_path / "codes"
        folder.mkdir()
        bars = np.asarray(zxingcpp.create_barcode(EAN, BarcodeFormat.EAN13).to_image(scale=2, add_quiet_zones=True))
        matrix = zxingcpp.create_barcode("LPN0001", BarcodeFormat.DataMatrix)
        both = np.full((400, 480), 190, np.uint8)
        both[40 : 40 + bars.shape[0], 40 : 40 + bars.shape[1]] = bars
        square = np.asarray(matrix.to_image(scale=5, add_quiet_zones=True))
        both[240 : 240 + square.shape[0], 240 : 240 + square.shape[1]] = square
        cv2.imwrite(str(folder / "both.png"), both)
        cv2.imwrite(str(folder / "none.png"), np.full((100, 100), 190, np.uint8))
        (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
        rows = [("path", "expected_text"), ("both.png", EAN), ("none.png", ""), ("broken.jpg", ""), ("gone.png", "x")]
        with (folder / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        return folder

    def test_a_row_a_code_and_a_row_a_picture_without(self, codes: Path, tmp_path: Path) -> None:
        """Codes have a row each, a picture without one a row with its time, an unreadable one a row with its path."""
        result = sideline("read-codes", codes, "--out", tmp_path / "c.csv")
        assert 0 == result.exit_code, result.output
        rows = table(tmp_path / "c.csv")
        assert {(EAN, "EAN13", "true"), ("LPN0001", "DataMatrix", "true")} == {
            (row["text"], row["format"], row["confirmed"]) for row in rows if row["path"] == "both.png"
        }
        assert [("none.png", "", True), ("broken.jpg", "", False), ("gone.png", "", False)] == [
            (row["path"], row["text"], row["ms"] != "") for row in rows if row["path"] != "both.png"
        ]
        assert 1 == sideline("read-codes", codes, "--out", tmp_path / "c.csv", "--strict").exit_code

    def test_prints_a_score_card_where_it_can(self, codes: Path, tmp_path: Path) -> None:
        """With expected texts it says what was read, wrong and missed, and how its time compares to the library's."""
        shown = sideline("read-codes", codes, "--out", tmp_path / "c.csv").output
        assert "read and confirmed 1, read but not confirmed 0, missed 1" in shown
        assert "confirmed and wrong 1, confirmed where there is no code 0" in shown  # the matrix, that nobody listed
        assert "ratio" in shown
        (codes / "manifest.csv").unlink()
        assert "ratio" not in sideline("read-codes", codes, "--out", tmp_path / "c.csv").output
