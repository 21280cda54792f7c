"""The poster of a decision: what the cameras saw, where the evidence is, and the numbers that decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cli.canvas import GREY, INK, PALE, RULE, WHITE, Color, Sheet, broken
from cli.story import Budget, KindShare, Story
from schemas.words import MICRO

WIDTH: Final = 1600
MARGIN: Final = 52
GAP: Final = 24
CAPTION: Final = 44  # height of a caption
FLATTEST: Final = 0.4  # height by width of a frame
SPACE: Final = 16  # above a title
LEFT: Final = 900  # width of the pictures' column
RIGHT: Final = WIDTH - 2 * MARGIN - LEFT - 56
TONES: Final[dict[str, Color]] = {
    "pass": (34, 120, 72),
    "withheld": (186, 112, 0),
    "damage": (190, 40, 44),
    "identity": (118, 52, 150),
    "audit": (12, 112, 134),
    "undetermined": (186, 112, 0),
    "rejected": (92, 98, 108),
}
BLUE: Final = (46, 98, 176)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture uint8[H, W, 3] with its caption; without a picture, `missing` says why.

    `place` is x, y, width, height of the evidence in millionths of the picture.
    """

    caption: str
    rgb: NDArray[np.uint8] | None = None
    missing: str = ""
    place: tuple[int, ...] = ()


def draw(story: Story, *, views: Sequence[Tile], references: Sequence[Tile], path: Path) -> None:
    """Write the poster as a PNG, 1600 pixels wide and as long as it needs."""
    sheet = Sheet(WIDTH)
    tone = TONES.get(story.tone, INK)
    top = _header(sheet, story, tone) + 44
    left_end = _pictures(sheet, top, tone, views, references)
    right_end = _facts(sheet, top, tone, story)
    end = _footer(sheet, max(left_end, right_end) + 36, story)
    sheet.save(path, height=end)


def _header(sheet: Sheet, story: Story, tone: Color) -> float:
    room = WIDTH - 2 * MARGIN - 470
    why = broken(story.why[:1].upper() + story.why[1:], 25, room)
    height = max(180, 124 + 34 * len(why))
    sheet.box(0, 0, WIDTH, height, tone)
    sheet.text(MARGIN, 40, story.headline, 52, WHITE, bold=True)
    y = 114
    for line in why:
        sheet.text(MARGIN, y, line, 25, WHITE)
        y += 34
    y = 46
    for line in story.where:
        sheet.text(WIDTH - MARGIN, y, line, 21, WHITE, anchor="ra")
        y += 34
    return height


def _pictures(sheet: Sheet, y: float, tone: Color, views: Sequence[Tile], references: Sequence[Tile]) -> float:
    """Draw the views, the evidence enlarged, and the references, in two rows without gaps.

    One view stands beside its evidence, or fills the column where there are no references. Several have a row to
    themselves, their evidence stands beside the references.
    """
    y -= SPACE
    half, right = (LEFT - GAP) / 2, MARGIN + (LEFT + GAP) / 2
    closer = [part for tile in views if (part := _closer(tile)) is not None]
    if len(views) == 1 and not references:
        y = _grid(
            sheet, MARGIN, _title(sheet, MARGIN, y, LEFT, "What the camera saw"), LEFT, views, columns=1, tone=tone
        )
        return _compared(sheet, MARGIN, y, LEFT, references, columns=4, tone=tone)
    if closer and len(views) == 1:
        below = _title(sheet, MARGIN, y, half, "What the camera saw")
        _title(sheet, right, y, half, "Where the evidence is strongest")
        _grid(sheet, right, below, half, closer, columns=1, tone=tone)
        y = _grid(sheet, MARGIN, below, half, views, columns=1, tone=tone)
        return _compared(sheet, MARGIN, y, LEFT, references, columns=4, tone=tone)
    y = _title(sheet, MARGIN, y, LEFT, "What the cameras saw")
    y = _grid(sheet, MARGIN, y, LEFT, views, columns=min(3, max(2, len(views))), tone=tone)
    if not closer:
        return _compared(sheet, MARGIN, y, LEFT, references, columns=4, tone=tone)
    below = _title(sheet, MARGIN, y, half, "Where the evidence is strongest")
    end = _grid(sheet, MARGIN, below, half, closer, columns=1, tone=tone)
    return max(end, _compared(sheet, right, y, half, references, columns=2, tone=tone))


def _compared(
    sheet: Sheet, x: float, y: float, width: float, references: Sequence[Tile], *, columns: int, tone: Color
) -> float:
    y = _title(sheet, x, y, width, "What it was compared with")
    columns = min(columns, max(2, len(references)))
    if references:
        return _grid(sheet, x, y, width, references, columns=columns, tone=tone)
    why = "No references: the product was not identified, is disputed, or the gallery holds none of it."
    return sheet.paragraph(x, y, width, why, 20, GREY)


def _closer(tile: Tile) -> Tile | None:
    """Cut out the evidence with as much again around it, at least an eighth of the picture."""
    if tile.rgb is None or not tile.place:
        return None
    height, width = tile.rgb.shape[:2]
    x, y, w, h = (part / MICRO for part in tile.place)
    half = max(w * width, h * height, max(width, height) / 8)
    left, top = max(0, round((x + w / 2) * width - half)), max(0, round((y + h / 2) * height - half))
    cut = tile.rgb[top : top + round(2 * half), left : left + round(2 * half)]
    return Tile(f"a closer look at {tile.caption}", cut)


def _grid(sheet: Sheet, x: float, y: float, width: float, tiles: Sequence[Tile], *, columns: int, tone: Color) -> float:
    """Draw tiles in rows of so many, captions below; return the y below the last."""
    wide = (width - GAP * (columns - 1)) / columns
    shapes = [float(tile.rgb.shape[0] / tile.rgb.shape[1]) for tile in tiles if tile.rgb is not None]
    high = wide * min(1.0, max([*shapes, FLATTEST]))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = x + column * (wide + GAP), y + row * (high + CAPTION)
        if tile.rgb is None:
            _absent(sheet, left, top, wide, high, tile.missing)
        else:
            shown = sheet.picture(left, top, wide, high, tile.rgb)
            if tile.place:
                px, py, pw, ph = (part / MICRO for part in tile.place)
                sheet.outline(shown[0] + px * shown[2], shown[1] + py * shown[3], pw * shown[2], ph * shown[3], tone)
        captions = broken(tile.caption, 17, wide)
        sheet.text(left, top + high + 8, captions[0] if captions else "", 17, GREY)
    return y + -(-len(tiles) // columns) * (high + CAPTION)


def _absent(sheet: Sheet, x: float, y: float, wide: float, high: float, why: str) -> None:
    sheet.box(x, y, wide, high, PALE, radius=6)
    lines = broken(why, 18, wide - 40)
    for index, line in enumerate(lines):
        sheet.text(x + wide / 2, y + high / 2 + 26 * (index - len(lines) / 2), line, 18, GREY, anchor="ma")


def _facts(sheet: Sheet, y: float, tone: Color, story: Story) -> float:
    x = WIDTH - MARGIN - RIGHT
    y -= SPACE
    if story.score is not None:
        y = _title(sheet, x, y, RIGHT, "Score against the threshold in force")
        y = _gauge(sheet, x, y, story.score, story.threshold, tone)
    y = _lines(sheet, x, y, story.terms)
    if story.kinds:
        y = _title(sheet, x, y, RIGHT, "What kind of damage it would be")
        y = _bars(sheet, x, y, story.kinds, tone)
    if story.identity:
        y = _title(sheet, x, y, RIGHT, "What the unit is")
        y = _lines(sheet, x, y, story.identity)
    if story.budget is not None:
        y = _title(sheet, x, y, RIGHT, "The false-alarm budget")
        y = _accounts(sheet, x, y, story.budget)
        y = _lines(sheet, x, y, story.budget_words[2:])
    if story.score is not None or story.verdicts:
        y = _title(sheet, x, y, RIGHT, "What people said")
        y = _lines(sheet, x, y, story.verdicts or ("no verdict yet",))
    return y


def _gauge(sheet: Sheet, x: float, y: float, score: float, threshold: float | None, tone: Color) -> float:
    """Draw log-odds on a line, the region that asks for a stop tinted."""
    known = [score] if threshold is None else [score, threshold]
    low, high = min(-6.0, *known) - 0.5, max(6.0, *known) + 0.5

    def at(value: float) -> float:
        return x + (value - low) / (high - low) * RIGHT

    sheet.text(min(max(at(score), x + 70), x + RIGHT - 70), y, f"score {score:+.2f}", 22, tone, bold=True, anchor="ma")
    bar = y + 52
    sheet.pointer(at(score), bar - 4, tone)
    sheet.box(x, bar, RIGHT, 26, PALE, radius=6)
    if threshold is not None:
        sheet.box(at(threshold), bar, x + RIGHT - at(threshold), 26, _tint(TONES["damage"]), radius=6)
        sheet.tick(at(threshold), bar - 6, bar + 36, INK)
        label = min(max(at(threshold), x + 90), x + RIGHT - 90)
        sheet.text(label, bar + 40, f"threshold {threshold:+.2f}", 18, INK, anchor="ma")
    ends = ((x, "surely fine", "la"), (x + RIGHT, "surely damaged", "ra"))
    for end, words, anchor in ends:
        if threshold is None or abs(at(threshold) - end) > 230:  # noqa: PLR2004 - else it would meet the other label
            sheet.text(end, bar + 41, words, 16, GREY, anchor=anchor)
    return bar + 84


def _bars(sheet: Sheet, x: float, y: float, kinds: Sequence[KindShare], tone: Color) -> float:
    room = RIGHT - 190 - 64
    for share in kinds:
        sheet.text(x, y, share.kind, 18)
        sheet.box(x + 190, y + 2, room, 16, PALE, radius=4)
        sheet.box(x + 190, y + 2, room * share.chance, 16, tone if share.chance >= 0.5 else RULE, radius=4)  # noqa: PLR2004
        sheet.text(x + RIGHT, y, f"{share.chance:.0%}", 18, GREY, anchor="ra")
        y += 29
    return y


def _accounts(sheet: Sheet, x: float, y: float, budget: Budget) -> float:
    """Draw both accounts before and after: free tokens solid, tokens that wait for a verdict striped."""
    room = RIGHT - 80
    for name, balance, pending in (
        ("before", budget.balance_before, budget.pending_before),
        ("after", budget.balance_after, budget.pending_after),
    ):
        full = max(budget.burst, balance + pending)
        sheet.text(x, y, name, 18)
        sheet.box(x + 80, y, room, 22, PALE, radius=4)
        sheet.box(x + 80, y, room * balance / full, 22, BLUE, radius=4)
        sheet.stripes(x + 80 + room * balance / full, y, room * pending / full, 22, BLUE)
        y += 32
    sheet.box(x + 80, y + 2, 16, 14, BLUE)
    sheet.text(x + 102, y, f"{budget.balance_after:.2f} free", 17, GREY)
    sheet.stripes(x + 232, y + 2, 16, 14, BLUE)
    sheet.text(x + 254, y, f"{budget.pending_after:.0f} waiting", 17, GREY)
    sheet.text(x + RIGHT, y, f"of {budget.burst:g} tokens", 17, GREY, anchor="ra")
    return y + 34


def _footer(sheet: Sheet, y: float, story: Story) -> float:
    sheet.rule(MARGIN, y, WIDTH - 2 * MARGIN)
    y += 18
    for line in ("   ·   ".join(story.times), "   ·   ".join(story.versions), "   ·   ".join(story.ids)):
        if line:
            y = sheet.paragraph(MARGIN, y, WIDTH - 2 * MARGIN, line, 18, GREY)
    return y + 26


def _title(sheet: Sheet, x: float, y: float, width: float, text: str) -> float:
    y += SPACE
    sheet.text(x, y, text, 24, INK, bold=True)
    sheet.rule(x, y + 38, width)
    return y + 54


def _lines(sheet: Sheet, x: float, y: float, lines: Sequence[str]) -> float:
    for line in lines:
        y = sheet.paragraph(x, y, RIGHT, line, 19) + 4
    return y


def _tint(color: Color) -> Color:
    red, green, blue = (255 - (255 - part) // 4 for part in color)
    return red, green, blue
