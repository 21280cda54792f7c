"""One target under the fuzzer, in a process of its own: a crash, a hang or a flood of memory ends only this process.

python -m tests.fuzz.one NAME --out DIR [--inputs N] [--seconds S] [--seed N]
python -m tests.fuzz.one NAME --input FILE      the same check once, without the fuzzer: reproduces a find
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import logging
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from tests.fuzz.target import Target

# Instrumented for coverage: ours, and the readers written in Python that see outside bytes first.
_INSTRUMENTED: Final = (
    *("schemas", "streams", "evidence", "gallery", "budget", "feedback", "settings", "training", "workers", "cli"),
    *("PIL", "biip", "tests.fuzz.targets"),
)
_NICE: Final = 10
_STATM: Final = os.open("/proc/self/statm", os.O_RDONLY)
_PAGE: Final = 4096  # bytes


def main() -> None:
    """Fuzz one target, or try one input."""
    parser = argparse.ArgumentParser(description="One fuzz target in this process.")
    parser.add_argument("name")
    parser.add_argument("--out", type=Path, help="folder for the inputs that were finds")
    parser.add_argument("--inputs", type=int, default=-1, help="how many; default: no limit")
    parser.add_argument("--seconds", type=int, default=0, help="how long; default: no limit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="try this file once")
    asked = parser.parse_args()
    _keep_quiet()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if asked.input is not None:
        _try(asked.name, asked.input)
        return
    _fuzz(asked.name, asked.out, inputs=asked.inputs, seconds=asked.seconds, seed=asked.seed)


def _try(name: str, file: Path) -> None:
    """Check one input under the same limits; what hangs shows where."""
    from tests.fuzz.registry import find

    target = find(name)
    raw = file.read_bytes()
    faulthandler.dump_traceback_later(target.timeout_s, exit=True)
    with _limited(target.memory_mib):
        target.check(raw)
    faulthandler.cancel_dump_traceback_later()


def _fuzz(name: str, out: Path, *, inputs: int, seconds: int, seed: int) -> None:
    """Hand the process over to libFuzzer, which ends it: 0 at the limit, 70 to 77 with a find."""
    import atheris

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from tests.fuzz.registry import find

        target = find(name)
    os.nice(_NICE)
    folder = Path(tempfile.mkdtemp())  # in the campaign's own, which removes it
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, raw in enumerate(target.seeds()):
        target.check(raw)  # a seed must hold, and what it imports is imported now
        (corpus / f"{number:04}").write_bytes(raw)
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words))
    mutate = target.mutate
    atheris.Setup(
        [
            name,
            f"-seed={seed}",
            f"-runs={inputs}",
            f"-max_total_time={seconds}",
            f"-timeout={target.timeout_s}",
            f"-max_len={target.most_bytes}",
            f"-artifact_prefix={out.resolve()}/",
            *([f"-dict={words}"] if target.words else []),
            "-rss_limit_mb=0",  # each check's address space is limited instead, see below
            "-print_final_stats=1",
            "-len_control=0",  # seeds have the size of real messages: no need to grow into it
            str(corpus),
        ],
        lambda raw: _check(target, raw, out),
        custom_mutator=None if mutate is None else lambda data, most, at: mutate(data, most, at, atheris.Mutate),
    )
    atheris.Fuzz()


def _check(target: Target, raw: bytes, out: Path) -> None:
    """Check one input; keep one that is a find at once, as a library that ends badly may end the process before."""
    try:
        with _limited(target.memory_mib):
            target.check(raw)
    except Exception:
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()  # as libFuzzer names it
        (out / f"crash-{name}").write_bytes(raw)
        raise


@contextmanager
def _limited(memory_mib: int) -> Iterator[None]:
    """Have allocations fail beyond the limit: of the decoder that is checked, not of the fuzzer between two checks."""
    taken = int(os.pread(_STATM, 64, 0).split()[0]) * _PAGE
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + (memory_mib << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _keep_quiet() -> None:
    """Log nothing: a decoder that warns of each bad input would fill the disk, and cost more than it does."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _quoted(word: bytes) -> str:
    """Write bytes as libFuzzer's dictionaries want them."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
