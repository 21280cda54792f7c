"""The numbers that turn evidence into one score: made by the training recipe, shipped beside the models, all integers.

A calibration belongs to the model versions it was measured with. It is a file (`triton_models/fusion.json`), so that
what decided a capture can be read, compared and replayed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from evidence.identity_limits import IdentityLimits
from schemas.codec import NO_DOCUMENT
from schemas.faults import Fatal
from schemas.words import MICRO, Pattern

DEFAULT_PATH: Final = Path("triton_models/fusion.json")

Micro = Annotated[int, Meta(ge=-(10**9), le=10**9, description="Millionths; of log-odds unless said otherwise.")]
Share = Annotated[int, Meta(ge=0, le=MICRO, description="Millionths of one.")]
Mass = Annotated[int, Meta(ge=1, le=10**9, description="Height of a density at a knot, in a scale all three share.")]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A classifier's logit to a log-likelihood ratio of damage: slope x logit + intercept, steeper above a knee.

    A logit is worth more where the classifier is sure than where it wavers (decision 0081): above `knee` each one adds
    `bend` more than `slope`.
    """

    slope: Annotated[int, Meta(ge=1, le=10**8, description="Millionths. Above zero: more evidence, more damage.")]
    intercept: Micro
    knee: Micro = 0
    bend: Annotated[int, Meta(ge=-(10**8), le=10**8, description="Millionths.")] = 0

    def __post_init__(self) -> None:
        """Refuse a line that falls above its knee."""
        if self.slope + self.bend < 1:
            raise ValueError(
                f"slope {self.slope} and bend {self.bend}: above the knee more evidence would be less damage"
            )


class Densities(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the discrepancy is distributed in three worlds, as heights at equally spaced knots.

    Between knots the heights are interpolated, outside them the nearest knot's counts.
    """

    origin: Annotated[int, Meta(ge=-(10**7), le=10**7, description="Discrepancy of the first knot, millionths.")]
    step: Annotated[int, Meta(ge=1, le=10**7, description="Between knots, millionths.")]
    damaged: Annotated[list[Mass], Meta(min_length=2, max_length=256)]  # the product is right, the unit is damaged
    intact: Annotated[list[Mass], Meta(min_length=2, max_length=256)]  # the product is right, the unit is intact
    other: Annotated[list[Mass], Meta(min_length=2, max_length=256)]  # the references are of another product

    def __post_init__(self) -> None:
        """Refuse tables of different lengths."""
        if not len(self.damaged) == len(self.intact) == len(self.other):
            raise ValueError(
                f"densities of {len(self.damaged)}, {len(self.intact)} and {len(self.other)} knots; one length is meant"
            )


class Gallery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the comparison with references adds in one pattern, and the classifier's line beside it."""

    line: Line
    weight: Share  # of the clipped log-likelihood ratio; late and low weight wins (Kaputt challenge 2026: 0.05)
    densities: Densities


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One calibration for each availability pattern of the evidence, and the limits of identification."""

    version: Annotated[str, Meta(min_length=1, max_length=128)]
    classifier: Annotated[str, Meta(max_length=128, description="Model version this was measured with.")]
    embedding: Annotated[str, Meta(max_length=128, description="Likewise.")]
    prior: Micro  # log-odds of damage on the live line, before any evidence; replaces the training set's prevalence
    alone: Line  # the classifier without a gallery
    by_code: Gallery
    by_image: Gallery
    weight_cap: Share  # no gallery weight may be above
    clip: Annotated[int, Meta(ge=1, le=20 * MICRO, description="Bound of the gallery's log-likelihood ratio.")]
    limits: IdentityLimits
    # Fused scores of intact units that nothing here was fitted on: what a threshold knows before its first capture.
    negatives: Annotated[list[Micro], Meta(max_length=4096)] = []
    measured: list[str] = []  # in words, for people: rows, rates and how they were made

    def __post_init__(self) -> None:
        """Refuse a gallery weight above the cap."""
        for name, gallery in (("by_code", self.by_code), ("by_image", self.by_image)):
            if gallery.weight > self.weight_cap:
                raise ValueError(f"{name}: weight {gallery.weight} is above the cap {self.weight_cap}")

    @classmethod
    def load(cls, path: Path = DEFAULT_PATH) -> Calibration:
        """Read a calibration.

        Raises:
            Fatal: the file is missing, unreadable or inconsistent; the message names it and the fix.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, *NO_DOCUMENT) as error:
            raise Fatal(
                f"{path} is no usable calibration: {error}. Restore it from version control with the models beside it, "
                "or make them anew together: make models"
            ) from error

    def save(self, path: Path = DEFAULT_PATH) -> None:
        """Write the calibration as indented JSON, the same bytes for the same numbers."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    def check(self, *, classifier: str, embedding: str) -> None:
        """Refuse to work with other models than those this calibration was measured with.

        Raises:
            Fatal: naming both versions and the fix.
        """
        for name, made_for, served in (
            ("classifier", self.classifier, classifier),
            ("embedding", self.embedding, embedding),
        ):
            if made_for != served:
                raise Fatal(
                    f"calibration {self.version} was measured with {name} {made_for!r} but {served!r} is served: "
                    "serve the models and the fusion.json of one release, or make them anew together: make models"
                )

    def gallery(self, pattern: Pattern) -> Gallery | None:
        """Return the part for a pattern, None where no gallery speaks."""
        if pattern is Pattern.GALLERY_BY_CODE:
            return self.by_code
        if pattern is Pattern.GALLERY_BY_IMAGE:
            return self.by_image
        return None
