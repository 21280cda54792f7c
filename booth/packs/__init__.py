"""How each form of goods is built: one file per family, functions from a product and a generator to a unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from booth.catalogue import Form, Spec
from booth.packs import bags, blisters, books, cartons, mailers, rounds, sets, wraps
from booth.unit import Unit

BUILDERS: Final[dict[Form, Callable[[Spec, np.random.Generator], Unit]]] = {
    Form.CARTON: cartons.carton,
    Form.TRAY: sets.tray,
    Form.MAILER: mailers.paper_mailer,
    Form.BUBBLE_MAILER: mailers.bubble_mailer,
    Form.POLY_BAG: bags.poly_bag,
    Form.WRAPPED_BOX: wraps.wrapped_box,
    Form.WRAPPED_SET: sets.wrapped_set,
    Form.CLAMSHELL: blisters.clamshell,
    Form.BOTTLE: rounds.bottle,
    Form.JAR: rounds.jar,
    Form.TIN: rounds.tin,
    Form.PAPERBACK: books.paperback,
    Form.HARDCOVER: books.hardcover,
    Form.WRAPPED_BOOK: wraps.wrapped_book,
}


def build(spec: Spec, rng: np.random.Generator) -> Unit:
    """Take a pristine unit of a product from the shelf; `rng` decides how it differs from the next one."""
    return BUILDERS[spec.form](spec, rng)
