"""What can be wrong with a data set: each matter once, in plain words, with the number of cases and a few of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

EXAMPLES: Final = 5  # of each matter; enough to go and look


class Gravity(enum.StrEnum):
    """What a matter means for whoever trains or measures on the data."""

    SPOILS = "spoils"  # figures made from it mean nothing, or training stops
    WARNS = "warns"  # look at it before you rely on the data
    TELLS = "tells"  # how something was taken


class Matter(enum.Enum):
    """Everything a reader or the check may find. Each has its gravity and the sentence that a count completes."""

    REFUSED_PATH = Gravity.WARNS, "paths lead out of the data set's folder and were not followed"
    MISSING_FILE = Gravity.SPOILS, "pictures are named but not there, and were left out"
    MISSING_LAYER = Gravity.WARNS, "masks or depth files are named but not there"
    NO_PATH = Gravity.WARNS, "rows name no picture and were left out"
    ODD_ENCODING = Gravity.TELLS, "tables are not UTF-8 and were read as Windows-1252 or UTF-16"
    RAGGED_ROW = Gravity.WARNS, "rows have more cells than the table has columns; the rest was dropped"
    UNLISTED = Gravity.TELLS, "pictures in the folder are in no row of the manifest and were left out"
    CROPS_ONLY = Gravity.TELLS, "pictures are missing where their crops are there; the crops were taken"
    OTHER_WORD = Gravity.TELLS, "labels say neither damaged nor intact; kept as the fact `label`"
    UNKNOWN_KIND = Gravity.SPOILS, "damage kinds are none of the seven and were dropped"
    UNKNOWN_SEVERITY = Gravity.WARNS, "severities are none of none, minor, major and count as unknown"
    ODD_WEIGHT = Gravity.WARNS, "weights are no numbers above 0 and count as 1"
    UNKNOWN_TRUTH = Gravity.WARNS, "cells of a yes-or-no column are neither and count as empty"
    KINDS_ON_INTACT = Gravity.SPOILS, "samples are called intact but have damage kinds; taken as intact"
    SEVERE_INTACT = Gravity.SPOILS, "samples are called intact but have a severity; taken as intact"
    MILD_DAMAGED = Gravity.WARNS, "samples are damaged with severity none; taken as unknown severity"
    TRUTHS_DIFFER = Gravity.SPOILS, "captures have views that contradict each other; taken as the first view says"
    REPEATED_ID = Gravity.WARNS, "samples share their id with another one; a number was appended"
    REPEATED_ROW = Gravity.WARNS, "rows name a picture that another row names, too; the first row counts"
    NO_PRODUCT = Gravity.WARNS, "references belong to no product and were left out"
    NOT_IN_LIST = Gravity.WARNS, "folders of pictures are on neither list and have no split"
    BROKEN_NOTE = Gravity.WARNS, "notes beside the pictures cannot be read; their pictures have no label"
    NO_KINDS = Gravity.WARNS, "damaged samples have no kinds: nothing to learn kinds from there"
    NO_LABELS = Gravity.TELLS, "samples have no label"
    ONE_LABEL = Gravity.SPOILS, "labels are all the same: nothing can be learnt or measured"
    PRODUCT_IN_SPLITS = Gravity.SPOILS, "products are in more than one split: what is measured was seen before"
    NO_REFERENCE = Gravity.WARNS, "products of samples have no reference, though others do"
    TINY_CLASS = Gravity.WARNS, "classes have so few samples that no figure on them can be trusted"
    UNREADABLE = Gravity.SPOILS, "pictures cannot be read"
    TRUNCATED = Gravity.SPOILS, "pictures end before their end mark: the copy was cut off"
    SAME_IN_SPLITS = Gravity.SPOILS, "pictures are the same, byte for byte, in two splits: a leak"
    SAME_TWO_LABELS = Gravity.SPOILS, "pictures are the same, byte for byte, under two labels"
    SAME_AS_REFERENCE = Gravity.SPOILS, "pictures of samples are the same, byte for byte, as a reference's"
    SAME_PICTURE = Gravity.WARNS, "pictures are the same as another one, byte for byte"
    LOOKS_IN_SPLITS = Gravity.WARNS, "pictures of two splits look alike to the last detail: recompressed copies?"
    ONE_COLOUR = Gravity.SPOILS, "pictures show a single colour"
    MASK_SIZE = Gravity.WARNS, "masks have another size than their picture"
    MASK_EMPTY = Gravity.WARNS, "masks mark nothing"
    MASK_UNREADABLE = Gravity.SPOILS, "masks cannot be read"
    DEPTH_FORM = Gravity.SPOILS, "depth files are no 16-bit grey PNG"
    DEPTH_SHAPE = Gravity.WARNS, "depth files have another shape than their picture"
    DEPTH_IMPOSSIBLE = Gravity.SPOILS, "depth files hold distances that no camera over a table measures"
    TELLTALE = Gravity.WARNS, "simple statistics tell damaged from intact better than they should"
    GIVEAWAY = Gravity.SPOILS, "simple statistics nearly give the label away: a model would learn them, not damage"

    @property
    def gravity(self) -> Gravity:
        """Say how bad it is."""
        return self.value[0]

    @property
    def words(self) -> str:
        """Return the sentence that follows the number of cases."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """A matter, how often it was met, and up to `EXAMPLES` cases of it."""

    matter: Matter
    count: int
    examples: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        return f"{self.count} {self.matter.words} ({'; '.join(self.examples)}{', ...' * (self.count > EXAMPLES)})"


@dataclass(slots=True)
class Notebook:
    """Collects cases while a data set is read or checked; never holds more than a few of each matter."""

    _counts: dict[Matter, int] = field(default_factory=dict)
    _examples: dict[Matter, list[str]] = field(default_factory=dict)

    def note(self, matter: Matter, example: str) -> None:
        """Count a case."""
        self._counts[matter] = self._counts.get(matter, 0) + 1
        kept = self._examples.setdefault(matter, [])
        if len(kept) < EXAMPLES and (clean := printable(example)) not in kept:
            kept.append(clean)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, the worst first."""
        order = list(Gravity)
        return tuple(
            Finding(matter, count, tuple(self._examples[matter]))
            for matter, count in sorted(
                self._counts.items(), key=lambda item: (order.index(item[0].gravity), -item[1], item[0].name)
            )
        )


def printable(text: str) -> str:
    """Return foreign text fit for a terminal: one line, no control characters, not longer than 120."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text[:121])
    return clean if len(clean) <= 120 else clean[:117] + "..."  # noqa: PLR2004 - as stated
