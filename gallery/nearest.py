"""Which references captures are nearest to: counted by an inspector in memory, written to the gallery now and then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

import structlog

from gallery.lives import Lives
from schemas.faults import Retryable

EVERY_S: Final = 5.0
_log = structlog.get_logger(__name__)


class Tally:
    """Counts for one process; what was counted while Redis is away is written later, what a kill takes is missed."""

    def __init__(self, lives: Lives) -> None:
        """Start with nothing counted."""
        self._lives = lives
        self._compared: Counter[str] = Counter()
        self._nearest: dict[str, str] = {}

    def count(self, product_id: str, reference_id: str) -> None:
        """Note a capture that was compared with its product, and which reference was the nearest."""
        self._compared[product_id] += 1
        self._nearest[reference_id] = product_id

    async def flush(self) -> None:
        """Write what was counted.

        Raises:
            Retryable: `gallery`; nothing is lost.
        """
        compared, nearest = self._compared, self._nearest
        if not compared:
            return
        self._compared, self._nearest = Counter(), {}
        try:
            await self._lives.tally(nearest, compared, at_ms=time.time_ns() // 1_000_000)
        except Retryable:
            self._compared.update(compared)
            self._nearest = nearest | self._nearest
            raise

    async def keep_writing(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.flush()
            except Retryable as away:
                _log.warning("counts of nearest references wait", error=str(away))
