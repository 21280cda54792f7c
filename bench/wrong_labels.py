"""Measure how often a wrong label is found, and how often a right one is called wrong.

    python -m bench.wrong_labels KEEP.jsonl [--seed 5] [--products 40] [--captures 1200] [--split run]

Captures of the booth's intact and damaged units go the line's own way up to the claims of each source: codes in the
pixels, and how alike every product is. What was found is kept in a file, so that another rule can be tried without
asking a model. Then each capture is identified as if its label were right, and as if it were that of every product in
turn, on three kinds of wrong label:

    sticker    the scanner reads another product's code, what is printed on the pack is its own
    unread     the same, and no code can be read in the pixels
    print      the code in the pixels is the other product's as well: only looks can tell

Labels of the product that looks most alike (a sibling, mostly) are told apart from labels of any other. At last the
captures are named by looks alone, among so many expected products: with their own among them, and as strangers without.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, get_args

import cv2
import msgspec
import numpy as np

from booth.catalogue import Split
from booth.world import SiteStyle
from evidence.calibration import Calibration
from evidence.codes import normalise
from evidence.identity import CodeClaim, ImageCandidate, ScanClaim, Shortlisted, identify, rank
from evidence.identity_limits import IdentityLimits
from gallery.examine import SHORTLIST
from schemas.messages import Identity
from training.evaluation.booth_source import Booth, BoothPose
from training.evaluation.examination import Enroller
from training.evaluation.intervals import exact
from training.evaluation.models import Pair
from training.evaluation.shelf import Enrolled, Shelf, fill
from training.evaluation.source import RawView, prepare

MODELS: Final = Path("triton_models")
SIZES: Final = (1, 3, 10, 30)  # of lists of expected products; beside them, the whole gallery without a list
OTHERS: Final = 8  # wrong labels tried on each capture, beside that of the most alike product


class Found(msgspec.Struct, frozen=True, array_like=True):
    """What the sources say of one capture. Products are numbers of the booth's catalogue."""

    number: int
    own: int
    damaged: bool
    redesigned: bool
    codes: list[tuple[int, bool]]  # product of the code, and whether its reading was confirmed
    pooled: list[float]  # how alike each product's pooled vectors are
    patch: list[float]  # ... and its patch maps


_bench: list[tuple[Booth, Pair, Shelf]] = []


def begin(booth: Booth, folder: Path, enrolled: Sequence[Enrolled]) -> None:
    """Open the models and the gallery in this process."""
    os.nice(5)
    cv2.setNumThreads(1)
    version = Calibration.load(MODELS / "fusion.json").embedding
    fill(folder, enrolled)
    _bench[:] = [(booth, Pair(MODELS), Shelf(folder, booth.catalogue(), model_version=version))]


def enrol(pose: BoothPose) -> Enrolled | str:
    """Embed one reference."""
    return Enroller(_bench[0][1]).enrol(pose)


def look(number: int) -> Found:
    """Let all sources speak of one capture."""
    booth, models, shelf = _bench[0]
    names, index = list(shelf.products), shelf.index
    shot = booth.world().shot(number)
    prepared = prepare([RawView(each.jpeg, each.depth_png, each.camera_id) for each in shot.pictures], codes=True)
    embeddings = models.embed(prepared.pixels)
    claims = ((index.product_of(normalise(code.text, code.symbology) or ""), code.confirmed) for code in prepared.codes)
    near = index.nearest(embeddings.vectors, k=len(names), expected=names)
    maps = asyncio.run(shelf.get([each for found in near for each in found.reference_ids]))
    shortlist = [
        Shortlisted(each.product_id, each.similarity, tuple(maps[one] for one in each.reference_ids)) for each in near
    ]
    ranked = {each.product_id: each for each in rank(embeddings.patches, shortlist)}
    return Found(
        number=number,
        own=names.index(shot.truth.product_id),
        damaged=shot.truth.damaged,
        redesigned=shot.truth.facts["redesigned"] == "yes",
        codes=[(names.index(product), confirmed) for product, confirmed in claims if product is not None],
        pooled=[round(ranked[name].similarity, 6) for name in names],
        patch=[round(ranked[name].patch, 6) for name in names],
    )


def collect(booth: Booth, keep: Path, *, processes: int) -> None:
    """Look at all captures that are not in the file yet."""
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    done = {each.number for each in kept(keep)}
    left = [shot.number for shot in booth.shots() if shot.number not in done]
    with tempfile.TemporaryDirectory() as folder, _pool(booth, Path(folder), [], processes) as pool:
        enrolled = [each for each in pool.map(enrol, booth.poses(), chunksize=4) if isinstance(each, Enrolled)]
    with (
        tempfile.TemporaryDirectory() as folder,
        _pool(booth, Path(folder), enrolled, processes) as pool,
        keep.open("ab") as file,
    ):
        for found in pool.map(look, left, chunksize=8):
            file.write(msgspec.json.encode(found) + b"\n")
            file.flush()


def kept(path: Path) -> list[Found]:
    """Read what was kept of earlier captures."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Found) for line in lines]


def _pool(booth: Booth, folder: Path, enrolled: Sequence[Enrolled], processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=begin, initargs=(booth, folder, enrolled)
    )


def identified(found: Found, scanned: int, codes: Sequence[tuple[int, bool]], limits: IdentityLimits) -> Identity:
    """Identify a capture as the line would, had the scanner read the code of a product."""
    nearest = np.argsort(-np.array(found.pooled))[:SHORTLIST].tolist()
    named = [scanned, *(product for product, _ in codes)]
    candidates = [
        ImageCandidate(str(each), found.pooled[each], found.patch[each]) for each in dict.fromkeys((*nearest, *named))
    ]
    return identify(
        scan=ScanClaim(str(scanned), str(scanned), 0),
        codes=[CodeClaim(str(product), str(product), confirmed) for product, confirmed in codes],
        candidates=candidates,
        expected=[],
        limits=limits,
    )


def labels(found: Found) -> Iterator[tuple[str, int]]:
    """Yield wrong labels for a capture: that of the product it looks most like besides its own, and some others."""
    order = [each for each in np.argsort(-np.array(found.patch)).tolist() if each != found.own]
    yield "most alike", order[0]
    drawn = np.random.default_rng(found.number).permutation(order[1:])[:OTHERS].tolist()
    yield from (("another", each) for each in drawn)


def tell(rows: Sequence[Found], limits: IdentityLimits) -> Iterator[str]:
    """Say what was found, a line for each kind of label."""
    for words, some in (
        ("intact", [each for each in rows if not each.damaged and not each.redesigned]),
        ("damaged", [each for each in rows if each.damaged and not each.redesigned]),
        ("redesigned", [each for each in rows if each.redesigned]),
    ):
        for name, blind in (("codes as printed", False), ("no code read", True)):
            called = [identified(each, each.own, [] if blind else each.codes, limits).conflict for each in some]
            yield f"right label, {words}, {name}: called wrong {share(called)}"
    for kind in ("sticker", "unread", "print"):
        conflicts: dict[str, list[bool]] = {"another": [], "most alike": []}
        for each in rows:
            for whose, label in labels(each):
                codes = {
                    "sticker": each.codes,
                    "unread": [],
                    "print": [(label if product == each.own else product, sure) for product, sure in each.codes],
                }[kind]
                conflicts[whose].append(identified(each, label, codes, limits).conflict)
        for whose, found in conflicts.items():
            yield f"wrong label ({kind}) of {whose}: found {share(found)}"


def strangers(rows: Sequence[Found], limits: IdentityLimits) -> Iterator[str]:
    """Say how often looks alone name a product, among so many: whose own is there, and whose is not."""
    everyone = len(rows[0].pooled)
    for size in (*(each for each in SIZES if each < everyone), everyone):
        right, wrong, alien = [], [], []
        for each in rows:
            others = np.random.default_rng([each.number, size]).permutation(everyone).tolist()
            others = [product for product in others if product != each.own][:size]
            known = named(each, [each.own, *others[: size - 1]], limits, listed=size < everyone)
            right.append(known == str(each.own))
            wrong.append(known not in {None, str(each.own)})
            alien.append(named(each, others, limits, listed=size < everyone) is not None)
        yield f"{size} products: right {share(right)}; wrong {share(wrong)}; strangers named {share(alien)}"


def named(found: Found, choice: Sequence[int], limits: IdentityLimits, *, listed: bool) -> str | None:
    """Name a capture by its looks alone, as one of some products."""
    nearest = sorted(choice, key=lambda each: -found.pooled[each])[:SHORTLIST]
    candidates = [ImageCandidate(str(each), found.pooled[each], found.patch[each]) for each in nearest]
    expected = [str(each) for each in choice] if listed else []
    return identify(scan=None, codes=[], candidates=candidates, expected=expected, limits=limits).product_id


def share(hits: Sequence[bool]) -> str:
    """Write a share with its interval."""
    if not hits:
        return "none tried"
    may_be = exact(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} = {np.mean(hits):.4f} ({may_be.low:.4f} to {may_be.high:.4f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keep", type=Path, help="where what was found is kept")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--products", type=int, default=40)
    parser.add_argument("--captures", type=int, default=1200)
    parser.add_argument("--split", choices=get_args(Split), default="run")
    parser.add_argument("--style", choices=[*get_args(SiteStyle)], default="standard")
    parser.add_argument("--redesigned", type=float, default=0.05)
    parser.add_argument("--processes", type=int, default=1)
    said = parser.parse_args()
    booth = Booth(
        said.seed,
        said.captures,
        products=said.products,
        split=said.split,
        damage_rate=0.1,
        site_style=said.style,
        redesigned=said.redesigned,
    )
    collect(booth, said.keep, processes=said.processes)
    rows, limits = kept(said.keep), Calibration.load(MODELS / "fusion.json").limits
    for line in (*tell(rows, limits), *strangers(rows, limits)):
        print(line)  # noqa: T201 - printing is the point


if __name__ == "__main__":
    main()
