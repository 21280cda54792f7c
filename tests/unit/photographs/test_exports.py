"""What people judged trains a classifier, as it comes from an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from tests.unit.test_training_data_export import ordinary, place


def test_an_export_can_be_learnt_from(backbone: Callable[..., Path], tmp_path: Path) -> None:
    """JPEG and PNG views, kinds and severities of verdicts, splits of a small export: all of it is taken."""
    album, docket = ordinary()
    told = place(album, docket, tmp_path / "set")
    words = ("--data", tmp_path / "set", "--backbone", backbone(), "--out", tmp_path / "models", "--rounds", 1)
    result = CliRunner().invoke(app, ["train", "classifier", *map(str, words), "--no-mirror"])
    assert 0 == result.exit_code, result.output
    card = json.loads((tmp_path / "models" / "card.json").read_text())
    assert told.samples["train"] + told.samples["validation"] == card["captures"]
    assert 2 * card["captures"] == card["views"]
    assert {"damage", "deformation", "spillage", "severity"} <= set(card["learnt"])
