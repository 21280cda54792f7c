"""What the booth sells: made-up products, each a function of (seed, split, index) alone."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from booth.draws import Domain, draws

Split = Literal["run", "train", "test"]
Colour = tuple[int, int, int]  # blue, green, red: OpenCV's order, everywhere in the booth

# The split is in the digits, so products of two splits can never share an id.
_PREFIX: Final[dict[Split, str]] = {"run": "400", "train": "401", "test": "402"}
SPLIT_NUMBER: Final[dict[Split, int]] = {"run": 0, "train": 1, "test": 2}

_BRANDS: Final = (
    "NORVIA", "Lumen", "Hazel & Co", "PURA 24", "Tonic No.5", "FRESCA", "Kobalt", "Mirelle", "OAKLINE", "Sundry",
    "Vetro", "ALBA", "Quill", "Tern", "BRIXO", "Salvia", "Nordhus", "Pommery", "ZEST", "Calder", "Iris", "MONO",
    "Fjell", "Tamarind", "Orba", "Wick", "HELIO", "Plume", "Rook", "Vanta",
)  # fmt: skip
_GOODS: Final = (
    "Green Tea", "Oat Biscuits", "Hand Cream", "Soap Flakes", "Dark Cocoa", "Ground Coffee", "Night Balm", "Muesli",
    "Lamp E27", "Drill Bits", "Baby Wipes", "Vitamin D", "Dish Tabs", "Crackers", "Shampoo", "Wax Candles", "Pasta",
    "Tea Lights", "Ink Black", "Batteries", "Cat Treats", "Rice Cakes", "Sea Salt", "Filter Bags",
)  # fmt: skip
_FLAVOURS: Final = ("Classic", "Lemon", "Mint", "Berry", "Ginger", "Vanilla", "Extra", "Family", "Sensitive", "Mild")
_PALETTES: Final[tuple[tuple[Colour, Colour, Colour], ...]] = (  # ground, accent, ink
    ((235, 238, 240), (60, 60, 200), (40, 40, 60)),
    ((96, 120, 28), (235, 240, 242), (250, 250, 250)),
    ((130, 44, 92), (90, 200, 240), (250, 245, 240)),
    ((30, 190, 245), (70, 52, 46), (60, 40, 38)),
    ((52, 66, 214), (215, 235, 250), (250, 250, 250)),
    ((160, 104, 36), (80, 210, 250), (250, 250, 250)),
    ((205, 225, 236), (60, 110, 50), (46, 72, 40)),
    ((62, 52, 48), (60, 150, 230), (240, 240, 240)),
    ((180, 160, 232), (120, 40, 110), (90, 30, 80)),
    ((210, 200, 120), (90, 70, 20), (80, 50, 20)),
    ((240, 240, 240), (170, 120, 20), (110, 70, 10)),
    ((120, 176, 226), (30, 60, 130), (30, 40, 90)),
    ((90, 60, 30), (200, 220, 240), (245, 245, 250)),
    ((170, 210, 150), (50, 50, 190), (40, 50, 30)),
)
LAYOUTS: Final = 7  # as many as booth.designs draws


class Packaging(enum.StrEnum):
    """How the goods are wrapped."""

    CARTON = "cardboard"
    MULTIPACK = "multipack"
    MAILER = "mailer"


class Decoy(enum.IntEnum):
    """Artwork that looks like damage and is only print."""

    NONE = 0
    CRACK = 1
    BURST = 2
    SPLASH = 3
    DOTS = 4


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A code as printed. `text` is what a scanner reads; `on_top` tells whether the camera above can see it."""

    text: str
    symbology: Literal["EAN13", "Code128", "DataMatrix"]
    on_top: bool


@dataclass(frozen=True, slots=True)
class Spec:
    """A product: enough to paint it. Sizes are centimetres: length (x), depth (y), height (z)."""

    key: tuple[int, int, int]  # seed, split, index: the seeds of its artwork
    product_id: str
    brand: str
    goods: str
    flavour: str
    vendor: str
    packaging: Packaging
    size_cm: tuple[float, float, float]
    ground: Colour
    accent: Colour
    ink: Colour
    layout: int
    decoy: Decoy
    rows: int
    columns: int
    codes: tuple[PrintedCode, ...]

    @property
    def title(self) -> str:
        """Name the product as a shop would."""
        return f"{self.brand} {self.goods} {self.flavour}"

    @property
    def set_size(self) -> int:
        """Count the pieces inside: 1 unless it is a multi-pack."""
        return self.rows * self.columns if self.packaging is Packaging.MULTIPACK else 1


def gtin13(first_twelve: str) -> str:
    """Append the GS1 mod-10 check digit to twelve digits."""
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(first_twelve))
    return f"{first_twelve}{-weighted % 10}"


def spec(seed: int, split: Split, index: int) -> Spec:
    """Invent product `index`. Some are siblings: brand, layout and packaging of the one before, another flavour."""
    number = SPLIT_NUMBER[split]
    own = draws(Domain.CATALOGUE, seed, number, index)
    sibling = bool(index % 2 == 1 and own.random() < 0.4)
    look = (
        draws(Domain.CATALOGUE, seed, number, index - 1, 1)
        if sibling
        else draws(Domain.CATALOGUE, seed, number, index, 1)
    )
    packaging = Packaging(look.choice([Packaging.CARTON, Packaging.MULTIPACK, Packaging.MAILER], p=[0.62, 0.22, 0.16]))
    brand, goods = str(look.choice(_BRANDS)), str(look.choice(_GOODS))
    length = float(look.uniform(16.5, 23.0))
    depth = float(length * look.uniform(0.62, 0.85))
    height = float(look.uniform(4.0, 9.0)) if packaging is not Packaging.MAILER else float(look.uniform(1.2, 2.2))
    layout = int(look.integers(LAYOUTS))
    ground, accent, ink = _PALETTES[int(look.integers(len(_PALETTES)))]
    if sibling:  # the same design with another accent colour: what shelves are full of
        accent = _PALETTES[int(own.integers(len(_PALETTES)))][1]
    gtin = gtin13(f"{_PREFIX[split]}{(seed * 7919 + 104729) % 100_000:05d}{(index * 7919 + 13) % 10_000:04d}")
    return Spec(
        key=(seed, number, index),
        product_id=gtin,
        brand=brand,
        goods=goods,
        flavour=_FLAVOURS[(int(look.integers(len(_FLAVOURS))) + (3 if sibling else 0)) % len(_FLAVOURS)],
        vendor=f"vendor-{int(look.integers(8)) + 1}",
        packaging=packaging,
        size_cm=(length, depth, height),
        ground=_jitter(ground, look),
        accent=_jitter(accent, own),
        ink=ink,
        layout=layout,
        decoy=Decoy(int(own.integers(1, len(Decoy)))) if own.random() < 0.3 else Decoy.NONE,
        rows=int(look.integers(2, 4)),
        columns=int(look.integers(3, 5)),
        codes=_codes(own, gtin, flat=packaging is Packaging.MAILER),
    )


def _jitter(colour: Colour, rng: np.random.Generator) -> Colour:
    blue, green, red = (int(np.clip(channel + rng.integers(-14, 15), 8, 250)) for channel in colour)
    return blue, green, red


def _codes(rng: np.random.Generator, gtin: str, *, flat: bool) -> tuple[PrintedCode, ...]:
    """Print the EAN on most products, a GS1 DataMatrix on some, and a seller's Code 128 label besides on a few."""
    on_top = flat or bool(rng.random() < 0.8)
    kind = rng.random()
    fnsku = "X00" + "".join(str(letter) for letter in rng.choice(list("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"), 7))
    if kind < 0.74:
        return (PrintedCode(gtin, "EAN13", on_top),)
    if kind < 0.88:
        return (PrintedCode(f"(01)0{gtin}", "DataMatrix", on_top),)
    return (PrintedCode(fnsku, "Code128", on_top),)
