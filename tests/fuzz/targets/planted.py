"""Decoders with known faults, in no list of targets: a fuzzer that does not find them finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fuzz.target import Target


def _crashes(raw: bytes) -> None:
    """Reads a length, and believes it: two comparisons deep, so that chance alone takes long."""
    if raw[:2] == b"SL" and len(raw) > 3 and raw[2] > 9:
        raise IndexError("a length was believed")


def _hangs(raw: bytes) -> None:
    """Waits for an end that never comes."""
    while raw[:2] == b"SL":
        pass


def _floods(raw: bytes) -> None:
    """Takes as much memory as the input says."""
    if raw[:2] == b"SL":
        bytearray(1 << 34)


def _target(name: str, check: Callable[[bytes], None], timeout_s: int = 10) -> Target:
    return Target(f"planted.{name}", check, lambda: [b"nothing", b"much"], timeout_s=timeout_s)


TARGETS: Final = (_target("crash", _crashes), _target("hang", _hangs, timeout_s=2), _target("flood", _floods))
