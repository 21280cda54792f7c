"""What each source said a unit is, as a record keeps it: `<method>[~!]:<product>` or `<method>[~!]:?<code>`.

scan:P-1       the source names a product of the catalogue
scan:?X0042    the source read a code that no product has, or that several have
image~:P-2     the source is too weak to count alone: a code read once, a look below the limits, an old scan
scan!:?LPN-7   the source read the label of another unit: it spoke of something else
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from schemas.words import IdentityMethod

MAX_CODE_SHOWN: Final = 32
_WEAK, _STRAY, _UNKNOWN = "~", "!", "?"


@dataclass(frozen=True, slots=True)
class Claim:
    """One source's word. `product_id` is None where the code is of no product; then `code` says which."""

    method: IdentityMethod
    product_id: str | None
    code: str = ""
    weak: bool = False
    stray: bool = False

    def __str__(self) -> str:
        """Write it; of an unknown code only printable ASCII is shown, and not much of it."""
        shown = "".join(letter for letter in self.code if letter.isascii() and letter.isprintable())[:MAX_CODE_SHOWN]
        named = self.product_id if self.product_id is not None else _UNKNOWN + shown
        mark = _STRAY if self.stray else _WEAK if self.weak else ""
        return f"{self.method.value}{mark}:{named}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a claim of a record; a method that this version does not know is `unknown`."""
        source, _, named = text.partition(":")
        method = IdentityMethod(source.rstrip(_WEAK + _STRAY))
        unknown = named.startswith(_UNKNOWN)
        return cls(
            method,
            None if unknown else named,
            named[1:] if unknown else "",
            weak=source.endswith(_WEAK),
            stray=source.endswith(_STRAY),
        )
