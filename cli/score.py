"""`sideline score`: the log-odds of damage of each picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.album import auroc
from cli.listing import list_pictures, write_rows
from schemas.faults import Fatal
from schemas.words import MICRO

HEADING: Final = ("path", "score")
_EXAMPLES: Final = """Examples:

  sideline score --images photos/ --out scores.csv

  sideline score --model models/ --images photos/manifest.csv --out scores.csv
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(score)


def score(
    images: Annotated[
        Path,
        typer.Option(
            metavar="MANIFEST|DIR",
            help="A folder (its manifest.csv, else all pictures below it), or a CSV with a column path.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV to write: path, score.")],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What `sideline train classifier` wrote, or a model repository; default: the line's own.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any picture could not be scored.")] = False,
) -> None:
    """Give each picture its log-odds of damage: above 0 damage is likelier than not, at the model's own base rate.

    One row a picture, in the order of the manifest or of the names. A picture that is missing, broken or no picture
    has an empty score, and standard error says why; the exit status is 0 nevertheless, unless no picture at all could
    be scored, or --strict is given. Where the manifest has labels (damaged, intact), the AUROC is printed.

    Every picture is asked about as the line would ask, as a capture of one view. Untrusted bytes are decoded in the
    line's own picture pool, so that a hostile picture costs only its own score.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise Fatal("needs the laboratory's libraries (onnxruntime): make install")
    from cli.here import model_repository
    from cli.meter import Meter
    from cli.screen import Screen
    from training.photographs.prints import Unreadable
    from training.photographs.score import Scorer, score_pictures

    console = Screen(stderr=True, highlight=False, soft_wrap=True)
    photos = list_pictures(images).photos
    scorer = Scorer(model or model_repository())
    rows: list[tuple[str, str]] = []
    scored: list[tuple[float, bool]] = []
    with Meter(console) as meter:
        answers = score_pictures(scorer, [photo.path for photo in photos])
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(answer, Unreadable):
                console.print(f"no score: {photo.name}: {answer.why}", markup=False)
                rows.append((photo.name, ""))
            else:
                rows.append((photo.name, f"{answer.damage / MICRO:.6f}"))
                if photo.damaged is not None:
                    scored.append((answer.damage / MICRO, photo.damaged))
            meter.say("scores", len(rows), len(photos))
    write_rows(out, HEADING, rows)
    count = sum(value != "" for _, value in rows)
    print(f"{len(rows)} pictures, {count} scored, {len(rows) - count} not; wrote {out}")
    if (area := auroc(scored)) is not None:
        print(f"AUROC on the {len(scored)} with a label: {area:.3f}")
    if count == 0 or (strict and count < len(rows)):
        raise typer.Exit(1)
