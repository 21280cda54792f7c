"""`sideline identify`: the product in each picture, by its looks."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.album import Photo
from cli.listing import list_pictures, write_rows
from schemas.faults import Fatal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.lookup.answer import Answer
    from training.lookup.shelf import Enrolled

SHIPPED: Final = "gallery_embedding/1/model.onnx"  # in the line's model repository
SHOWN: Final = 5
HEADING: Final = (
    "path",
    *(f"rank{place}" for place in range(1, SHOWN + 1)),
    *(f"score{place}" for place in range(1, SHOWN + 1)),
    "accepted",
    "siblings",
)
_EXAMPLES: Final = """Examples:

  sideline identify --gallery packshots/ --images photos/ --backbone mobilenet.onnx --out ids.csv

  sideline identify --gallery shop/manifest.csv --images shop/manifest.csv --backbone vit.onnx --normalise imagenet \\
      --out ids.csv
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(identify)


def identify(
    gallery: Annotated[
        Path,
        typer.Option(metavar="MANIFEST|DIR", help="Pictures of the products: a data set with references, or a folder."),
    ],
    images: Annotated[Path, typer.Option(metavar="MANIFEST|DIR", help="CSV with a column path, or a folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV to write.")],
    backbone: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", help="A pretrained image model; default: the line's embedding.")
    ] = None,
    normalise: Annotated[
        str | None, typer.Option(help="Pixels the backbone wants: symmetric, unit, imagenet, raw; default: guessed.")
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Default: one for each core, at most 4.")] = None,
) -> None:
    """Name the product in each picture, from one picture of each product or more.

    Columns: path, rank1..rank5, score1..score5, accepted, siblings. A score is how alike the picture is where it lies
    over the product's, 0 .. 1; below 0 it could not be laid over it. accepted is 1 where the first product is believed:
    its score passes a limit for so many products at which 1 % of strangers passed where the limits were measured.
    siblings are products that it may as well be, joined by "|": a code or a printed word has to tell them apart.

    In a manifest, rows with the split `reference` are the gallery and every other row is a picture to name. Pictures
    that are in the gallery are left out. One that is missing or broken has a row without an answer, and standard error
    says why; the exit status is 0 nevertheless, unless there was no answer at all.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise Fatal("needs the laboratory's libraries (onnxruntime): make install")
    from cli.here import model_repository
    from cli.meter import Meter
    from cli.screen import Screen
    from training.lookup.gallery import packshots
    from training.lookup.work import Library, Model, Unreadable
    from training.photographs.anatomy import Normalise

    if normalise is not None and normalise not in set(Normalise):
        raise Fatal(f"--normalise takes {', '.join(Normalise)}, not {normalise!r}")
    # Before any process starts: threads of the matrix library cost far more than they give on a busy machine.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    console = Screen(stderr=True, highlight=False, soft_wrap=True)
    shots = packshots(gallery)
    kept = {shot.path.resolve() for shot in shots}
    photos = [photo for photo in list_pictures(images).photos if photo.path.resolve() not in kept]
    if not photos:
        raise Fatal(f"every picture of {images} is one of the gallery: there is nothing to name")
    model = Model(
        backbone or model_repository() / SHIPPED,
        backbone is not None,
        None if normalise is None else Normalise(normalise),
    )
    console.print(model.open().sentence, markup=False)
    library = Library(model, processes=processes or min(os.cpu_count() or 1, 4))
    with Meter(console) as meter:
        shelf: list[Enrolled] = []
        for number, (shot, enrolled) in enumerate(zip(shots, library.enrol(shots), strict=True), 1):
            if isinstance(enrolled, Unreadable):
                console.print(f"left out of the gallery: {shot.path}: {enrolled.why}", markup=False)
            else:
                shelf.append(enrolled)
            meter.say("gallery", number, len(shots))
        if not shelf:
            raise Fatal(f"no picture of {gallery} could be read")
        rows: list[tuple[str, ...]] = []
        for photo, answer in zip(photos, library.find([photo.path for photo in photos], shelf), strict=True):
            if isinstance(answer, Unreadable):
                console.print(f"no answer: {photo.name}: {answer.why}", markup=False)
                rows.append((photo.name, *[""] * (len(HEADING) - 1)))
            else:
                rows.append((photo.name, *_cells(answer)))
            meter.say("pictures", len(rows), len(photos))
    write_rows(out, HEADING, rows)
    print(f"{_sums(rows, photos, {each.product_id for each in shelf})}; wrote {out}")
    if not any(row[1] for row in rows):
        raise typer.Exit(1)


def _sums(rows: Sequence[tuple[str, ...]], photos: Sequence[Photo], products: set[str]) -> str:
    """Say how many were named and, where the labels are products, how many rightly."""
    named = sum(bool(row[1]) for row in rows)
    believed = sum(row[-2] == "1" for row in rows)
    said = f"{len(rows)} pictures, {len(products)} products: {believed} believed, {named - believed} guessed"
    known = [(row, photo.label) for row, photo in zip(rows, photos, strict=True) if photo.label in products]
    if not known:
        return said
    right = sum(row[1] == label for row, label in known)
    surely = sum(row[1] == label and row[-2] == "1" for row, label in known)
    return f"{said}; of {len(known)} whose label is a product the first is right for {right}, believed for {surely}"


def _cells(answer: Answer) -> tuple[str, ...]:
    """Write an answer as a row's cells."""
    names = [find.product_id for find in answer.finds]
    scores = [f"{find.score:.4f}" for find in answer.finds]
    empty = [""] * (SHOWN - len(names))
    return *names, *empty, *scores, *empty, str(int(answer.accepted)), "|".join(answer.siblings)
