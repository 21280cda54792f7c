"""Pictures for people: what a URI of a decision or a reference shows, or why it cannot be shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from obstore.store import S3Store

from cli.poster import Tile
from evidence.decode import decode
from evidence.uris import FilePlace, ObjectPlace, locate
from schemas.faults import Poison
from schemas.words import MAX_VIEW_BYTES
from settings.line import Settings

SHOWN_PX: Final = 1400  # long side: more than a poster shows


class Pictures:
    """Opens pictures below the image roots and in the listed buckets, like the line itself does."""

    def __init__(self, settings: Settings, *, image_root: Path) -> None:
        """Take the settings in force; `image_root` holds unless they name other roots."""
        self._roots = [root.resolve() for root in (settings.image_roots or [image_root])]
        self._buckets: Sequence[str] = settings.s3_buckets
        self._s3_endpoint = settings.s3_endpoint

    async def tile(self, uri: str, caption: str, *, place: Sequence[int] = ()) -> Tile:
        """Return a picture ready to be drawn; one that cannot be had says why instead of failing the command."""
        try:
            rgb = await asyncio.to_thread(self._open, uri)
        except (Poison, OSError) as error:
            return Tile(caption, missing=f"no picture: {error}")
        return Tile(caption, rgb, place=tuple(place) if len(place) == 4 else ())  # noqa: PLR2004 - x, y, width, height

    def _open(self, uri: str) -> NDArray[np.uint8]:
        match locate(uri):
            case FilePlace(path=path):
                real = Path(path).resolve()
                if not any(real.is_relative_to(root) for root in self._roots):
                    raise PermissionError(f"{uri} is not below an image root")
                with real.open("rb") as file:
                    raw = file.read(MAX_VIEW_BYTES + 1)
            case ObjectPlace(bucket=bucket, key=key):
                if bucket not in self._buckets:
                    raise PermissionError(f"bucket {bucket} is not among the configured ones")
                plain = self._s3_endpoint.startswith("http://")
                store = S3Store(
                    bucket,
                    config={"endpoint": self._s3_endpoint} if self._s3_endpoint else {},
                    client_options={"allow_http": plain},
                )
                raw = bytes(store.get(key).bytes())
        rgb, _ = decode(raw, long_side=SHOWN_PX)
        return rgb
