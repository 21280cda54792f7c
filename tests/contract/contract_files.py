"""The files of the contract as tests read them: golden messages and JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator

from schemas.messages import Message
from schemas.register import MESSAGES
from streams.documents import GOLDEN, SCHEMAS
from streams.json_schemas import file_stem

Json: TypeAlias = Any
BY_STEM: dict[str, type[Message]] = {file_stem(message): message for message in MESSAGES}


def golden_files() -> list[Path]:
    """Return every golden message."""
    return sorted(GOLDEN.glob("*/*.json"))


def kind_of(golden: Path) -> type[Message]:
    """Return the message that a golden file holds."""
    return BY_STEM[golden.parent.name]


def label(path: Path) -> str:
    """Name a golden file in test ids."""
    return f"{path.parent.name}/{path.stem}"


def schema_of(kind: type[Message]) -> Json:
    """Return the published JSON Schema of a message."""
    return json.loads((SCHEMAS / f"{file_stem(kind)}.v1.json").read_bytes())


def open_validator(kind: type[Message]) -> Draft202012Validator:
    """Return what a consumer checks with."""
    return Draft202012Validator(schema_of(kind))


def closed_validator(kind: type[Message]) -> Draft202012Validator:
    """Return what our own messages must pass: no value and no field beyond those of today."""
    return Draft202012Validator(_closed(schema_of(kind)))


def _closed(part: Json) -> Json:
    """Take away what lets later versions through."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(value) for name, value in part.items()}
    if "enum" in (part.get("anyOf") or [{}])[0]:
        closed["anyOf"] = part["anyOf"][:1]
    if isinstance(part.get("properties"), dict):
        closed["additionalProperties"] = False
    return closed
