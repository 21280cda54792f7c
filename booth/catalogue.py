"""What the booth sells: made-up products, each a function of (seed, split, index, version) alone."""

from __future__ import annotations

import dataclasses
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
    "Fjell", "Tamarind", "Orba", "Wick", "HELIO", "Plume", "Rook", "Vanta", "Saint Oak", "Bramble", "KITE", "Lotta",
    "Umber", "Ostara", "NIMBLE", "Grove", "Pax", "Marlow",
)  # fmt: skip
_GOODS: Final = (
    "Green Tea", "Oat Biscuits", "Hand Cream", "Soap Flakes", "Dark Cocoa", "Ground Coffee", "Night Balm", "Muesli",
    "Lamp E27", "Drill Bits", "Baby Wipes", "Vitamin D", "Dish Tabs", "Crackers", "Shampoo", "Wax Candles", "Pasta",
    "Tea Lights", "Ink Black", "Batteries", "Cat Treats", "Rice Cakes", "Sea Salt", "Filter Bags",
)  # fmt: skip
_TITLES: Final = (
    "The Long Winter", "A Field Guide to Rain", "Salt and Cedar", "Nine Small Harbours", "The Clockmaker's Atlas",
    "Bread at Midnight", "On Quiet Machines", "The Orchard Year", "Letters to the Tide", "Maps of Nowhere",
    "A Short History of Glass", "Under Paper Skies",
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
    ((226, 214, 204), (40, 130, 220), (70, 50, 40)),
    ((60, 110, 60), (120, 220, 240), (240, 250, 245)),
)
LAYOUTS: Final = 14  # as many as booth.designs draws


class Material(enum.StrEnum):
    """What the outside is made of: the literals of the Kaputt data set."""

    BOOK_OTHER = "book_other"
    BOOK_PAPER = "book_paper"
    BOOK_TIGHT_WRAP = "book_plastic_tight_wrap"
    CARDBOARD = "cardboard"
    OTHER = "other"
    PAPER = "paper"
    BUBBLE_WRAP = "plastic_bubble_wrap"
    HARD_PLASTIC = "plastic_hard"
    LOOSE_BAG = "plastic_loose_bag"
    TIGHT_WRAP = "plastic_tight_wrap"


class Form(enum.StrEnum):
    """How the goods are packed: one builder in booth.packs each."""

    CARTON = "carton"
    TRAY = "tray"
    MAILER = "mailer"
    BUBBLE_MAILER = "bubble-mailer"
    POLY_BAG = "poly-bag"
    WRAPPED_BOX = "wrapped-box"
    WRAPPED_SET = "wrapped-set"
    CLAMSHELL = "clamshell"
    BOTTLE = "bottle"
    JAR = "jar"
    TIN = "tin"
    PAPERBACK = "paperback"
    HARDCOVER = "hardcover"
    WRAPPED_BOOK = "wrapped-book"


MATERIAL: Final[dict[Form, Material]] = {
    Form.CARTON: Material.CARDBOARD,
    Form.TRAY: Material.CARDBOARD,
    Form.MAILER: Material.PAPER,
    Form.BUBBLE_MAILER: Material.BUBBLE_WRAP,
    Form.POLY_BAG: Material.LOOSE_BAG,
    Form.WRAPPED_BOX: Material.TIGHT_WRAP,
    Form.WRAPPED_SET: Material.TIGHT_WRAP,
    Form.CLAMSHELL: Material.HARD_PLASTIC,
    Form.BOTTLE: Material.HARD_PLASTIC,
    Form.JAR: Material.HARD_PLASTIC,
    Form.TIN: Material.OTHER,
    Form.PAPERBACK: Material.BOOK_PAPER,
    Form.HARDCOVER: Material.BOOK_OTHER,
    Form.WRAPPED_BOOK: Material.BOOK_TIGHT_WRAP,
}
_SHARE: Final[dict[Form, float]] = {
    Form.CARTON: 0.22,
    Form.TRAY: 0.12,
    Form.MAILER: 0.08,
    Form.BUBBLE_MAILER: 0.07,
    Form.POLY_BAG: 0.09,
    Form.WRAPPED_BOX: 0.07,
    Form.WRAPPED_SET: 0.05,
    Form.CLAMSHELL: 0.06,
    Form.BOTTLE: 0.05,
    Form.JAR: 0.04,
    Form.TIN: 0.05,
    Form.PAPERBACK: 0.04,
    Form.HARDCOVER: 0.03,
    Form.WRAPPED_BOOK: 0.03,
}
SETS: Final = frozenset({Form.TRAY, Form.WRAPPED_SET})
_FLAT: Final = frozenset({Form.MAILER, Form.BUBBLE_MAILER, Form.POLY_BAG})
_NARROW: Final = SETS | {Form.JAR, Form.TIN, Form.BOTTLE}
BOOKS: Final = frozenset({Form.PAPERBACK, Form.HARDCOVER, Form.WRAPPED_BOOK})


class Decoy(enum.IntEnum):
    """Artwork that looks like damage and is only print."""

    NONE = 0
    CRACK = 1
    BURST = 2
    SPLASH = 3
    DOTS = 4
    HOLE = 5
    CRUMPLED_PHOTO = 6
    STAIN = 7


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A code as printed. `text` is what a scanner reads; `on_top` tells whether the camera above can see it."""

    text: str
    symbology: Literal["EAN13", "Code128", "DataMatrix"]
    on_top: bool


@dataclass(frozen=True, slots=True)
class Spec:
    """A product in one version of its design. Sizes are centimetres: length (x), depth (y), height (z).

    `odd` is the place of the piece that a set's makers made different on purpose (another colour, or an empty place
    printed as such), -1 for none: only references tell it from a missing one.
    """

    key: tuple[int, int, int]  # seed, split, index: the seeds of its artwork
    product_id: str
    brand: str
    goods: str
    flavour: str
    vendor: str
    form: Form
    size_cm: tuple[float, float, float]
    ground: Colour
    accent: Colour
    ink: Colour
    layout: int
    decoy: Decoy
    rows: int
    columns: int
    codes: tuple[PrintedCode, ...]
    odd: int = -1
    empty_by_design: bool = False
    version: int = 0

    @property
    def material(self) -> Material:
        """Say what the outside is made of."""
        return MATERIAL[self.form]

    @property
    def title(self) -> str:
        """Name the product as a shop would."""
        return f"{self.brand} {self.goods} {self.flavour}"

    @property
    def set_size(self) -> int:
        """Count the pieces inside: 1 unless it is a set."""
        if self.form not in SETS:
            return 1
        return self.rows * self.columns - (1 if self.odd >= 0 and self.empty_by_design else 0)

    @property
    def seeds(self) -> tuple[int, int, int, int]:
        """Return the key of everything drawn for this version."""
        return (*self.key, self.version)


def gtin13(first_twelve: str) -> str:
    """Append the GS1 mod-10 check digit to twelve digits."""
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(first_twelve))
    return f"{first_twelve}{-weighted % 10}"


def spec(seed: int, split: Split, index: int) -> Spec:
    """Invent product `index`. Some are siblings: brand, layout and packaging of the one before, another flavour."""
    number = SPLIT_NUMBER[split]
    own = draws(Domain.CATALOGUE, seed, number, index)
    sibling = bool(index % 2 == 1 and own.random() < 0.4)
    look = draws(Domain.CATALOGUE, seed, number, index - sibling, 1)
    form = list(_SHARE)[int(look.choice(len(_SHARE), p=np.array(list(_SHARE.values()))))]
    brand = str(look.choice(_BRANDS))
    goods = str(look.choice(_TITLES if form in BOOKS else _GOODS))
    rows, columns = int(look.integers(2, 4)), int(look.integers(3, 5))
    size = _size(form, look, rows=rows, columns=columns)
    layout = int(look.integers(LAYOUTS))
    ground, accent, ink = _PALETTES[int(look.integers(len(_PALETTES)))]
    if sibling:  # the same design with another accent colour: what shelves are full of
        accent = _PALETTES[int(own.integers(len(_PALETTES)))][1]
    gtin = gtin13(f"{_PREFIX[split]}{(seed * 7919 + 104729) % 100_000:05d}{(index * 7919 + 13) % 10_000:04d}")
    odd = form in SETS and own.random() < 0.3
    return Spec(
        key=(seed, number, index),
        product_id=gtin,
        brand=brand,
        goods=goods,
        flavour=_FLAVOURS[(int(look.integers(len(_FLAVOURS))) + (3 if sibling else 0)) % len(_FLAVOURS)],
        vendor=f"vendor-{int(look.integers(8)) + 1}",
        form=form,
        size_cm=size,
        ground=_jitter(ground, look),
        accent=_jitter(accent, own),
        ink=ink,
        layout=layout,
        decoy=Decoy(int(own.integers(1, len(Decoy)))) if own.random() < 0.3 else Decoy.NONE,
        rows=rows,
        columns=columns,
        codes=_codes(own, gtin, form),
        odd=int(own.integers(rows * columns)) if odd else -1,
        empty_by_design=bool(own.random() < 0.5),
    )


def redesigned(product: Spec) -> Spec:
    """Return the product's next design: other shapes and colours, the same goods, pack and codes."""
    rng = draws(Domain.REDESIGN, *product.key, product.version)
    ground, accent, ink = _PALETTES[int(rng.integers(len(_PALETTES)))]
    layout = (product.layout + int(rng.integers(1, LAYOUTS))) % LAYOUTS
    return dataclasses.replace(
        product, ground=_jitter(ground, rng), accent=accent, ink=ink, layout=layout, version=product.version + 1
    )


def _size(form: Form, rng: np.random.Generator, *, rows: int, columns: int) -> tuple[float, float, float]:
    """Draw length, depth and height in centimetres: what fits the picture and is believable for the form."""
    a, b, c = (float(v) for v in rng.random(3))
    length = 16.5 + 6.5 * a
    wide = min(length + 1, 17.0 * columns / rows)
    sizes: dict[Form, tuple[float, float, float]] = {
        Form.CARTON: (length, length * (0.62 + 0.23 * b), 4.0 + 5.0 * c),
        Form.TRAY: (wide, wide * rows / columns * (1.0 + 0.1 * b) + 0.6, 4.2 + 1.6 * c),
        Form.MAILER: (length + 2, (length + 2) * (0.62 + 0.2 * b), 1.6 + 1.6 * c),
        Form.BUBBLE_MAILER: (length + 2, (length + 2) * (0.62 + 0.2 * b), 1.8 + 1.6 * c),
        Form.POLY_BAG: (length - 1, (length - 1) * (0.66 + 0.16 * b), 2.2 + 2.4 * c),
        Form.WRAPPED_BOX: (length - 0.5, (length - 0.5) * (0.6 + 0.25 * b), 3.0 + 4.0 * c),
        Form.WRAPPED_SET: (wide, wide * rows / columns * (1.0 + 0.05 * b), 5.5 + 3.0 * c),
        Form.CLAMSHELL: (length - 2, (length - 2) * (0.7 + 0.2 * b), 2.4 + 1.8 * c),
        Form.BOTTLE: (length, 5.6 + 2.4 * b, 5.6 + 2.4 * b),
        Form.JAR: (8.6 + 3.0 * a, 8.6 + 3.0 * a, 8.0 + 4.5 * c),
        Form.TIN: (9.0 + 3.0 * a, 9.0 + 3.0 * a, 4.5 + 6.0 * c),
        Form.PAPERBACK: (17.0 + 3.0 * a, 11.0 + 2.4 * b, 1.4 + 1.8 * c),
        Form.HARDCOVER: (19.0 + 3.0 * a, 13.0 + 2.4 * b, 2.0 + 2.0 * c),
        Form.WRAPPED_BOOK: (18.0 + 3.0 * a, 12.4 + 2.4 * b, 1.6 + 2.0 * c),
    }
    return sizes[form]


def _jitter(colour: Colour, rng: np.random.Generator) -> Colour:
    blue, green, red = (int(np.clip(channel + rng.integers(-14, 15), 8, 250)) for channel in colour)
    return blue, green, red


def _codes(rng: np.random.Generator, gtin: str, form: Form) -> tuple[PrintedCode, ...]:
    """Print the EAN on most products, a GS1 DataMatrix on some, and a seller's Code 128 label instead on a few.

    What is too small or too round for bars that 480 pixels can show has a DataMatrix on top, or its bars in front.
    """
    on_top = form in _FLAT or bool(rng.random() < 0.8)
    kind = rng.random()
    fnsku = "X00" + "".join(str(letter) for letter in rng.choice(list("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"), 7))
    if form in _NARROW and on_top:
        if kind < 0.5:
            return (PrintedCode(f"(01)0{gtin}", "DataMatrix", on_top),)
        on_top = False
    if kind < 0.74:
        return (PrintedCode(gtin, "EAN13", on_top),)
    if kind < 0.88:
        return (PrintedCode(f"(01)0{gtin}", "DataMatrix", on_top),)
    return (PrintedCode(fnsku, "Code128", on_top),)
