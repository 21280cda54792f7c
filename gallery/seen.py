"""A capture that a person judged, as the gallery remembers it for a while."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from evidence.discrepancy import QUANTUM
from gallery.entry import Reference


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What is stored of a judged capture beside its patch maps."""

    reference: Reference
    cleared: bool  # sellable; otherwise damaged or the wrong item
    at_ms: int  # when a person judged it
    site: str
    capture_id: str
    unit_id: str
    associate_id: str
    model_version: str

    def pack(self) -> bytes:
        """Return it behind 13 digits of `at_ms`, which the store's scripts read."""
        return b"%013d" % self.at_ms + msgspec.msgpack.encode(self)

    @classmethod
    def unpack(cls, raw: bytes) -> Seen:
        """Read what `pack` wrote."""
        return msgspec.msgpack.decode(raw[13:], type=cls)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A reference or capture as the model sees it."""

    reference_id: str
    patches: NDArray[np.int8]  # int8[V, cells, numbers]

    def as_query(self) -> NDArray[np.float32]:
        """Return the patch maps as those of a capture: float32, unit length per cell but for rounding."""
        return self.patches.astype(np.float32) * np.float32(QUANTUM)


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A judged capture with its patch maps."""

    look: Look
    seen: Seen
