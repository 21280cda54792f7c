"""What a round with a violation leaves behind to look at: the workers' logs, and the history of each capture named."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli.history.tell import history_text
from cli.history.where import Where
from schemas.faults import SidelineError
from tests.chaos.rounds import Result
from tests.chaos.stage import Say, Stage

TOLD: Final = 10  # captures whose histories are kept
_CAPTURE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


async def keep_traces(stage: Stage, result: Result, folder: Path, *, say: Say) -> None:
    """Copy the logs and write the histories into a folder of the round's own; nothing for a round without violation."""
    if not result.violations:
        return
    kept = folder / f"seed-{result.seed}-round-{result.number}"
    await asyncio.to_thread(shutil.copytree, stage.parts.folder.logs, kept / "logs", dirs_exist_ok=True)
    (kept / "violations.txt").write_text("\n".join(result.violations) + "\n")
    where = Where(
        bootstrap=stage.line.bootstrap,
        decisions_url=stage.line.endpoints.redis_decisions_url,
        gallery_url=stage.line.endpoints.redis_gallery_url,
        store_id=stage.line.store_id,
        logs=stage.parts.folder.logs,
    )
    for place, capture_id in enumerate(named(result.violations)[:TOLD]):
        try:
            text = await history_text(where, capture_id, result.site)
        except SidelineError as error:
            text = f"{capture_id}: {error}\n"
        (kept / f"{capture_id}.txt").write_text(text)
        if not place:
            say(f"the history of the first capture concerned:\n{text}")
    say(f"logs and histories of this round: {kept}")


def named(violations: Sequence[str]) -> list[str]:
    """Return the captures that violations name, each once."""
    return list(dict.fromkeys(match for words in violations for match in _CAPTURE.findall(words)))
