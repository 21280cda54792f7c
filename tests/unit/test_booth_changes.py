"""Products that change in the middle of a day."""

from __future__ import annotations

from booth.changes import POISON_MARK, poisoning, redesign
from booth.world import World


def test_only_the_named_products_change_and_only_from_then_on() -> None:
    """All others, and all earlier ones, are to the byte those of the world without a change."""
    plain = World(3, products=3, damage_rate=0.0)
    turned = redesign(3, 4, products=3, numbers=frozenset({1}), damage_rate=0.0)
    seen = set()
    for index in range(12):
        shot, without = turned.shot(index), plain.shot(index)
        changed = index >= 4 and plain.plan(index).number == 1
        seen.add(changed)
        assert changed is (shot.truth.facts.get("turned") == "yes") is (shot.truth.facts["redesigned"] == "yes")
        assert changed is (shot.pictures != without.pictures)
        assert without.truth.product_id == shot.truth.product_id
    assert {False, True} == seen


def test_a_run_of_damaged_units() -> None:
    """From then on each unit of the product is damaged, and marked as part of the run."""
    world = poisoning(3, 4, products=3, number=1, damage_rate=0.0)
    marked = {index for index in range(12) if world.shot(index).truth.facts.get(POISON_MARK) == "yes"}

    assert marked == {index for index in range(4, 12) if world.first.plan(index).number == 1}
    assert marked
    assert all(world.shot(index).truth.damaged is (index in marked) for index in range(12))
