"""What we write is what we published."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.messages import DECISION_TAIL, SIDELINED_TAIL, DeadLetter, Message
from schemas.register import MESSAGES
from streams.documents import ROOT
from streams.json_schemas import file_stem
from tests.contract.contract_files import Json, closed_validator
from tests.contract.strategies import messages

EVENTS = [message for message in MESSAGES if message is not DeadLetter]  # dead letters are headers, not a value
RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def times_in(document: Json, schema: Json, root: Json) -> list[str]:
    """Return every value that the schema calls a date-time."""
    if "$ref" in schema:
        return times_in(document, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if schema.get("format") == "date-time" and isinstance(document, str):
        return [document]
    found = [time for choice in schema.get("anyOf", []) for time in times_in(document, choice, root)]
    if isinstance(document, dict):
        for name, part in schema.get("properties", {}).items():
            if name in document:
                found += times_in(document[name], part, root)
    if isinstance(document, list):
        found += [time for each in document for time in times_in(each, schema.get("items", {}), root)]
    return found


@pytest.mark.parametrize("kind", EVENTS, ids=file_stem)
class TestEncode:
    """Any message that can be made."""

    @given(data=st.data())
    @settings(deadline=None, max_examples=40)
    def test_it_is_valid_and_closed(self, kind: type[Message], data: st.DataObject) -> None:
        """It passes the published schema with today's fields and enum values alone, and reads back equal."""
        message = data.draw(messages(kind))
        raw = encode(message)
        closed_validator(kind).validate(json.loads(raw))
        assert message == decode(kind, raw)

    @given(data=st.data())
    @settings(deadline=None, max_examples=40)
    def test_its_times_are_in_utc(self, kind: type[Message], data: st.DataObject) -> None:
        """Whatever offset a time came with, it is written as RFC 3339 with a Z."""
        validator = closed_validator(kind)
        document = json.loads(encode(data.draw(messages(kind))))
        times = times_in(document, validator.schema, validator.schema)
        assert times or file_stem(kind) == "product"  # the only message without a time
        for time in times:
            assert RFC3339_UTC.fullmatch(time)


class TestStoreScript:
    """The store's script ends decisions and sidelined events; it is no Python and cannot import the Structs."""

    @pytest.mark.parametrize("tail", [DECISION_TAIL, SIDELINED_TAIL], ids=["decision", "sidelined"])
    def test_tails_end_the_messages(self, tail: tuple[str, ...]) -> None:
        """What the head has, the script does not write again: a doubled name has no defined meaning in JSON."""
        assert tail[-2:] == ("decide_by", "decided_at")
        assert set() == set(tail) & {"capture_id", "site", "line", "station", "unit_id", "views"}

    def test_it_writes_the_fields_of_the_tail(self) -> None:
        """Every field of both tails is in the script where it decides, and no other."""
        script = Path(ROOT / "budget" / "decision.lua").read_text()
        deciding = script[script.index("local function decide()") : script.index("local function settle()")]
        assert {*DECISION_TAIL, *SIDELINED_TAIL} == set(re.findall(r"[',]\"([a-z_]+)\":", deciding))
