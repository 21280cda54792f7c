"""The model card: figures as JSON beside the models, and as a table in the docs."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec

from booth.catalogue import Split
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal

_BEGIN: Final = "<!-- figures: written by training.recipe -->"
_END: Final = "<!-- end of figures -->"
_WIDTH: Final = 120  # of the page's lines


@dataclass(frozen=True, slots=True)
class LearntWorld:
    """Products of a booth world that something here was fitted on."""

    seed: int
    split: Split
    products: int


@dataclass(frozen=True, slots=True)
class Card:
    """What was made, from what, in how long, and how good it is on products that no network has seen."""

    made_by: str  # the command
    seed: int
    worlds: list[LearntWorld]  # of the booth: what networks and fusion have seen, and may not be measured on
    train_views: int
    steps: int
    parameters: dict[str, int]
    bytes: dict[str, int]
    sha256: dict[str, str]
    onnx_difference: dict[str, float]
    figures: dict[str, float]
    seconds: dict[str, float]

    def save(self, path: Path) -> None:
        """Write the card as JSON."""
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> Card:
        """Read the card of models that are there.

        Raises:
            Fatal: there is none, or it is of another version.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, *NO_DOCUMENT) as error:
            raise Fatal(f"{path} is no usable model card: {error}. Make the models anew: make models") from error

    def table(self) -> str:
        """Return the figures as Markdown, in the order of their names like the file, whoever made the card."""
        rows = [f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in sorted(self.figures.items())]
        facts = (
            f"Made by `{self.made_by}`: {self.train_views} views of {self.worlds[0].products} products, "
            f"{self.steps} steps. Measured on products of the booth's test split."
        )
        return "\n".join([textwrap.fill(facts, _WIDTH), "", "| figure | value |", "|---|---|", *rows])

    def insert(self, page: Path) -> None:
        """Replace the table in a page of the docs, between its two markers."""
        text = page.read_text()
        before, begin, rest = text.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"{page} lacks the markers {_BEGIN} and {_END}")
        page.write_text(f"{before}{_BEGIN}\n{self.table()}\n{_END}{after}")


def _shown(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and value > 1 else f"{value:.3f}"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, float):
        return round(value, 6)
    return value
