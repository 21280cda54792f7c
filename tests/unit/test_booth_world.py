"""The booth's world: same seed, same bytes; splits apart; nothing but damage gives damage away."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from booth.catalogue import SETS, Decoy, Form, Material, Split, gtin13, redesigned, spec
from booth.optics import SIDE
from booth.world import Exposure, Shot, World
from evidence.code_reader import read_codes
from schemas.codec import encode
from schemas.words import ID_PATTERN, KINDS, DamageKind, Severity

_FINGERPRINT = "from tests.unit.test_booth_world import fingerprint; print(fingerprint())"


def fingerprint() -> str:
    """Digest a few shots: truths, scans and every byte of their pictures."""
    world = World(3, products=6, damage_rate=0.5)
    digest = hashlib.sha256()
    for index in range(3):
        shot = world.shot(index)
        digest.update(repr((index, shot.truth, shot.scan, shot.unit_id, shot.line)).encode())
        for picture in shot.pictures:
            digest.update(picture.jpeg)
            digest.update(picture.depth_png or b"")
    return digest.hexdigest()


def pixels(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Decode to uint8[h, w, 3]."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


class TestDeterminism:
    """The truth and the bytes are functions of the seed and the index alone."""

    def test_another_process_makes_the_same_bytes(self) -> None:
        """A fresh process gives bit-identical shots to this one, which took others before."""
        root = Path(__file__).parents[2]
        run = subprocess.run([sys.executable, "-c", _FINGERPRINT], cwd=root, capture_output=True, text=True, check=True)
        assert fingerprint() == run.stdout.strip()

    def test_order_of_asking_does_not_matter(self) -> None:
        """Shots asked for backwards, in a world that made references first, are the same shots."""
        forwards, backwards = World(3, products=4, damage_rate=0.5), World(3, products=4, damage_rate=0.5)
        backwards.reference(0, 0)
        first = [forwards.shot(index) for index in range(3)]
        last = [backwards.shot(index) for index in reversed(range(3))]
        assert first == last[::-1]

    def test_another_seed_is_another_world(self) -> None:
        """Seeds share neither products nor pictures."""
        here, there = World(3, products=6), World(4, products=6)
        assert set() == {p.product_id for p in here.products()} & {p.product_id for p in there.products()}
        assert here.shot(0).pictures != there.shot(0).pictures

    def test_the_plan_is_what_comes(self) -> None:
        """A plan, which costs no picture, names the product and the damage that the capture then has."""
        world = World(3, products=30, damage_rate=0.5)
        for index in range(4):
            plan = world.plan(index)
            number, truth, exposures = world.expose(index)
            assert (plan.number, plan.kinds, plan.severity) == (number, truth.kinds, truth.severity)
            assert 1 + plan.two_views == len(exposures)


class TestCatalogue:
    """Products are plausible, distinct and valid on the wire."""

    @pytest.mark.parametrize("seed", [0, 1, 7, 2**31])
    def test_splits_share_no_product(self, seed: int) -> None:
        """Train, test and run products never meet, whatever the seeds."""
        splits: tuple[Split, ...] = ("run", "train", "test")
        ids = [{p.product_id for p in World(seed, products=60, split=split).products()} for split in splits]
        assert [60, 60, 60] == [len(group) for group in ids]
        assert 180 == len(set.union(*ids))

    def test_gtins_carry_their_check_digit(self) -> None:
        """GS1's own example digits come out, and every product id checks."""
        assert "4006381333931" == gtin13("400638133393")
        assert all(gtin13(p.product_id[:12]) == p.product_id for p in World(7).products())

    def test_products_encode_and_name_their_codes(self) -> None:
        """A product message holds the GTIN among its codes and survives encoding."""
        for product in World(7).products():
            assert product.product_id in product.codes
            assert encode(product)

    def test_all_materials_and_forms_occur(self) -> None:
        """Two hundred products hold all ten materials and all forms."""
        made = [spec(7, "run", number) for number in range(200)]
        assert set(Material) == {product.material for product in made}
        assert set(Form) == {product.form for product in made}

    def test_some_products_are_siblings(self) -> None:
        """The shelf holds pairs that differ in colour and flavour only."""
        pairs = [(spec(7, "run", index - 1), spec(7, "run", index)) for index in range(1, 80, 2)]
        alike = [(a, b) for a, b in pairs if (a.brand, a.goods, a.size_cm) == (b.brand, b.goods, b.size_cm)]
        assert 5 <= len(alike) <= 30
        assert all(a.flavour != b.flavour for a, b in alike)

    def test_a_redesign_keeps_the_product(self) -> None:
        """The next design has the same id, size and codes, and another layout."""
        first = spec(7, "run", 3)
        later = redesigned(first)
        assert (first.product_id, first.size_cm, first.codes) == (later.product_id, later.size_cm, later.codes)
        assert first.layout != later.layout
        assert 1 == later.version

    def test_redesigns_come_at_the_share_asked_for(self) -> None:
        """None by default, and a third where a third was asked for."""
        assert not any(World(7).plan(index).product.version for index in range(200))
        share = np.mean([World(7, redesigned=0.33).plan(index).product.version for index in range(600)])
        assert 0.27 < share < 0.39


class TestShots:
    """Truth fits the pictures."""

    @pytest.fixture(scope="class")
    def shots(self) -> list[Shot]:
        """Take two dozen shots, half of them damaged."""
        world = World(11, damage_rate=0.5, products=20)
        return [world.shot(index) for index in range(24)]

    def test_pictures_are_480_square_jpegs(self, shots: list[Shot]) -> None:
        """One or two RGB views each; both numbers of views occur."""
        assert {1, 2} == {len(shot.pictures) for shot in shots}
        assert all((SIDE, SIDE, 3) == pixels(picture.jpeg).shape for shot in shots for picture in shot.pictures)

    def test_depth_comes_with_some_captures(self, shots: list[Shot]) -> None:
        """Half the captures have distances in all their views; they are where a unit half a metre away would be."""
        deep = [shot for shot in shots if shot.pictures[0].depth_png is not None]
        assert 6 <= len(deep) <= 18
        assert all((p.depth_png is None) == (s.pictures[0].depth_png is None) for s in shots for p in s.pictures)
        stored = deep[0].pictures[0].depth_png
        assert stored is not None
        distances = np.asarray(cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED), np.uint16)
        assert 5_000 < np.median(distances[distances > 0]) < 10_000

    def test_truth_is_whole(self, shots: list[Shot]) -> None:
        """Damaged means kinds and a severity; boxes lie inside the picture and never on an intact unit."""
        for shot in shots:
            truth = shot.truth
            assert truth.damaged == bool(truth.kinds) == (truth.severity in {Severity.MINOR, Severity.MAJOR})
            assert truth.damaged or not truth.boxes
            assert (truth.damage_share > 0) == bool(truth.boxes)
            assert all(0 <= x <= x + w <= 1 + 1e-6 and 0 <= y <= y + h <= 1 + 1e-6 for x, y, w, h in truth.boxes)

    def test_facts_name_what_figures_are_sliced_by(self, shots: list[Shot]) -> None:
        """Every capture says its material, form, decoy, wear, site, light, design and whether it is a set."""
        wanted = {"material", "form", "decoy", "wear", "site_style", "light", "redesigned", "set", "odd"}
        assert all(wanted == set(shot.truth.facts) for shot in shots)

    def test_all_seven_kinds_occur(self) -> None:
        """No kind is forgotten, and a third of all damage is minor."""
        world = World(11, damage_rate=1.0, products=60)
        plans = [world.plan(index) for index in range(400)]
        assert set(KINDS) == {kind for plan in plans for kind in plan.kinds}
        assert 0.27 < np.mean([plan.severity is Severity.MINOR for plan in plans]) < 0.41

    def test_only_sets_miss_a_piece(self) -> None:
        """Missing units happen to products that have units, and a set counts the pieces it has by design."""
        world = World(11, damage_rate=1.0, products=60)
        plans = [world.plan(index) for index in range(400)]
        assert {True} == {plan.product.form in SETS for plan in plans if DamageKind.MISSING_UNIT in plan.kinds}
        made = [spec(11, "run", number) for number in range(200)]
        gaps = [p for p in made if p.form in SETS and p.odd >= 0 and p.empty_by_design]
        assert gaps
        assert all(p.rows * p.columns - 1 == p.set_size for p in gaps)

    def test_ids_are_usable_and_unique(self, shots: list[Shot]) -> None:
        """Unit ids fit the schema's pattern and no two shots share one."""
        assert all(re.match(ID_PATTERN, shot.unit_id) for shot in shots)
        assert len(shots) == len({shot.unit_id for shot in shots})

    def test_decoys_are_on_damaged_units_too(self) -> None:
        """Print that looks like damage is as frequent on damaged units as on intact ones."""
        world = World(11, damage_rate=0.5, products=200)
        plans = [world.plan(index) for index in range(1500)]
        shares = [
            np.mean([plan.product.decoy is not Decoy.NONE for plan in plans if plan.damaged is damaged])
            for damaged in (True, False)
        ]
        assert all(0.22 < share < 0.38 for share in shares)

    def test_codes_on_top_can_be_read(self) -> None:
        """The line confirms the code of most intact units that face the camera with it, and never reads a wrong one."""
        world = World(7, damage_rate=0.0, depth=0.0)
        read = wanted = 0
        for index in range(30):
            plan = world.plan(index)
            code = plan.product.codes[0]
            if code.on_top:
                wanted += 1
                _, _, exposures = world.expose(index, views=1)
                found = read_codes(pixels(exposures[0].picture.jpeg)[..., ::-1].copy(), view=0)
                assert {each.text for each in found} <= {code.text, plan.product.product_id}
                read += any(each.confirmed for each in found)
        assert wanted > 12
        assert read >= 0.8 * wanted

    def test_sites_look_different(self) -> None:
        """Mixed worlds show all styles, a named one only its own, and a name nobody knows is refused."""
        mixed = World(7, site_style="mixed", depth=0.0)
        assert 2 <= len({mixed.expose(index, views=1)[1].facts["site_style"] for index in range(6)})
        assert "dim" == World(7, site_style="dim", depth=0.0).expose(0, views=1)[1].facts["site_style"]
        with pytest.raises(ValueError, match="standard"):
            World(7, site_style="cave")  # type: ignore[arg-type]


class TestTwins:
    """The same capture with and without its damage."""

    @pytest.fixture(scope="class")
    def pairs(self) -> list[tuple[Exposure, Exposure]]:
        """Expose sixteen captures twice: damaged, intact."""
        harmed, whole = World(5, damage_rate=1.0, products=16), World(5, damage_rate=0.0, products=16)
        return [(harmed.expose(index)[2][0], whole.expose(index)[2][0]) for index in range(16)]

    def test_damage_changes_the_picture_where_it_says(self, pairs: list[tuple[Exposure, Exposure]]) -> None:
        """Twins differ inside the mask far more than outside of it."""
        inside, outside = [], []
        for harmed, whole in pairs:
            change = np.abs(pixels(harmed.picture.jpeg).astype(np.float32) - pixels(whole.picture.jpeg)).mean(axis=2)
            mask = cv2.resize(harmed.mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 127
            near = cv2.dilate(mask.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
            if mask.any():
                inside.append(change[mask].mean())
                outside.append(change[~near].mean())
        assert len(inside) >= 9
        assert np.mean(inside) > 5 * np.mean(outside)

    def test_masks_agree_with_boxes(self, pairs: list[tuple[Exposure, Exposure]]) -> None:
        """Intact twins have neither; damaged ones have both or neither, and nearly all of the mask is in the boxes."""
        for harmed, whole in pairs:
            assert not whole.boxes
            assert not whole.mask.any()
            assert bool(harmed.boxes) == bool(harmed.mask.any())
            boxed = np.zeros((120, 120), bool)
            for x, y, w, h in harmed.boxes:
                boxed[int(y * 120) : int(np.ceil((y + h) * 120)), int(x * 120) : int(np.ceil((x + w) * 120))] = True
            strong = harmed.mask >= 128
            assert strong[~boxed].sum() <= 0.15 * max(1, strong.sum())

    def test_tables_and_light_are_the_same(self, pairs: list[tuple[Exposure, Exposure]]) -> None:
        """The rim of the picture, where no unit is, hardly differs between twins: same table, light, noise."""
        rims = [
            np.abs(pixels(harmed.picture.jpeg)[:12].astype(np.float32) - pixels(whole.picture.jpeg)[:12]).mean()
            for harmed, whole in pairs
        ]
        assert np.median(rims) < 1.0


class TestLabels:
    """What labels say, where they may be wrong."""

    def test_clean_labels_are_the_truth(self) -> None:
        """Without noise the report repeats the truth."""
        world = World(5, damage_rate=0.5, products=8, depth=0.0)
        for index in range(4):
            truth = world.expose(index, views=1)[1]
            assert truth.reported is not None
            assert (truth.damaged, truth.kinds, truth.severity) == (
                truth.reported.damaged,
                truth.reported.kinds,
                truth.reported.severity,
            )

    def test_noise_leaves_the_truth_alone(self) -> None:
        """With all labels noisy, every report is wrong somewhere and the truth is that of the clean world."""
        noisy, clean = (World(5, damage_rate=0.5, products=8, depth=0.0, label_noise=n) for n in (1.0, 0.0))
        for index in range(4):
            said, true = noisy.expose(index, views=1)[1], clean.expose(index, views=1)[1]
            assert (said.damaged, said.kinds, said.severity) == (true.damaged, true.kinds, true.severity)
            assert said.reported != true.reported


class TestScans:
    """The scanner is mostly right, at times silent, seldom wrong."""

    def test_rates(self) -> None:
        """Missing and wrong scans come at the rates asked for; a wrong one names another product, and is known."""
        world = World(2, products=20, scan_missing=0.2, scan_wrong=0.1)
        known = {code for product in world.products() for code in product.codes}
        plans = [world._scan(3, np.random.default_rng(index)) for index in range(2000)]
        assert 0.17 < np.mean([scan is None for scan, _ in plans]) < 0.23
        heard = [(scan, wrong) for scan, wrong in plans if scan is not None]
        assert 0.08 < np.mean([wrong for _, wrong in heard]) < 0.12
        own = world.spec(3).codes[0].text.replace("(", "").replace(")", "")
        assert all((scan.code != own) == wrong for scan, wrong in heard)
        assert all(scan.code in known or scan.code[3:] in known for scan, _ in heard)


class TestNoLeaks:
    """Statistics that know nothing of damage must not tell it."""

    def test_size_and_colour_tell_little(self) -> None:
        """File size, the colours of the rim and the mean colour separate damaged from intact no better than a guess."""
        world = World(13, damage_rate=0.5, products=60, depth=0.0)
        rows, labels = [], []
        for index in range(300):
            _, truth, exposures = world.expose(index, views=1)
            picture = pixels(exposures[0].picture.jpeg)
            rim = np.concatenate([picture[:24].reshape(-1, 3), picture[-24:].reshape(-1, 3)])
            rows.append([len(exposures[0].picture.jpeg), *rim.mean(axis=0), rim.std(), picture.mean()])
            labels.append(truth.damaged)
        features = np.array(rows)
        features = (features - features.mean(axis=0)) / features.std(axis=0)
        signs = np.array(labels) * 2.0 - 1
        weights = np.linalg.lstsq(features[:150], signs[:150], rcond=None)[0]
        score, positive = features[150:] @ weights, np.array(labels[150:])
        auroc = np.mean(score[positive][:, None] > score[~positive][None])
        assert auroc < 0.65
