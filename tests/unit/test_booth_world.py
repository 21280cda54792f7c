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
import zxingcpp

from booth.catalogue import Packaging, Split, gtin13, spec
from booth.light import SIDE
from booth.world import Shot, World
from schemas.codec import encode
from schemas.words import ID_PATTERN, KINDS, DamageKind, Severity

_FINGERPRINT = """
import hashlib
import re
from booth.world import World
world = World(3, products=6, damage_rate=0.5)
digest = hashlib.sha256()
for index in ORDER:
    shot = world.shot(index)
    digest.update(repr((index, shot.truth, shot.scan, shot.unit_id, shot.line)).encode())
    for picture in shot.pictures:
        digest.update(picture.jpeg)
print(digest.hexdigest())
"""


def pixels(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Decode to uint8[h, w, 3]."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


class TestDeterminism:
    """The truth and the bytes are functions of the seed and the index alone."""

    def test_another_process_makes_the_same_bytes(self) -> None:
        """Two fresh processes give bit-identical shots."""
        script = _FINGERPRINT.replace("ORDER", "range(8)")
        root = Path(__file__).parents[2]
        runs = [
            subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True).stdout
            for _ in range(2)
        ]
        assert runs[0] == runs[1] != ""

    def test_order_of_asking_does_not_matter(self) -> None:
        """Shots asked for backwards, in a world that made references first, are the same shots."""
        forwards, backwards = World(3, products=6, damage_rate=0.5), World(3, products=6, damage_rate=0.5)
        list(backwards.references())
        first = [forwards.shot(index) for index in range(6)]
        last = [backwards.shot(index) for index in reversed(range(6))]
        assert first == last[::-1]

    def test_another_seed_is_another_world(self) -> None:
        """Seeds share neither products nor pictures."""
        here, there = World(3, products=6), World(4, products=6)
        assert set() == {p.product_id for p in here.products()} & {p.product_id for p in there.products()}
        assert here.shot(0).pictures != there.shot(0).pictures


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

    def test_some_products_are_siblings(self) -> None:
        """The shelf holds pairs that differ in colour and flavour only."""
        pairs = [(spec(7, "run", index - 1), spec(7, "run", index)) for index in range(1, 80, 2)]
        alike = [(a, b) for a, b in pairs if (a.brand, a.goods, a.size_cm) == (b.brand, b.goods, b.size_cm)]
        assert 5 <= len(alike) <= 30
        assert all(a.flavour != b.flavour for a, b in alike)


class TestShots:
    """Truth fits the pictures."""

    @pytest.fixture(scope="class")
    def shots(self) -> list[Shot]:
        """Take a hundred shots, half of them damaged."""
        world = World(11, damage_rate=0.5, products=30)
        return [world.shot(index) for index in range(100)]

    def test_pictures_are_480_square_jpegs(self, shots: list[Shot]) -> None:
        """One or two RGB views each; both numbers of views occur."""
        assert {1, 2} == {len(shot.pictures) for shot in shots}
        assert all((SIDE, SIDE, 3) == pixels(picture.jpeg).shape for shot in shots for picture in shot.pictures)

    def test_every_damage_is_somewhere_in_view_0(self, shots: list[Shot]) -> None:
        """Damaged means kinds, a severity and a place inside the picture; intact means none of them."""
        for shot in shots:
            truth = shot.truth
            assert truth.damaged == bool(truth.kinds) == (truth.severity in {Severity.MINOR, Severity.MAJOR})
            assert truth.damaged == bool(truth.boxes)
            assert all(0 <= x <= x + w <= 1 + 1e-6 and 0 <= y <= y + h <= 1 + 1e-6 for x, y, w, h in truth.boxes)

    def test_all_seven_kinds_occur(self, shots: list[Shot]) -> None:
        """No kind is forgotten."""
        assert set(KINDS) == {kind for shot in shots for kind in shot.truth.kinds}

    def test_only_multipacks_miss_a_piece(self) -> None:
        """Missing units happen to products that have units."""
        world = World(11, damage_rate=1.0, products=30)
        packaging = {spec(11, "run", n).product_id: spec(11, "run", n).packaging for n in range(30)}
        truths = [world.expose(index, views=1)[1] for index in range(60)]
        short = [packaging[t.product_id] for t in truths if DamageKind.MISSING_UNIT in t.kinds]
        assert {Packaging.MULTIPACK} == set(short)

    def test_ids_are_usable_and_unique(self, shots: list[Shot]) -> None:
        """Unit ids fit the schema's pattern and no two shots share one."""
        assert all(re.match(ID_PATTERN, shot.unit_id) for shot in shots)
        assert len(shots) == len({shot.unit_id for shot in shots})

    def test_damage_changes_the_picture_where_it_says(self) -> None:
        """The same unit with and without damage differs inside the boxes far more than outside."""
        harmed, whole = World(5, damage_rate=1.0, products=10), World(5, damage_rate=0.0, products=10)
        inside, outside = [], []
        for index in range(12):
            truth = harmed.shot(index).truth
            pair = [pixels(world.shot(index).pictures[0].jpeg).astype(np.float32) for world in (harmed, whole)]
            change = np.abs(pair[0] - pair[1]).mean(axis=2)
            mask = np.zeros((SIDE, SIDE), bool)
            for x, y, w, h in truth.boxes:
                mask[int(y * SIDE) : int((y + h) * SIDE) + 1, int(x * SIDE) : int((x + w) * SIDE) + 1] = True
            inside.append(change[mask].mean())
            outside.append(change[~mask].mean())
        assert np.mean(inside) > 4 * np.mean(outside)

    def test_codes_on_top_can_be_read(self) -> None:
        """Most intact units whose code faces the camera are read by zxing with its default settings, and rightly."""
        world = World(7, damage_rate=0.0)
        read = wanted = 0
        for index in range(40):
            number, _, exposures = world.expose(index, views=1)
            code = world.spec(number).codes[0]
            if code.on_top:
                wanted += 1
                texts = [found.text for found in zxingcpp.read_barcodes(pixels(exposures[0].picture.jpeg))]
                assert set(texts) <= {code.text, world.spec(number).product_id}
                read += bool(texts)
        assert wanted > 20
        assert read >= 0.8 * wanted


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
        """File size, mean colour and contrast separate damaged from intact no better than a weak guess."""
        world = World(13, damage_rate=0.5, products=40)
        rows, labels = [], []
        for index in range(300):
            _, truth, exposures = world.expose(index, views=1)
            picture = pixels(exposures[0].picture.jpeg)
            rim = np.concatenate([picture[:24].reshape(-1, 3), picture[-24:].reshape(-1, 3)])
            rows.append([len(exposures[0].picture.jpeg), *rim.mean(axis=0), rim.std()])
            labels.append(truth.damaged)
        features = np.array(rows)
        features = (features - features.mean(axis=0)) / features.std(axis=0)
        truth_signs = np.array(labels) * 2.0 - 1
        weights = np.linalg.lstsq(features[:150], truth_signs[:150], rcond=None)[0]
        score, positive = features[150:] @ weights, np.array(labels[150:])
        auroc = np.mean(score[positive][:, None] > score[~positive][None])
        assert auroc < 0.65

    def test_digest_is_of_the_whole_shot(self) -> None:
        """Two different indices never give the same picture."""
        world = World(13, products=5)
        assert 10 == len({hashlib.sha256(world.shot(index).pictures[0].jpeg).hexdigest() for index in range(10)})
