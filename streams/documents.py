"""Write everything that is generated from the messages and the topic table: `python -m streams.documents [--check]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import msgspec

from schemas.register import MESSAGES
from streams import asyncapi, json_schemas, topics_page
from streams.json_schemas import Json, file_stem

ROOT: Final = Path(__file__).resolve().parent.parent
GOLDEN: Final = ROOT / "schemas" / "golden" / "v1"
SCHEMAS: Final = ROOT / "schemas" / "json"


def documents() -> dict[Path, str]:
    """Return the text of every generated file."""
    return {
        **{SCHEMAS / f"{file_stem(message)}.v1.json": _text(json_schemas.document(message)) for message in MESSAGES},
        ROOT / "schemas" / "asyncapi.json": _text(asyncapi.document(_examples())),
        ROOT / "docs" / "topics.md": topics_page.page(),
    }


def stale() -> list[Path]:
    """Return the files that are not as they would be written now, those no one writes any more included."""
    wanted = documents()
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    return sorted({*changed, *(path for path in SCHEMAS.glob("*") if path not in wanted)})


def write() -> list[Path]:
    """Bring all files up to date and return those that were not."""
    wanted, old = documents(), stale()
    for path in old:
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return old


def _examples() -> dict[str, list[Json]]:
    """Return the golden messages that fill every field, by message."""
    return {
        file_stem(message): [msgspec.json.decode((GOLDEN / file_stem(message) / "full.json").read_bytes())]
        for message in MESSAGES
    }


def _text(document: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` only say which are stale and fail if there are any."""
    parser = argparse.ArgumentParser(prog="python -m streams.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a file is not up to date")
    check = parser.parse_args(arguments).check
    found = stale() if check else write()
    for path in found:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
