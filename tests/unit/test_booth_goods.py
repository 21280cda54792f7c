"""The booth's goods: every form is a sound mesh, every damage it can suffer renders and is where the truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from booth.catalogue import Decoy, Form, Spec, spec
from booth.decoys import decoy
from booth.draws import Domain, draws
from booth.harm import WOUNDS, possible
from booth.mesh import Part
from booth.optics import boxes, camera, take
from booth.packs import build
from booth.stage import stage
from booth.unit import Unit
from booth.wear import handle
from schemas.words import DamageKind

_MADE: dict[Form, Spec] = {}
for _index in range(300):
    _product = spec(7, "run", _index)
    _MADE.setdefault(_product.form, _product)
_CASES = [(form, kind) for form in Form for kind in possible(_MADE[form])]


def all_parts(unit: Unit) -> list[Part]:
    """Every part, those of films included."""
    return [*unit.parts.values(), *(film.part for film in unit.films.values())]


def damage_in_view(unit: Unit, key: int) -> float:
    """Photograph a unit; return how much of the picture is damage, 0 where there is too little for a box."""
    set_up = stage("standard", key)
    shown = take(unit.scene(0.0, (0.0, 0.0)), camera(0, set_up, key), set_up, np.random.default_rng(key), depth=False)
    return float(shown.harm.mean() / 255) if boxes(shown.harm) else 0.0


class TestForms:
    """What every form of goods must be."""

    @pytest.mark.parametrize("form", list(Form))
    def test_meshes_are_sound(self, form: Form) -> None:
        """Indices, print coordinates and types are in range; nothing lies below the table; 500 to 9,000 triangles."""
        unit = build(_MADE[form], np.random.default_rng(1))
        parts = all_parts(unit)
        for part in parts:
            assert 0 <= part.faces.min() <= part.faces.max() < len(part.points)
            assert part.uv.min() >= -1e-4
            assert part.uv.max() <= 1 + 1e-4
            assert np.float32 == part.points.dtype == part.uv.dtype
            assert part.points[:, 2].min() >= -0.05
            assert np.isfinite(part.points).all()
        assert 500 <= sum(len(part.faces) for part in parts) <= 9_000

    @pytest.mark.parametrize("form", list(Form))
    def test_intact_and_handled_units_carry_no_damage(self, form: Form) -> None:
        """Wear, labels and tape are no damage, and leave the meshes' triangles alone."""
        unit = build(_MADE[form], np.random.default_rng(1))
        for seed in range(3):
            worn, _ = handle(unit, np.random.default_rng(seed))
            assert all(part.harm is None and part.harm_print is None for part in all_parts(worn))
            assert [len(p.faces) for p in all_parts(unit)] == [len(p.faces) for p in all_parts(worn)]

    def test_two_units_of_a_product_differ_a_little(self) -> None:
        """No two units are alike to the last vertex, and none is more than a centimetre off."""
        first, second = (build(_MADE[Form.CARTON], np.random.default_rng(seed)) for seed in (1, 2))
        off = np.abs(first.surface("body").points - second.surface("body").points).max()
        assert 0.01 < off < 1.0

    def test_a_set_by_design_misses_its_empty_place(self) -> None:
        """A set made with an empty place has a piece less, intact."""
        made = (spec(seed, "run", index) for seed in range(8) for index in range(120))
        gap = next(p for p in made if p.form is Form.TRAY and p.odd >= 0 and p.empty_by_design)
        unit = build(gap, np.random.default_rng(1))
        assert gap.rows * gap.columns - 1 == len(unit.pieces)


class TestDamage:
    """What damage does to units."""

    @pytest.mark.parametrize(("form", "kind"), _CASES)
    def test_every_kind_on_every_form_marks_itself(self, form: Form, kind: DamageKind) -> None:
        """Minor and major damage leaves sound meshes with marks on them, or a puddle that is one."""
        unit = build(_MADE[form], np.random.default_rng(1))
        for seed, major in ((3, True), (4, False)):
            harmed = WOUNDS[kind](unit, np.random.default_rng(seed), major=major)
            parts = all_parts(harmed)
            assert any(
                (part.harm is not None and part.harm.max() > 0.5)
                or (part.harm_print is not None and part.harm_print.max() > 127)
                for part in parts
            )
            assert all(np.isfinite(part.points).all() and part.points[:, 2].min() > -0.3 for part in parts)

    @pytest.mark.parametrize("kind", list(WOUNDS))
    def test_major_damage_is_larger_than_minor(self, kind: DamageKind) -> None:
        """Over several units, more of the picture is damage where it is major."""
        product = _MADE[Form.TRAY if kind is DamageKind.MISSING_UNIT else Form.CARTON]
        unit = build(product, np.random.default_rng(1))
        minor, major = (
            np.mean(
                [damage_in_view(WOUNDS[kind](unit, np.random.default_rng(seed), major=bad), seed) for seed in range(5)]
            )
            for bad in (False, True)
        )
        assert 0 < minor < major

    def test_damage_on_the_far_side_is_not_seen(self) -> None:
        """A hole in the back is on the unit and in no box."""
        unit = build(_MADE[Form.CARTON], np.random.default_rng(1))
        body = unit.surface("body")
        back = (body.points[:, 1] > body.points[:, 1].max() - 0.2) & (body.points[:, 2] < body.points[:, 2].max() - 1)
        marked = Part(
            body.points, body.faces, body.uv, body.print, body.stuff, harm=back.astype(np.float32), two_sided=False
        )
        assert back.any()
        assert 0.0 == damage_in_view(unit.with_surface("body", marked), 1)


class TestDecoys:
    """Print that looks like damage."""

    @pytest.mark.parametrize("kind", [kind for kind in Decoy if kind is not Decoy.NONE])
    def test_each_changes_the_print_somewhere_only(self, kind: Decoy) -> None:
        """A decoy is a visible spot, not a repaint."""
        product = replace(_MADE[Form.CARTON], decoy=kind)
        face = np.full((300, 400, 3), 200, np.uint8)
        decoy(face, product, draws(Domain.ARTWORK, 1))
        changed = (face != 200).any(axis=2).mean()
        assert 0.002 < changed < 0.4
