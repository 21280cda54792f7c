"""Where captures come from, and the bytes a camera sends of them.

A shot is an order for one capture: small, sent to whichever process is free, filled there. So nothing holds pictures of
more captures than are being looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evidence.code_reader import QUICK
from evidence.picture_work import Job, Refused, pixels_of, work
from evidence.pictures import Prepared
from schemas.faults import Poison, Reason
from schemas.messages import Product
from training.data.form import Label


@dataclass(frozen=True, slots=True, eq=False)
class RawView:
    """One view as it arrives: a picture, and the depth camera's PNG where there is one."""

    rgb: bytes
    depth: bytes | None = None
    camera_id: str = "camera"


@dataclass(frozen=True, slots=True, eq=False)
class RawCapture:
    """A capture with its truth. `scan` is text and symbology of what the scanner read."""

    capture_id: str
    views: tuple[RawView, ...]
    product_id: str | None = None
    label: Label | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    damage_share: float | None = None  # of the unit's visible area
    scan: tuple[str, str] | None = None
    wrong_label: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RawReference:
    """A reference of a product."""

    reference_id: str
    product_id: str
    views: tuple[RawView, ...]


class Shot(Protocol):
    """An order for one capture."""

    @property
    def number(self) -> int:
        """Return its place in the source."""

    def take(self) -> RawCapture:
        """Return the capture; the same bytes each time."""


class Pose(Protocol):
    """An order for one reference."""

    def take(self) -> RawReference:
        """Return the reference; the same bytes each time."""


class Source(Protocol):
    """Captures with their truth, and the references to compare them with."""

    @property
    def name(self) -> str:
        """Say what is in it, in words that tell any two sources apart."""

    def shots(self) -> Sequence[Shot]:
        """Return all captures."""

    def poses(self) -> Sequence[Pose]:
        """Return all references."""

    def pose_of(self, product_id: str) -> Pose | None:
        """Return a reference of a product, if it has any."""

    def catalogue(self) -> list[Product]:
        """Return the products, with their codes where they are known."""


def prepare(views: Sequence[RawView], *, codes: bool) -> Prepared:
    """Decode, frame and read views by the very function that the line's picture processes run.

    Raises:
        Poison: of several bad pictures the first counts; or there is none.
    """
    if not views:
        raise Poison(Reason.NO_PICTURE, "no picture")
    done = []
    for number, view in enumerate(views):
        reply = work(Job(number, view.rgb, QUICK if codes else None, view.depth))
        if isinstance(reply, Refused):
            raise Poison(reply.reason, f"view {number}: {reply.message}")
        done.append(reply)
    return Prepared(
        pixels=np.stack([pixels_of(each) for each in done]),
        views=tuple(range(len(done))),
        sizes=tuple((each.width, each.height) for each in done),
        codes=tuple(code for each in done for code in each.codes),
        depth_faults=sum(bool(each.depth_fault) for each in done),
    )
