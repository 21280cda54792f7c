"""The part of a decision that workers write: what the store's script appends its own fields to."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from schemas.messages import DecisionHead, SidelinedHead


def render_head(head: DecisionHead | SidelinedHead) -> bytes:
    """Return the head as JSON without its closing brace, and without what is empty: a record has 2 kB."""
    fields = {}
    for known in msgspec.structs.fields(head):
        value = getattr(head, known.name)
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        if known.required or value not in (None, [], ()):
            fields[known.encode_name] = value
    return msgspec.json.encode(fields)[:-1]
