"""Captures of the photo booth, made when asked for: as many as anyone likes, with scans, codes and truth."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass

from booth.catalogue import Split
from booth.world import REFERENCES_PER_PRODUCT, Picture, SiteStyle, World
from schemas.messages import Product
from training.album import Order, fingerprint
from training.data.form import Label
from training.evaluation.source import RawCapture, RawReference, RawView


@dataclass(frozen=True, slots=True)
class Booth:
    """Captures of one of the booth's worlds. `redesigned` is the share that comes in its next design."""

    seed: int
    captures: int
    products: int = 400
    split: Split = "test"
    damage_rate: float = 0.3
    site_style: SiteStyle = "mixed"
    depth: float = 0.5
    redesigned: float = 0.05

    @property
    def name(self) -> str:
        """Name the world by everything that makes it, the booth's own source text included."""
        order = Order(self.seed, self.split, self.products, self.captures)
        return " ".join(["booth", *(f"{name}={value}" for name, value in asdict(self).items()), fingerprint(order)])

    def shots(self) -> list[BoothShot]:
        """Return all captures, those of a product together: a process then paints its artwork once."""
        world = self.world()
        return [BoothShot(self, each) for each in sorted(range(self.captures), key=lambda at: world.plan(at).number)]

    def poses(self) -> list[BoothPose]:
        """Return two references of every product."""
        return [
            BoothPose(self, number, copy) for number in range(self.products) for copy in range(REFERENCES_PER_PRODUCT)
        ]

    def pose_of(self, product_id: str) -> BoothPose | None:
        """Return the first reference of a product."""
        names = [product.product_id for product in self.catalogue()]
        return BoothPose(self, names.index(product_id), 0) if product_id in names else None

    def catalogue(self) -> list[Product]:
        """Return the products with the codes printed on them."""
        return self.world().products()

    def world(self) -> World:
        """Return the world, made once a process: it remembers artwork."""
        return _world(self)


@dataclass(frozen=True, slots=True)
class BoothShot:
    """One capture of the booth."""

    booth: Booth
    number: int

    def take(self) -> RawCapture:
        """Render it."""
        shot = self.booth.world().shot(self.number)
        truth = shot.truth
        return RawCapture(
            capture_id=shot.unit_id,
            views=tuple(_view(picture) for picture in shot.pictures),
            product_id=truth.product_id,
            label=Label(truth.damaged, frozenset(truth.kinds), truth.severity),
            facts=dict(truth.facts),
            damage_share=truth.damage_share if truth.damaged else None,
            scan=None if shot.scan is None else (shot.scan.code, shot.scan.symbology),
            wrong_label=truth.wrong_label,
        )


@dataclass(frozen=True, slots=True)
class BoothPose:
    """One reference of the booth."""

    booth: Booth
    product: int
    copy: int

    def take(self) -> RawReference:
        """Render it."""
        world = self.booth.world()
        product_id = world.spec(self.product).product_id
        pictures = world.reference(self.product, self.copy)
        return RawReference(f"ref-{product_id}-{self.copy + 1}", product_id, tuple(_view(each) for each in pictures))


@functools.lru_cache(maxsize=2)
def _world(booth: Booth) -> World:
    return World(
        booth.seed,
        products=booth.products,
        damage_rate=booth.damage_rate,
        split=booth.split,
        site_style=booth.site_style,
        depth=booth.depth,
        redesigned=booth.redesigned,
    )


def _view(picture: Picture) -> RawView:
    return RawView(picture.jpeg, picture.depth_png, picture.camera_id)
