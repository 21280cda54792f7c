"""Names for torch's types. Types are checked where torch is not installed, so to the checker they are all `Any`."""

from __future__ import annotations

from typing import Any

Tensor = Any
Network = Any
Device = Any
Dtype = Any
