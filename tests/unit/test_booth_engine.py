"""The booth's render engine: what it shows is where it should be, lit from where it should be, and always the same."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from booth.mesh import Film, Part, Scene, Shown, Stuff
from booth.optics import DEPTH_SIDE, MASK_SIDE, SIDE, boxes, camera, depth_png, jpeg, take
from booth.stage import SITE_STYLES, stage

_ROOT = Path(__file__).parents[2]
_FINGERPRINT = """
import hashlib
import numpy as np
from booth.mesh import Part, Scene
from booth.optics import camera, jpeg, take
from booth.stage import stage
points = np.array([[-8, 6, 3], [8, 6, 3], [8, -6, 3], [-8, -6, 3]], np.float32)
part = Part(points, np.array([[0, 2, 1], [0, 3, 2]], np.int32), points[:, :2] / 16 + 0.5,
            np.full((9, 9, 3), 140, np.uint8))
digest = hashlib.sha256()
for number in (0, 1):
    set_up = stage("tray", 5, number)
    shown = take(Scene((part,)), camera(number, set_up, 5), set_up, np.random.default_rng(5), depth=True)
    digest.update(jpeg(shown.rgb, shown.quality) + shown.depth_mm10.tobytes() + shown.unit.tobytes())
print(digest.hexdigest())
"""

Print = NDArray[np.uint8]


def plain(value: int = 150, side: int = 64) -> Print:
    """Paint uint8[side, side, 3] of one grey."""
    return np.full((side, side, 3), value, np.uint8)


def sheet(
    *, size: tuple[float, float] = (16.0, 12.0), up: float = 3.0, at: tuple[float, float] = (0.0, 0.0), **of: object
) -> Part:
    """Lay a flat sheet `up` centimetres above the table, its print's top away from the station."""
    x, y = size[0] / 2, size[1] / 2
    points = np.array([[-x, y, up], [x, y, up], [x, -y, up], [-x, -y, up]], np.float32)
    points[:, :2] += at
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    part = Part(points, np.array([[0, 2, 1], [0, 3, 2]], np.int32), uv, plain())
    return dataclasses.replace(part, **of)  # type: ignore[arg-type]


def box(size: tuple[float, float, float] = (15.0, 11.0, 5.0), **of: object) -> Part:
    """Stand a box on the table; each side has its own vertices, so its edges are sharp."""
    x, y, z = size[0] / 2, size[1] / 2, size[2]
    corners = {
        "top": [(-x, y, z), (x, y, z), (x, -y, z), (-x, -y, z)],
        "front": [(-x, -y, z), (x, -y, z), (x, -y, 0), (-x, -y, 0)],
        "right": [(x, -y, z), (x, y, z), (x, y, 0), (x, -y, 0)],
        "back": [(x, y, z), (-x, y, z), (-x, y, 0), (x, y, 0)],
        "left": [(-x, y, z), (-x, -y, z), (-x, -y, 0), (-x, y, 0)],
    }
    points = np.array([corner for side in corners.values() for corner in side], np.float32)
    faces = np.array([(4 * n + a, 4 * n + b, 4 * n + c) for n in range(5) for a, b, c in ((0, 2, 1), (0, 3, 2))])
    uv = np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (5, 1))
    return dataclasses.replace(Part(points, faces.astype(np.int32), uv, plain()), **of)  # type: ignore[arg-type]


def shoot(scene: Scene, *, key: int = 3, number: int = 0, style: str = "standard", depth: bool = False) -> Shown:
    """Take one picture."""
    set_up = stage(style, key)
    return take(scene, camera(number, set_up, key), set_up, np.random.default_rng(key), depth=depth)


def luminance(shown: Shown) -> NDArray[np.float64]:
    """Return float64[480, 480]."""
    return np.asarray(shown.rgb.mean(axis=2), np.float64)


def outline(part: Part, *, key: int = 3, number: int = 0, side: int = MASK_SIDE) -> NDArray[np.bool_]:
    """Return bool[side, side]: the convex hull of the part's vertices as the camera projects them."""
    seen = camera(number, stage("standard", key), key).project(part.points.astype(np.float64))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(seen).astype(np.int32)), 255)
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) > 127, np.bool_)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return intersection over union."""
    return float((one & other).sum() / (one | other).sum())


class TestPicture:
    """Shapes, sizes and bytes."""

    @pytest.mark.parametrize("number", [0, 1])
    def test_shapes(self, number: int) -> None:
        """Colour, depth and masks have the sizes that the rest of the booth counts on."""
        shown = shoot(Scene((box(),)), number=number, depth=True)
        assert (SIDE, SIDE, 3) == shown.rgb.shape
        assert shown.depth_mm10 is not None
        assert (DEPTH_SIDE, DEPTH_SIDE) == shown.depth_mm10.shape
        assert (MASK_SIDE, MASK_SIDE) == shown.harm.shape == shown.unit.shape

    def test_a_camera_without_depth_has_none(self) -> None:
        """Depth is there on request only, and asking for it changes no colour."""
        without, with_depth = shoot(Scene((box(),))), shoot(Scene((box(),)), depth=True)
        assert without.depth_mm10 is None
        assert np.array_equal(without.rgb, with_depth.rgb)

    def test_the_same_bytes_in_every_process(self) -> None:
        """Two fresh processes give bit-identical pictures, depths and masks."""
        runs = [
            subprocess.run(
                [sys.executable, "-c", _FINGERPRINT], cwd=_ROOT, capture_output=True, text=True, check=True
            ).stdout
            for _ in range(2)
        ]
        assert runs[0] == runs[1] != ""

    def test_pictures_before_do_not_matter(self) -> None:
        """What was photographed earlier in the process leaves no trace."""
        first = shoot(Scene((box(),)), depth=True)
        shoot(Scene((sheet(up=9.0), sheet(up=4.0))), key=9, style="tray", depth=True)
        again = shoot(Scene((box(),)), depth=True)
        assert np.array_equal(first.rgb, again.rgb)
        assert np.array_equal(first.harm, again.harm)

    def test_another_print_changes_nothing_beside(self) -> None:
        """Noise, light and table do not depend on what the unit looks like: far from it twins are equal."""
        dark, light = (shoot(Scene((box((8, 8, 2), print=plain(value)),))) for value in (60, 200))
        differs = np.abs(dark.rgb.astype(int) - light.rgb).max(axis=2) > 0
        assert not differs[:60].any()
        assert not differs[:, :60].any()
        assert differs.any()


class TestGeometry:
    """What is seen, where, and how far away."""

    @pytest.mark.parametrize("number", [0, 1])
    def test_the_unit_mask_is_its_projection(self, number: int) -> None:
        """A convex box fills the hull of its projected corners."""
        part = box()
        assert overlap(shoot(Scene((part,)), number=number).unit > 127, outline(part, number=number)) > 0.96

    def test_depth_is_true(self) -> None:
        """Distances of table and sheet follow from the camera's place, to a millimetre nearly everywhere."""
        up = 4.0
        shown = shoot(Scene((sheet(up=up),)), depth=True)
        assert shown.depth_mm10 is not None
        eye = camera(0, stage("standard", 3), 3)
        middle = (np.arange(DEPTH_SIDE) * 2 + 0.75 - SIDE / 2) / eye.focal_px
        across, down = np.meshgrid(middle, middle)
        fall = across * eye.axes[0, 2] + down * eye.axes[1, 2] + eye.axes[2, 2]
        on_sheet = cv2.erode(outline(sheet(up=up), side=DEPTH_SIDE).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        beside = cv2.dilate(outline(sheet(up=up), side=DEPTH_SIDE).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        for where, level in ((on_sheet, up), (beside, -0.03)):
            wanted = (level - eye.eye[2]) / fall
            valid = where & (shown.depth_mm10 > 0)
            error_cm = shown.depth_mm10[valid] / 100 - wanted[valid]
            assert valid.sum() > 0.95 * where.sum()
            assert abs(error_cm.mean()) < 0.04
            assert np.quantile(np.abs(error_cm), 0.95) < 0.12
            assert error_cm.std() > 0.015  # a real depth camera is never quiet, on the table neither

    def test_depth_has_holes_at_edges_only(self) -> None:
        """Some distances are missing along the outline of a tall thing, hardly any elsewhere."""
        part = sheet(up=8.0)
        shown = shoot(Scene((part,)), depth=True)
        assert shown.depth_mm10 is not None
        inside = outline(part, side=DEPTH_SIDE).astype(np.uint8)
        square = np.ones((5, 5), np.uint8)
        edge = (cv2.dilate(inside, square) - cv2.erode(inside, square)) > 0
        lost = shown.depth_mm10 == 0
        assert lost[edge].mean() > 0.05
        assert lost[~edge].mean() < 0.005

    def test_nearer_parts_hide_others(self) -> None:
        """Order in the scene does not matter, distance does."""
        low, high = sheet(up=1.0, print=plain(30)), sheet(up=5.0, print=plain(220))
        one, other = shoot(Scene((low, high))), shoot(Scene((high, low)))
        assert np.array_equal(one.rgb, other.rgb)
        assert luminance(one)[220:260, 220:260].mean() > 150

    def test_sheets_are_seen_from_outside_only(self) -> None:
        """A turned sheet is not there, unless it has two sides; then its inner print shows."""
        turned = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
        assert 0 == shoot(Scene((sheet(faces=turned), sheet(up=0.1, size=(1, 1))))).unit[30:50, 30:90].max()
        inner = shoot(Scene((sheet(two_sided=True, inner=plain(20), print=plain(230), faces=turned),)))
        outer = shoot(Scene((sheet(two_sided=True, inner=plain(20), print=plain(230)),)))
        assert luminance(inner)[220:260, 220:260].mean() < 80
        assert luminance(outer)[220:260, 220:260].mean() > 160

    def test_holes_are_holes(self) -> None:
        """Where the print is not opaque what lies behind is seen, in colour, depth and masks."""
        cut = np.dstack([plain(230), np.full((64, 64), 255, np.uint8)])
        cut[20:44, 20:44, 3] = 0
        below = sheet(up=1.0, print=plain(20), harm=np.ones(4, np.float32))
        shown = shoot(Scene((sheet(up=3.0, print=cut), below)), depth=True)
        whole = shoot(Scene((sheet(up=3.0, print=plain(230)), below)), depth=True)
        assert shown.depth_mm10 is not None
        assert whole.depth_mm10 is not None
        assert luminance(shown)[230:250, 230:250].mean() < 90 < luminance(whole)[230:250, 230:250].mean()
        seen = shown.depth_mm10[114:126, 114:126].astype(int) - whole.depth_mm10[114:126, 114:126]
        assert 100 < np.median(seen) < 300  # two centimetres below, looked at aslant
        assert shown.harm[52:60, 55:65].min() > 250

    def test_outlines_are_smooth(self) -> None:
        """A slanted edge has pixels of every share in between, not a stair."""
        part = sheet(print=plain(235))
        part.points[:, :2] = part.points[:, :2] @ np.array([[0.96, 0.28], [-0.28, 0.96]], np.float32)
        shares = shoot(Scene((part,))).unit
        assert ((shares > 20) & (shares < 235)).sum() > 60


class TestDamage:
    """Masks tell damage as the camera sees it."""

    def test_vertices_and_print_say_the_same(self) -> None:
        """A sheet all damaged by its vertices or by its print has the mask of the unit."""
        by_vertex = shoot(Scene((sheet(harm=np.ones(4, np.float32)),)))
        by_print = shoot(Scene((sheet(harm_print=np.full((8, 8), 255, np.uint8)),)))
        assert np.array_equal(by_vertex.harm, by_vertex.unit)
        assert np.abs(by_print.harm.astype(int) - by_vertex.harm).max() <= 1

    def test_a_spot_is_where_its_print_says(self) -> None:
        """The damaged quarter of a print is the damaged quarter of the picture of it."""
        spot = np.zeros((64, 64), np.uint8)
        spot[:32, 32:] = 255
        corner = sheet(size=(8.0, 6.0), at=(4.0, 3.0))
        assert overlap(shoot(Scene((sheet(harm_print=spot),))).harm > 127, outline(corner)) > 0.93

    def test_hidden_damage_is_not_seen(self) -> None:
        """Damage under another part, or on a side turned away, is in no mask."""
        bad = np.ones(4, np.float32)
        under = Scene((sheet(up=1.0, size=(6, 5), harm=bad), sheet(up=4.0)))
        assert 0 == shoot(under).harm.max()
        behind = np.zeros(20, np.float32)
        behind[12:16] = 1  # the back of the box
        assert 0 == shoot(Scene((box(harm=behind),))).harm.max()

    def test_furniture_is_no_unit(self) -> None:
        """The tray is in the picture and its depth, but neither unit nor damage."""
        style = {"style": "tray", "depth": True}
        tray = shoot(Scene((sheet(size=(2, 2), up=0.2),)), **style)  # type: ignore[arg-type]
        assert tray.depth_mm10 is not None
        assert (tray.unit > 0).mean() < 0.02
        assert len(stage("tray", 3).furniture) == 1
        assert not stage("standard", 3).furniture


class TestLight:
    """Shadows, relief and films."""

    def test_the_shadow_falls_away_from_the_lamp(self) -> None:
        """The table is darker on the far side of a box than on the lamp's side."""
        for key in range(4):
            set_up = stage("standard", key)
            lamp = set_up.light.lamp / np.linalg.norm(set_up.light.lamp[:2])
            eye = camera(0, set_up, key)
            shown = luminance(take(Scene((box((6, 6, 5)),)), eye, set_up, np.random.default_rng(0), depth=False))
            tone = []
            for away in (-1, 1):
                place = np.array([[*(away * -5.2 * lamp[:2]), 0.0]])
                x, y = eye.project(place)[0].astype(int)
                tone.append(shown[y - 4 : y + 5, x - 4 : x + 5].mean())
            assert tone[1] < 0.85 * tone[0]

    def test_a_flat_sheet_does_not_shadow_itself(self) -> None:
        """Evenly lit print stays even but for noise and the lamp's own fall-off."""
        inside = luminance(shoot(Scene((sheet(),)), key=6))[200:280, 180:300]
        coarse = cv2.resize(inside, (6, 4), interpolation=cv2.INTER_AREA)
        assert np.ptp(coarse) < 0.12 * coarse.mean()

    def test_relief_bends_light_only(self) -> None:
        """Wrinkles change the colours, and neither outline nor distance."""
        ramp = np.sin(np.arange(256, dtype=np.float32) / 4)[None] * np.full((256, 1), 0.15, np.float32)
        smooth, rough = (shoot(Scene((sheet(bump=bump),)), depth=True) for bump in (None, ramp.astype(np.float32)))
        assert np.array_equal(smooth.unit, rough.unit)
        assert np.array_equal(smooth.depth_mm10, rough.depth_mm10)  # type: ignore[arg-type]
        assert luminance(rough)[200:280, 180:300].std() > 2 * luminance(smooth)[200:280, 180:300].std()

    def test_smooth_normals_hide_the_facets(self) -> None:
        """A ridge of two slopes that share vertices has no hard line in its middle."""
        points = np.array([[-8, 5, 0], [8, 5, 0], [8, 0, 3], [-8, 0, 3], [8, -5, 0], [-8, -5, 0]], np.float32)
        faces = np.array([[0, 3, 1], [1, 3, 2], [3, 5, 2], [2, 5, 4]], np.int32)
        uv = np.full((6, 2), 0.5, np.float32)
        jump = []
        for smooth in (True, False):
            ridge = Part(points, faces, uv, plain(), Stuff(gloss=0.0), smooth=smooth)
            rows = luminance(shoot(Scene((ridge,))))[:, 200:280].mean(axis=1)
            peak = int(camera(0, stage("standard", 3), 3).project(np.array([[0.0, 0.0, 3.0]]))[0, 1])
            jump.append(abs(rows[peak - 5] - rows[peak + 5]))
        assert jump[0] < 0.5 * jump[1]

    def test_clear_film_keeps_depth_and_adds_shine(self) -> None:
        """Film over a unit leaves its distances, changes its colours and belongs to the unit; a thick one is solid."""
        unit = sheet(up=2.0, size=(8, 6))
        over = sheet(up=4.0, print=plain(250), stuff=Stuff(gloss=0.9, sharp=60))
        bare = shoot(Scene((unit,)), depth=True)
        clear = shoot(Scene((unit,), (Film(over, opacity=0.2),)), depth=True)
        thick = shoot(Scene((unit,), (Film(over, opacity=0.9, thick=True),)), depth=True)
        assert bare.depth_mm10 is not None
        assert clear.depth_mm10 is not None
        assert thick.depth_mm10 is not None
        middle = slice(110, 130)
        valid = (bare.depth_mm10 > 0) & (clear.depth_mm10 > 0)
        assert np.array_equal(bare.depth_mm10[valid], clear.depth_mm10[valid])
        assert luminance(clear)[230:250, 230:250].mean() > luminance(bare)[230:250, 230:250].mean() + 4
        assert overlap(clear.unit > 127, outline(over)) > 0.95
        assert np.array_equal(thick.unit, bare.unit)
        assert np.median(bare.depth_mm10[middle, middle].astype(int) - thick.depth_mm10[middle, middle]) > 100

    def test_a_films_opacity_print_cuts_it(self) -> None:
        """Where the opacity is nought there is no film, no shine and no damage of it."""
        half = np.zeros((32, 32), np.uint8)
        half[:, 16:] = 255
        spill = sheet(up=0.05, print=plain(20), harm=np.ones(4, np.float32))
        film = Film(spill, opacity=0.9, opacity_print=half, thick=True)
        shown = shoot(Scene((sheet(size=(1, 1), up=0.01),), (film,)))
        assert shown.harm[:, 68:].max() > 250
        assert 0 == shown.harm[:, :52].max()


class TestStage:
    """Site styles and their draws."""

    def test_a_key_is_a_stage(self) -> None:
        """The same key gives the same station, another key another one."""
        assert stage("dim", 4, 2).temper == stage("dim", 4, 2).temper != stage("dim", 4, 3).temper

    def test_unknown_styles_are_refused(self) -> None:
        """A typo is named, with what would have been right."""
        with pytest.raises(ValueError, match="standard, dim, tray, sharp"):
            stage("bright", 1)

    def test_styles_look_different(self) -> None:
        """Dim sites are darker and redder than the standard, sharp cameras hang steeper."""
        white = {style: [] for style in SITE_STYLES}  # type: dict[str, list[NDArray[np.float64]]]
        for style in SITE_STYLES:
            for key in range(5):
                seen = shoot(Scene((sheet(print=plain(235)),)), style=style, key=key).rgb[210:270, 200:280]
                white[style].append(seen.mean(axis=(0, 1)))
        tone = {style: np.mean(found, axis=0) for style, found in white.items()}
        assert tone["dim"].mean() < tone["standard"].mean() - 12
        assert tone["dim"][2] / tone["dim"][0] > 1.05 * tone["standard"][2] / tone["standard"][0]
        steep = [camera(0, stage(style, 1), 1).axes[2, 2] for style in ("standard", "sharp")]
        assert steep[1] < steep[0] - 0.03

    def test_white_is_neither_grey_nor_burnt(self) -> None:
        """White paper on a standard station is bright and keeps its detail."""
        tones = [luminance(shoot(Scene((sheet(print=plain(238)),)), key=key))[210:270, 200:280] for key in range(12)]
        assert 195 < np.mean(tones) < 245
        assert np.mean([(tone > 253).mean() for tone in tones]) < 0.05

    def test_compression_knows_nothing_of_the_unit(self) -> None:
        """The JPEG's quality comes from the station, 78 to 94, whatever the scene."""
        qualities = set()
        for key in range(30):
            set_up = stage("standard", key)
            shown = shoot(Scene((sheet(harm=np.ones(4, np.float32)),)), key=key) if key < 3 else None
            assert shown is None or shown.quality == set_up.temper.quality
            qualities.add(set_up.temper.quality)
        assert min(qualities) >= 78
        assert max(qualities) <= 94
        assert len(qualities) > 8


class TestCodes:
    """Print stays sharp enough to be read."""

    def test_an_ean_is_read(self) -> None:
        """An EAN-13 of 1.6 pixels a module at 16 pixels a centimetre is read from most pictures."""
        modules = np.asarray(zxingcpp.create_barcode("4006381333931", zxingcpp.EAN13).to_image(scale=1))[:1]
        fine = np.repeat(np.repeat(modules, 8, axis=1), 45, axis=0)
        bars = cv2.resize(fine, (round(modules.shape[1] * 1.6), 45), interpolation=cv2.INTER_AREA)
        label = np.full((192, 256, 3), 235, np.uint8)
        label[80:125, 40 : 40 + bars.shape[1]] = np.clip(bars, 24, 240)[..., None]
        read = 0
        for key in range(20):
            shown = shoot(Scene((sheet(print=label),)), key=key)
            picture = cv2.imdecode(np.frombuffer(jpeg(shown.rgb, shown.quality), np.uint8), cv2.IMREAD_COLOR)
            read += ["4006381333931"] == [found.text for found in zxingcpp.read_barcodes(np.asarray(picture))]
        assert read >= 16


class TestFiles:
    """What leaves the camera."""

    def test_depth_survives_its_file(self) -> None:
        """PNG keeps every tenth of a millimetre."""
        depth = np.arange(240 * 240, dtype=np.uint16).reshape(240, 240)
        kept = cv2.imdecode(np.frombuffer(depth_png(depth), np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(depth, np.asarray(kept))

    def test_boxes_join_and_drop(self) -> None:
        """Far areas have a box each, near ones share, specks have none; the largest comes first."""
        harm = np.zeros((120, 120), np.uint8)
        harm[10:14, 20:30] = 255
        harm[60:80, 60:80] = 255
        harm[60:80, 82:90] = 255
        harm[100, 100] = 255
        assert ((0.5, 0.5, 0.25, 20 / 120), (20 / 120, 10 / 120, 10 / 120, 4 / 120)) == boxes(harm)
        assert () == boxes(np.zeros((120, 120), np.uint8))

    @pytest.mark.parametrize("writable", [True, False])
    def test_compiled_kernels_find_a_place(self, tmp_path: Path, writable: bool) -> None:
        """They go to the user's cache, or to the temporary folder where that cannot be written."""
        home = tmp_path / "home"
        if writable:
            home.mkdir()
        else:
            home.write_text("no folder can be made in here")
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
        environment |= {"XDG_CACHE_HOME": str(home), "TMPDIR": str(temporary)}
        told = subprocess.run(
            [sys.executable, "-c", "import booth.raster, numba; print(numba.config.CACHE_DIR)"],
            cwd=_ROOT, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert told.startswith(str(home if writable else temporary))
