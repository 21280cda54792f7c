"""A data set is checked: each fault is made on purpose and must be found, and a sound set must pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from cli.dataset import register
from training.data import open_data_set
from training.data.check import Report, check
from training.data.findings import Gravity, Matter
from training.data.telltale import telltales

Pixels = NDArray[np.uint8]


def scene(seed: int, side: int = 96) -> Pixels:
    """Draw something that differs from all other seeds."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (12, 12, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def save(path: Path, pixels: Pixels | NDArray[np.uint16], quality: int = 85) -> Path:
    """Write pixels as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


class Album:
    """A sound data set of twelve products, each damaged twice and intact twice, which a test may then spoil."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[dict[str, str]] = []
        for number in range(48):
            name = f"{number:02d}.jpg"
            save(root / name, scene(number))
            self.rows.append(
                {
                    "path": name,
                    "label": ("intact", "damaged")[number % 2],
                    "kinds": ("", "deformation")[number % 2],
                    "severity": ("", "minor")[number % 2],
                    "product_id": f"p{number // 4}",
                    "split": "train" if number < 32 else "test",
                    "depth": "",
                    "mask": "",
                }
            )

    def report(self, *, deep: bool = False) -> Report:
        """Write the manifest, read it and check it."""
        lines = [",".join(self.rows[0]), *(",".join(row.values()) for row in self.rows)]
        (self.root / "manifest.csv").write_text("\n".join(lines) + "\n")
        return check(open_data_set(self.root), deep=deep)

    def found(self, *, deep: bool = False) -> dict[Matter, int]:
        """Return what is found, and how often."""
        return {finding.matter: finding.count for finding in self.report(deep=deep).findings}


@pytest.fixture
def album(tmp_path: Path) -> Album:
    """Return a sound data set."""
    return Album(tmp_path / "set")


def cut(album: Album) -> None:
    """Lose the end of a file."""
    path = album.root / "05.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def garble(album: Album) -> None:
    """Put a web page in place of a picture."""
    (album.root / "05.jpg").write_bytes(b"<html>not found</html>")


def empty(album: Album) -> None:
    """Leave an empty file."""
    (album.root / "05.jpg").write_bytes(b"")


def remove(album: Album) -> None:
    """Delete a file."""
    (album.root / "05.jpg").unlink()


def blank(album: Album) -> None:
    """Photograph nothing."""
    save(album.root / "05.jpg", np.full((96, 96, 3), 200, np.uint8))


def leak(album: Album) -> None:
    """Put a picture of train into test."""
    (album.root / "41.jpg").write_bytes((album.root / "05.jpg").read_bytes())


def recompress(album: Album) -> None:
    """Put a picture of train into test, saved again."""
    save(album.root / "41.jpg", scene(5), quality=70)


def contradict(album: Album) -> None:
    """Call one picture damaged and intact."""
    (album.root / "04.jpg").write_bytes((album.root / "05.jpg").read_bytes())


def repeat(album: Album) -> None:
    """Have a picture twice under one label."""
    (album.root / "07.jpg").write_bytes((album.root / "05.jpg").read_bytes())


def stray(album: Album) -> None:
    """Put one sample of a product into another split."""
    album.rows[3]["split"] = "test"


def mask_size(album: Album) -> None:
    """Give a mask of half the size."""
    save(album.root / "m.png", np.ones((48, 48), np.uint8))
    album.rows[0]["mask"] = "m.png"


def mask_empty(album: Album) -> None:
    """Give a mask of nothing."""
    save(album.root / "m.png", np.zeros((96, 96), np.uint8))
    album.rows[0]["mask"] = "m.png"


def mask_garbled(album: Album) -> None:
    """Give a mask that is none."""
    (album.root / "m.png").write_bytes(b"no mask")
    album.rows[0]["mask"] = "m.png"


def depth_8_bit(album: Album) -> None:
    """Give a grey picture as depth."""
    save(album.root / "d.png", scene(1)[..., 0].copy())
    album.rows[0]["depth"] = "d.png"


def depth_shape(album: Album) -> None:
    """Give depth of another shape."""
    save(album.root / "d.png", np.full((48, 96), 7000, np.uint16))
    album.rows[0]["depth"] = "d.png"


def depth_near(album: Album) -> None:
    """Measure a few millimetres."""
    save(album.root / "d.png", np.arange(96 * 96, dtype=np.uint16).reshape(96, 96) % 50)
    album.rows[0]["depth"] = "d.png"


def depth_flat(album: Album) -> None:
    """Measure the same everywhere."""
    save(album.root / "d.png", np.full((96, 96), 7000, np.uint16))
    album.rows[0]["depth"] = "d.png"


def depth_nothing(album: Album) -> None:
    """Measure nothing."""
    save(album.root / "d.png", np.zeros((96, 96), np.uint16))
    album.rows[0]["depth"] = "d.png"


def kinds_on_intact(album: Album) -> None:
    """Call a unit intact and name its damage."""
    album.rows[0]["kinds"] = "spillage"


def severe_intact(album: Album) -> None:
    """Call a unit intact and its damage major."""
    album.rows[0]["severity"] = "major"


def odd_kind(album: Album) -> None:
    """Invent a kind."""
    album.rows[1]["kinds"] = "deformation;rust"


def no_kinds(album: Album) -> None:
    """Name no kind."""
    album.rows[1]["kinds"] = ""


def tiny(album: Album) -> None:
    """Have a single major damage."""
    album.rows[1]["severity"] = "major"


def all_intact(album: Album) -> None:
    """Have no damage at all."""
    for row in album.rows:
        row.update(label="intact", kinds="", severity="")


def unlabelled(album: Album) -> None:
    """Leave a label out."""
    album.rows[0]["label"] = ""


def one_reference(album: Album) -> None:
    """Give one of twelve products a reference."""
    save(album.root / "r.jpg", scene(99))
    album.rows.append(dict.fromkeys(album.rows[0], "") | {"path": "r.jpg", "product_id": "p0", "split": "reference"})


def own_reference(album: Album) -> None:
    """Enrol a picture of a sample as its product's reference."""
    (album.root / "r.jpg").write_bytes((album.root / "00.jpg").read_bytes())
    album.rows.append(dict.fromkeys(album.rows[0], "") | {"path": "r.jpg", "product_id": "p0", "split": "reference"})


def mask_missing(album: Album) -> None:
    """Name a mask that is not there."""
    album.rows[0]["mask"] = "m.png"


def sizes_tell(album: Album) -> None:
    """Take damaged units with a larger sensor."""
    for number in range(1, 48, 2):
        save(album.root / f"{number:02d}.jpg", scene(number, side=128))


def compression_tells(album: Album) -> None:
    """Compress most damaged units less."""
    for number in range(48):
        tells = number % 2 and number % 8 != 1 and number != 47
        save(album.root / f"{number:02d}.jpg", scene(number), quality=92 if tells else 85)


FAULTS: list[tuple[Callable[[Album], None], Matter]] = [
    (cut, Matter.TRUNCATED),
    (garble, Matter.UNREADABLE),
    (empty, Matter.UNREADABLE),
    (remove, Matter.MISSING_FILE),
    (blank, Matter.ONE_COLOUR),
    (leak, Matter.SAME_IN_SPLITS),
    (recompress, Matter.LOOKS_IN_SPLITS),
    (contradict, Matter.SAME_TWO_LABELS),
    (repeat, Matter.SAME_PICTURE),
    (stray, Matter.PRODUCT_IN_SPLITS),
    (mask_size, Matter.MASK_SIZE),
    (mask_empty, Matter.MASK_EMPTY),
    (mask_garbled, Matter.MASK_UNREADABLE),
    (depth_8_bit, Matter.DEPTH_FORM),
    (depth_shape, Matter.DEPTH_SHAPE),
    (depth_near, Matter.DEPTH_IMPOSSIBLE),
    (depth_flat, Matter.DEPTH_IMPOSSIBLE),
    (depth_nothing, Matter.DEPTH_IMPOSSIBLE),
    (kinds_on_intact, Matter.KINDS_ON_INTACT),
    (severe_intact, Matter.SEVERE_INTACT),
    (odd_kind, Matter.UNKNOWN_KIND),
    (no_kinds, Matter.NO_KINDS),
    (tiny, Matter.TINY_CLASS),
    (all_intact, Matter.ONE_LABEL),
    (unlabelled, Matter.NO_LABELS),
    (one_reference, Matter.NO_REFERENCE),
    (own_reference, Matter.SAME_AS_REFERENCE),
    (mask_missing, Matter.MISSING_LAYER),
    (sizes_tell, Matter.GIVEAWAY),
    (compression_tells, Matter.TELLTALE),
]


class TestCheck:
    """What is wrong is found, and nothing else."""

    @pytest.mark.parametrize("deep", [False, True])
    def test_a_sound_set_passes(self, album: Album, *, deep: bool) -> None:
        """Nothing is found where nothing is wrong."""
        assert {} == album.found(deep=deep)

    @pytest.mark.parametrize(("spoil", "matter"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
    def test_each_fault_is_found(self, album: Album, spoil: Callable[[Album], None], matter: Matter) -> None:
        """The fault is told, with its gravity, and nothing graver beside it."""
        spoil(album)
        report = album.report()
        found = {finding.matter for finding in report.findings}
        assert matter in found
        assert report.spoiled is (matter.gravity is Gravity.SPOILS)

    def test_headers_alone_show_what_was_cut_off(self, album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a large set most pictures are not decoded; a cut one and a copied one are found all the same."""
        monkeypatch.setattr("training.data.check.DECODED", 1)
        cut(album)
        (album.root / "41.jpg").write_bytes((album.root / "00.jpg").read_bytes())  # the one that is decoded
        report = album.report()
        assert {Matter.TRUNCATED, Matter.SAME_IN_SPLITS} == {finding.matter for finding in report.findings}
        assert (1, 48) == (report.decoded, report.pictures)

    def test_the_census_counts(self, album: Album) -> None:
        """Splits, labels, kinds, severities, products and references."""
        one_reference(album)
        census = album.report().census
        assert (48, 24, 24, 12, 1) == (
            census.whole.samples,
            census.whole.damaged,
            census.whole.intact,
            census.whole.products,
            census.whole.references,
        )
        assert (32, 8) == (census.splits["train"].samples, census.splits["train"].products)
        assert ({"deformation": 24}, {"minor": 24}) == (census.kinds, census.severities)
        assert (1, 1.0, 1) == census.references_per_product


class TestTelltales:
    """Statistics that know more than they should."""

    def test_chance_is_no_telltale(self) -> None:
        """Among a hundred statistics of pure noise none is accused."""
        rng = np.random.default_rng(4)
        numbers = {f"n{number}": rng.normal(size=60).tolist() for number in range(50)}
        words = {f"w{number}": [f"v{value}" for value in rng.integers(0, 30, 60)] for number in range(50)}
        assert [] == telltales(numbers, words, [bool(number % 2) for number in range(60)])

    def test_a_category_that_tells_is_found(self) -> None:
        """One camera for damaged units, another for intact ones: AUROC is as good as 1."""
        damaged = [number % 3 == 0 for number in range(90)]
        (tale,) = telltales({}, {"camera": [f"camera-{hurt}" for hurt in damaged]}, damaged)
        assert ("camera", 1.0) == (tale.name, tale.auroc)

    def test_few_samples_accuse_nobody(self) -> None:
        """With nineteen of a label, chance tells them apart as well."""
        damaged = [number < 19 for number in range(60)]
        assert [] == telltales({"size": [float(hurt) for hurt in damaged]}, {}, damaged)


class TestCommand:
    """`sideline dataset check`."""

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command; return its exit status and output."""
        app = typer.Typer()
        register(app)
        app.callback()(lambda: None)
        done = CliRunner().invoke(app, ["dataset", "check", *arguments])
        return done.exit_code, done.stdout

    def test_warnings_alone_exit_0(self, album: Album) -> None:
        """What might be meant does not fail a script."""
        no_kinds(album)
        album.report()
        status, page = self.run(str(album.root))
        assert 0 == status
        assert "nothing found that would spoil" in page
        assert "1 damaged samples have no kinds" in page

    def test_what_spoils_exits_1(self, album: Album) -> None:
        """And the page names the files."""
        leak(album)
        album.report()
        status, page = self.run(str(album.root))
        assert 1 == status
        assert "05.jpg = 41.jpg (train, test)" in page

    def test_json_holds_the_same(self, album: Album) -> None:
        """One object, for scripts."""
        leak(album)
        album.report()
        status, text = self.run(str(album.root), "--json", "--deep")
        said = json.loads(text)
        assert (1, True, 48, 48) == (status, said["spoiled"], said["pictures"], said["decoded"])
        assert 24 == said["census"]["whole"]["damaged"]
        assert [("same_in_splits", "spoils", 1)] == [
            (finding["matter"], finding["gravity"], finding["count"]) for finding in said["findings"]
        ]
