"""What the gallery keeps, and the changes its feed tells of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence import prints
from evidence.discrepancy import CELLS, PATCH_SIZE, quantise
from evidence.prints import Print
from schemas.messages import Product
from schemas.words import MAX_VIEWS

__all__ = ["VECTOR_SIZE", "Change", "Entry", "ProductPut", "Reference", "ReferenceGone", "ReferencePut", "quantise"]

VECTOR_SIZE: Final = 128
_DIGEST_BYTES: Final = 8

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One reference as the curator enrols it: V views of a pristine product, embedded by one model version."""

    reference_id: str
    product_id: str
    model_version: str  # vectors of different versions are not comparable
    source: str  # who says that it is pristine
    enrolled_ms: int
    vectors: Vectors  # float32[V, 128], unit length
    patches: NDArray[np.int8]  # int8[V, 196, 48], see evidence.discrepancy.quantise
    uris: tuple[str, ...]  # of the pictures, for people
    prints: tuple[Print, ...] = ()  # of each view, to lay captures over; none where nobody made them

    def __post_init__(self) -> None:
        """Refuse arrays that no search could use.

        Raises:
            ValueError: wrong shapes or types, or vectors that are not finite.
        """
        views = len(self.vectors)
        shaped = self.vectors.shape == (views, VECTOR_SIZE) and self.patches.shape == (views, CELLS, PATCH_SIZE)
        if not shaped or not 1 <= views <= MAX_VIEWS or self.patches.dtype != np.int8:
            raise ValueError(
                f"{self.vectors.dtype}{list(self.vectors.shape)} and {self.patches.dtype}{list(self.patches.shape)} "
                f"where float32[V, {VECTOR_SIZE}] and int8[V, {CELLS}, {PATCH_SIZE}] were expected, V 1 to {MAX_VIEWS}"
            )
        if not np.isfinite(self.vectors).all():
            raise ValueError("the vectors hold numbers that are not finite")
        if self.prints and len(self.prints) != views:
            raise ValueError(f"{len(self.prints)} prints of {views} views")


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """A reference as an index needs it and as the store keeps it; patch maps are fetched for the shortlist only."""

    product_id: str
    digest: bytes  # changes whenever anything of the entry does
    vectors: bytes  # float16[V, 128]: what an index keeps; rounds a cosine by less than 0.001
    since_ms: int = 0  # when it came to be trusted: the newest design is compared first

    def unpack(self) -> Vectors:
        """Return the vectors as float32[V, 128].

        Raises:
            ValueError: the bytes are no vectors, or none that an index could use.
        """
        vectors = np.frombuffer(self.vectors, np.float16).reshape(-1, VECTOR_SIZE).astype(np.float32)
        if not 1 <= len(vectors) <= MAX_VIEWS or not np.isfinite(vectors).all():
            raise ValueError(f"{len(vectors)} vectors, or numbers that are not finite")
        return vectors


def pack(entry: Entry) -> Reference:
    """Return what the store keeps of an entry for indexes."""
    vectors = entry.vectors.astype(np.float16).tobytes()
    about = (entry.product_id, entry.model_version, entry.source, entry.enrolled_ms, entry.uris)
    digest = hashlib.blake2b(msgspec.msgpack.encode(about), digest_size=_DIGEST_BYTES)
    digest.update(vectors)
    digest.update(entry.patches.tobytes())
    digest.update(prints.pack(entry.prints))  # nothing, of a reference of before there were prints
    return Reference(entry.product_id, digest.digest(), vectors, entry.enrolled_ms)


@dataclass(frozen=True, slots=True)
class ReferencePut:
    """A reference is new or has changed."""

    reference_id: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class ReferenceGone:
    """A reference was withdrawn, or is not there for this model version."""

    reference_id: str


@dataclass(frozen=True, slots=True)
class ProductPut:
    """A product is new or has changed; a retired one is on record as such, and found by nothing."""

    product: Product


@dataclass(frozen=True, slots=True)
class ProductGone:
    """The store knows nothing of this product (any more)."""

    product_id: str


Change = ReferencePut | ReferenceGone | ProductPut | ProductGone
