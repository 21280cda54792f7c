"""`sideline booth`: contact sheets of the photo booth, and data sets of its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from booth.catalogue import Material
from schemas.faults import Fatal
from schemas.words import KINDS, DamageKind

_KINDS: Final = ", ".join(KINDS)
_MATERIALS: Final = ", ".join(Material)
_SHEET_EXAMPLES: Final = """Examples:

  sideline booth sheet --out sheet.png

  sideline booth sheet --kind penetration --material cardboard

  sideline booth sheet --kind deformation --depth --out dents.png
"""
_EXAMPLES: Final = """Examples:

  sideline booth sheet --out sheet.png

  sideline booth write data/booth --captures 5000 --products 500
"""
_WRITE_EXAMPLES: Final = """Examples:

  sideline booth write data/booth --captures 5000 --products 500

  sideline booth write data/booth --split test --captures 1000 --products 100
"""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True)
    group.command(epilog=_SHEET_EXAMPLES)(sheet)
    group.command(epilog=_WRITE_EXAMPLES)(write)
    app.add_typer(
        group, name="booth", help="Look at the photo booth's pictures, and write data sets of them.", epilog=_EXAMPLES
    )


def sheet(
    seed: Annotated[int, typer.Option(min=0, help="Which products and captures.")] = 7,
    out: Annotated[Path, typer.Option(help="Picture to write: PNG or JPEG.")] = Path("sheet.png"),
    kind: Annotated[str | None, typer.Option(help=f"Only this damage: {_KINDS}.")] = None,
    material: Annotated[str | None, typer.Option(help=f"Only this material: {_MATERIALS}.")] = None,
    depth: Annotated[bool, typer.Option("--depth", help="Put each picture's distances below it.")] = False,
    tile: Annotated[int, typer.Option(min=96, max=480, help="Pixels a side of each picture.")] = 240,
) -> None:
    """Write one picture that shows what the booth makes: references, wear, decoys, every damage, every material.

    Yellow boxes say where the damage is. With --kind or --material only such units are shown.
    """
    wanted = DamageKind(kind) if kind is not None else None
    if wanted is not None and wanted not in KINDS:
        raise Fatal(f"no damage is called {kind!r}; --kind must be one of: {_KINDS}")
    if material is not None and material not in set(Material):
        raise Fatal(f"no material is called {material!r}; --material must be one of: {_MATERIALS}")
    if out.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise Fatal(f"{out} is neither .png nor .jpg; give --out such a name")
    import cv2

    from booth.sheet import sheet as lay_out
    from cli.screen import Screen

    with Screen(stderr=True).status("Taking pictures"):
        picture = lay_out(seed, kind=wanted, material=Material(material) if material else None, depth=depth, side=tile)
    ok, data = cv2.imencode(out.suffix.lower(), picture)
    if not ok:
        raise Fatal(f"OpenCV could not write {out.suffix} pictures; try --out sheet.png")
    unfinished = out.with_name(f".{out.name}.part")
    try:
        unfinished.write_bytes(data.tobytes())
        unfinished.replace(out)
    except OSError as error:
        raise Fatal(f"{out} could not be written ({error.strerror}); choose another --out") from error
    print(f"{out}: {picture.shape[1]} x {picture.shape[0]} pixels")


def write(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set; may hold other splits of it.")],
    seed: Annotated[int, typer.Option(min=0, help="Which products and captures.")] = 7,
    split: Annotated[str, typer.Option(help="train, validation or test; no two of them share a product.")] = "train",
    captures: Annotated[int, typer.Option(min=1, help="How many captures.")] = 2000,
    products: Annotated[int, typer.Option(min=1, max=10_000, help="Of how many products.")] = 200,
    layout: Annotated[str, typer.Option(help="Layout of the folder, A or B.")] = "B",
    damage_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of damaged units.")] = 0.3,
    site_style: Annotated[str, typer.Option(help="standard, dim, tray, sharp or mixed.")] = "standard",
    depth: Annotated[float, typer.Option(min=0, max=1, help="Share of captures with depth.")] = 0.5,
    processes: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
) -> None:
    """Write the booth's captures, references and their truth as a data set, one split a time.

    Running it again goes on where it was cut off.
    """
    from rich.progress import Progress

    from cli.screen import Screen
    from training.data.write import write as write_data_set

    with Progress(console=Screen(stderr=True)) as progress:
        task = progress.add_task("captures", total=captures)
        write_data_set(
            seed=seed,
            split=split,
            captures=captures,
            products=products,
            layout=layout,
            damage_rate=damage_rate,
            site_style=site_style,
            depth=depth,
            out=out,
            processes=processes,
            say=lambda fresh: progress.advance(task, fresh),
        )
    print(f"{out}: {captures} captures of the split {split}")
