"""`sideline read-codes`: the bar codes and matrix codes in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.listing import list_pictures, write_rows

HEADING: Final = ("path", "text", "format", "confirmed", "ms")
_CHUNK: Final = 16  # pictures in hand at a time
_EXAMPLES: Final = """Examples:

  sideline read-codes photos/ --out codes.csv

  sideline read-codes photos/manifest.csv --out codes.csv --jobs 4 --budget-ms 300
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("read-codes", epilog=_EXAMPLES)(read_codes)


def read_codes(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|MANIFEST",
            help="A folder (its manifest.csv, else all pictures below it), or a CSV with a column path.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="CSV to write: path, text, format, confirmed, ms.")],
    budget_ms: Annotated[
        int,
        typer.Option(
            min=0, max=60_000, help="CPU time, counted by pixels, after which no further look at a picture begins."
        ),
    ] = 100,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Pictures at a time; more make each one's ms longer.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any picture could not be read.")] = False,
) -> None:
    """Read the codes in pictures.

    One row a code, in the order of the pictures; a picture without a code has one row with empty text, format and
    confirmed. `confirmed` is true where the text can be relied on: a code with a weak check digit (EAN, UPC, ITF)
    needs looks through different transforms that agree, others none. `ms` is the wall time from the picture's bytes
    to its codes, decoding included, the same in all rows of a picture.

    A picture that is missing, broken or no picture has a row with nothing but its path, and standard error says why;
    the exit status is 0 nevertheless, unless no picture at all could be read, or --strict is given. Untrusted bytes
    are decoded and read in the line's own picture pool.

    Where a manifest says what the codes are (expected_text, empty where there is none), a score card is printed, with
    the time of reading against the library's own with default settings; these pictures are read once more for it.
    """
    from cli.meter import Meter
    from cli.screen import Screen
    from evidence.code_reader import THOROUGH, Effort
    from training.photographs.code_card import CodeCard
    from training.photographs.prints import Print, PrintShop, read_bytes

    console = Screen(stderr=True, highlight=False, soft_wrap=True)
    listing = list_pictures(images)
    effort = Effort(budget_s=budget_ms / 1000, whole=THOROUGH.whole)
    card, rows, read, codes = CodeCard(), [], 0, 0
    with Meter(console) as meter, PrintShop(processes=jobs) as shop:
        for start in range(0, len(listing.photos), _CHUNK):
            chunk = listing.photos[start : start + _CHUNK]
            raws = [read_bytes(photo.path) for photo in chunk]
            prints = iter(shop.make([raw for raw in raws if isinstance(raw, bytes)], effort=effort))
            for photo, raw in zip(chunk, raws, strict=True):
                made = next(prints) if isinstance(raw, bytes) else raw
                if isinstance(made, Print):
                    read += 1
                    codes += len(made.codes)
                    found = [(code.text, code.symbology, str(code.confirmed).lower()) for code in made.codes]
                    rows += [(photo.name, *each, f"{made.ms:.1f}") for each in found or [("", "", "")]]
                else:
                    console.print(f"not read: {photo.name}: {made.why}", markup=False)
                    rows.append((photo.name, "", "", "", ""))
                if listing.expects_codes:
                    card.count(photo.expected_text or "", made.codes if isinstance(made, Print) else ())
                    if isinstance(made, Print) and isinstance(raw, bytes):
                        card.time(raw, effort)
            meter.say("codes", start + len(chunk), len(listing.photos))
    write_rows(out, HEADING, rows)
    print(f"{len(listing.photos)} pictures, {read} read, {codes} codes; wrote {out}")
    if listing.expects_codes:
        print("\n".join(card.lines()))
    if read == 0 or (strict and read < len(listing.photos)):
        raise typer.Exit(1)
