"""JSON Schemas of the messages, for readers in any language.

They say what a message of this version looks like and let through what later versions may add: fields no one knows yet
(no schema forbids them) and new values of enums (each is a string, with the known values listed first). What our own
workers write stays within the known values; a contract test closes the enums again and checks that.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import msgspec

import schemas.words
from schemas.faults import Reason
from schemas.messages import DeadLetter, Message
from schemas.register import MESSAGES
from schemas.words import NO_NEWLINE

Json = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LATER: Final = "Later versions may add values: read one you do not know as `unknown`."


def file_stem(message: type[Message]) -> str:
    """Return the name of a message in file names and ids: `DeadLetter` is `dead_letter`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", message.__name__).lower()


def summary(text: str | None) -> str:
    """Return the first paragraph of a docstring: the rest is for whoever changes the code."""
    return (text or "").split("\n\n")[0].strip()


def components(ref_template: str) -> dict[str, Json]:
    """Return a schema for each message, part and enum by its name; `ref_template` says where `{name}` will be found."""
    _, found = msgspec.json.schema_components(MESSAGES, ref_template=ref_template)
    named = {name: _portable(body) for name, body in found.items()}
    for name, body in named.items():
        body["description"] = summary(body["description"])
        if "enum" in body:
            named[name] = _opened(getattr(schemas.words, name), title=name, description=body["description"])
    named[DeadLetter.__name__] = _as_headers(named[DeadLetter.__name__])
    return named


def document(message: type[Message]) -> Json:
    """Return the self-contained JSON Schema (draft 2020-12) of one message."""
    named = components("#/$defs/{name}")
    body = named[message.__name__]
    parts: dict[str, Json] = {}
    _collect(body, named, parts)
    return {
        "$schema": DIALECT,
        "$id": f"urn:sideline:{file_stem(message)}:v1",
        **body,
        **({"$defs": {name: parts[name] for name in sorted(parts)}} if parts else {}),
    }


def _collect(body: Json, named: dict[str, Json], parts: dict[str, Json]) -> None:
    """Add to `parts` what `body` refers to, and what those refer to."""
    for name in re.findall(r"#/\$defs/(\w+)", msgspec.json.encode(body).decode()):
        if name not in parts:
            parts[name] = named[name]
            _collect(named[name], named, parts)


def _portable(body: Json) -> Json:
    """Take out of the patterns what only Python's `$` needs, so that engines without look-ahead read them too."""
    text = msgspec.json.encode(body).decode()
    portable: Json = msgspec.json.decode(text.replace(msgspec.json.encode(NO_NEWLINE).decode()[1:-1], ""))
    return portable


def _opened(kind: type[Enum], *, title: str, description: str) -> Json:
    """Return the schema of an enum whose readers take any text, known values first and in the order of the code."""
    known = [member.value for member in kind]
    return {
        "title": title,
        "description": f"{description} {LATER}",
        "type": "string",
        "anyOf": [{"enum": known}, {"type": "string"}],
    }


def _as_headers(body: Json) -> Json:
    """Turn the dead letter's fields into header texts: numbers are written in digits."""
    properties = {
        name: {"type": "string", "pattern": "^[0-9]+$"} if field.get("type") == "integer" else field
        for name, field in body["properties"].items()
    }
    properties["sideline-reason"] = _opened(
        Reason, title="Reason", description="Why the message could not be processed."
    )
    return body | {"properties": properties}
