"""What a fuzz target is: a decoder of outside bytes, what it may do with them, and where to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# (data, most_bytes, seed, plain mutation of the engine) -> other data
Mutate = Callable[[bytes, int, int, Callable[[bytes, int], bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder under any bytes.

    `check` feeds it one input. It returns where the decoder gave a value or one of the errors that it declares, and
    raises for everything else, also for a value that breaks a promise. `seeds` are rendered, not stored. `words` are
    texts that the format knows. `mutate` changes inputs along the format; None: only as plain bytes.

    `inputs` is how many of them a run in CI takes, so that all targets together end within a minute.
    """

    name: str
    check: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[bytes] = ()
    mutate: Mutate | None = None
    most_bytes: int = 16 * 1024
    timeout_s: int = 10  # for one input, by the clock: on a busy machine an honest one waits for its turn
    memory_mib: int = 512  # on top of what the libraries take
    inputs: int = 5_000
    environment: Mapping[str, str] = field(default_factory=dict)
