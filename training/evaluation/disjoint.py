"""Nothing is measured on what was learnt from: the products of a trial and those of the model card never meet.

The booth's splits differ in the digits of the GTIN, so its products are apart by construction; a data set may be split
by picture, or the wrong way round. The card says which products the models were shown: booth worlds by seed, split and
number, other products by id.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from booth.catalogue import spec
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from training.card import LearntWorld

CARD: Final = "card.json"
_SHOWN: Final = 3


class LearntFrom(msgspec.Struct, frozen=True):
    """The part of a model card that says what was learnt from; the rest is not read here."""

    worlds: tuple[LearntWorld, ...] = ()
    trained_on: tuple[str, ...] = ()  # product ids


def learnt_products(repository: Path) -> frozenset[str]:
    """Return the ids of all products that the card of a repository says were learnt from; none without a card.

    Raises:
        Fatal: the card cannot be read.
    """
    path = repository / CARD
    if not path.exists():
        return frozenset()
    try:
        card = msgspec.json.decode(path.read_bytes(), type=LearntFrom)
    except NO_DOCUMENT as error:
        raise Fatal(f"{path} is no usable model card: {error}. Make the models anew: make models") from error
    return frozenset(card.trained_on).union(*(_ids(world) for world in card.worlds))


def check_apart(products: Iterable[str], repository: Path) -> None:
    """Refuse a trial on products that the models were shown.

    Raises:
        Fatal: naming some of them, and the way out.
    """
    shared = sorted(set(products) & learnt_products(repository))
    if shared:
        shown = ", ".join(shared[:_SHOWN]) + (", ..." if len(shared) > _SHOWN else "")
        raise Fatal(
            f"the models in {repository} were shown {len(shared)} of these products ({shown}): what they say of them "
            "is no measure. Evaluate on another split or seed: --split test, or --booth with another SEED"
        )


def _ids(world: LearntWorld) -> frozenset[str]:
    return frozenset(spec(world.seed, world.split, number).product_id for number in range(world.products))
