"""Who stands out: found where judgement differs, and not where only luck does."""

from __future__ import annotations

import random

from budget.associates import outliers
from budget.records import AssociateState


def drawn(rng: random.Random, share: float, judged: int = 300) -> AssociateState:
    """Return an associate who confirms at a rate."""
    return AssociateState(judged=judged, confirmed=sum(rng.random() < share for _ in range(judged)))


class TestOutliers:
    """Against the pooled rate of all others."""

    def test_equal_judges_are_hardly_ever_named(self) -> None:
        """A site of eight, a thousand times over: at most a few of them by chance."""
        rng = random.Random(1)
        named = sum(bool(outliers({f"a{i}": drawn(rng, 0.4) for i in range(8)})) for _ in range(1_000))
        assert named <= 4

    def test_who_confirms_everything_is_named(self) -> None:
        """That is how a lying verdict gives tokens back."""
        rng = random.Random(2)
        found = outliers({"liar": drawn(rng, 0.95), **{f"a{i}": drawn(rng, 0.4) for i in range(5)}})
        assert [("liar", "confirms more")] == [(one.associate_id, one.what) for one in found]
        assert "confirms more: " in str(found[0])

    def test_one_liar_does_not_make_two_honest_people_stand_out(self) -> None:
        """Pooled with the liar, either of them would look as if they confirmed too few."""
        honest = AssociateState(judged=300, confirmed=90)
        found = outliers({"liar": AssociateState(judged=200, confirmed=195), "b": honest, "c": honest})
        assert ["liar"] == [one.associate_id for one in found]

    def test_who_confirms_nothing_is_named(self) -> None:
        """Damage would go back on the line."""
        rng = random.Random(3)
        found = outliers({"blind": drawn(rng, 0.02), **{f"a{i}": drawn(rng, 0.4) for i in range(5)}})
        assert [("blind", "confirms fewer")] == [(one.associate_id, one.what) for one in found]

    def test_who_is_contradicted_is_named(self) -> None:
        """Second looks say it even where the rates agree."""
        alike = AssociateState(judged=300, confirmed=120, rechecked=100, agreed=95)
        odd = AssociateState(judged=300, confirmed=120, rechecked=100, agreed=60)
        assert [("odd", "contradicted more")] == [
            (one.associate_id, one.what) for one in outliers({"odd": odd, "b": alike, "c": alike})
        ]

    def test_nobody_is_judged_by_a_few_verdicts_or_alone(self) -> None:
        """Nineteen are too few, and with nobody to compare nobody stands out."""
        few = AssociateState(judged=19, confirmed=19)
        many = AssociateState(judged=500, confirmed=10)
        assert [] == outliers({"few": few, "many": many})
        assert [] == outliers({"many": many})
        assert [] == outliers({})
