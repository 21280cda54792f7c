"""Which product a code means, in memory."""

from __future__ import annotations

from evidence.codes import normalise
from schemas.messages import Product


class Catalogue:
    """Products by their ids and canonical codes.

    Codes are compared in the form of `evidence.codes.normalise`. One that several products claim names none of them:
    an answer that depends on which message came last would be worse than no answer.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._products: dict[str, Product] = {}
        self._owners: dict[str, set[str]] = {}
        self._retired = 0

    def __len__(self) -> int:
        """Count the products, without retired ones."""
        return len(self._products) - self._retired

    def __contains__(self, product_id: str) -> bool:
        """Tell whether a product is on record, retired or not."""
        return product_id in self._products

    @property
    def product_ids(self) -> frozenset[str]:
        """Every product on record, retired ones included."""
        return frozenset(self._products)

    def put(self, product: Product) -> None:
        """List a product in place of what was known of it."""
        self.remove(product.product_id)
        self._products[product.product_id] = product
        if product.retired:
            self._retired += 1
        else:
            for code in _codes_of(product):
                self._owners.setdefault(code, set()).add(product.product_id)

    def remove(self, product_id: str) -> None:
        """Forget a product, if it is there."""
        known = self._products.pop(product_id, None)
        if known is None:
            return
        if known.retired:
            self._retired -= 1
            return
        for code in _codes_of(known):
            owners = self._owners.get(code, set())
            owners.discard(product_id)
            if not owners:
                self._owners.pop(code, None)

    def find(self, product_id: str) -> Product | None:
        """Return what is known of a product."""
        return self._products.get(product_id)

    def retired(self, product_id: str) -> bool:
        """Tell whether a product is known to be retired; unknown ones are not."""
        product = self._products.get(product_id)
        return product is not None and product.retired

    def product_of(self, code: str) -> str | None:
        """Return the one product that a code or product id means; raw codes are brought into canonical form."""
        known = self._products.get(code)
        if known is not None and not known.retired:
            return code
        canonical = normalise(code)
        owners = self._owners.get(canonical, set()) if canonical is not None else set()
        return next(iter(owners)) if len(owners) == 1 else None


def _codes_of(product: Product) -> set[str]:
    """Return every canonical code of a product; its id is one of them."""
    canonical = {normalise(code) for code in (product.product_id, *product.codes)}
    return {code for code in canonical if code is not None}
