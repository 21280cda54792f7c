"""Features of pictures, computed once: kept by the content of the picture and of the code that makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import evidence.decode
import evidence.frame
from training.graft import features_of
from training.photographs.anatomy import opened
from training.photographs.prints import Print, PrintShop, Unreadable, read_bytes

_CHUNK: Final = 32  # pictures in hand at a time


class FeatureShelf:
    """A folder of feature vectors. A picture that was seen before is not even decoded, whatever it is called now."""

    def __init__(self, folder: Path, model: bytes) -> None:
        self._model = model
        digest = hashlib.sha256(model)
        for source in (evidence.decode.__file__, evidence.frame.__file__):
            digest.update(Path(source).read_bytes())
        self._folder = folder / digest.hexdigest()[:16]

    def compute(self, paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.float32] | Unreadable]]:
        """Yield each picture's float32[D], in order; interrupted, it goes on from where it was."""
        session = None
        with PrintShop() as shop:
            for start in range(0, len(paths), _CHUNK):
                chunk = paths[start : start + _CHUNK]
                found: dict[Path, NDArray[np.float32] | Unreadable] = {}
                fresh: list[tuple[Path, bytes, Path]] = []
                for path in chunk:
                    raw = read_bytes(path)
                    if isinstance(raw, Unreadable):
                        found[path] = raw
                        continue
                    name = hashlib.sha256(raw).hexdigest()
                    kept = self._folder / name[:2] / f"{name}.npy"
                    if (known := _kept(kept)) is not None:
                        found[path] = known
                    else:
                        fresh.append((path, raw, kept))
                prints = shop.make([raw for _, raw, _ in fresh])
                for (path, _, kept), made in zip(fresh, prints, strict=True):
                    if isinstance(made, Print):
                        session = session or opened(self._model)
                        vector = features_of(session, made.pixels)[0]
                        _keep(kept, vector)
                        found[path] = vector
                    else:
                        found[path] = made
                for path in chunk:
                    yield path, found[path]


def _kept(path: Path) -> NDArray[np.float32] | None:
    """Return a vector from the shelf; one that cannot be read is computed anew."""
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError):
        return None


def _keep(path: Path, vector: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, vector)
    unfinished.replace(path)
