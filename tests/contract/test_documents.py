"""What is generated: JSON Schemas, the AsyncAPI document and the topic page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas.faults import Reason
from schemas.messages import DeadLetter, Message
from schemas.register import MESSAGES
from streams import documents
from streams.documents import ROOT, main
from streams.json_schemas import LATER, file_stem, summary
from streams.topics import TOPICS, Scope
from tests.contract.contract_files import Json, closed_validator, open_validator, schema_of

ASYNCAPI: Json = json.loads((ROOT / "schemas" / "asyncapi.json").read_bytes())


def every(part: Json, name: str) -> list[Json]:
    """Return every value called `name` anywhere in a document."""
    if isinstance(part, list):
        return [found for each in part for found in every(each, name)]
    if not isinstance(part, dict):
        return []
    return [value for key, value in part.items() if key == name] + every(list(part.values()), name)


def look_up(document: Json, reference: str) -> Json:
    """Follow a reference within a document."""
    found = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


class TestRegeneration:
    """The files are what the code says."""

    def test_nothing_is_stale(self) -> None:
        """Writing the documents again changes nothing; if this fails, run `python -m streams.documents`."""
        assert [] == documents.stale()
        assert main(["--check"]) == 0

    def test_what_is_stale_is_named_and_mended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A changed, a missing and a surplus file are all found, by name; writing mends them."""
        monkeypatch.setattr(documents, "ROOT", tmp_path)
        monkeypatch.setattr(documents, "SCHEMAS", tmp_path / "schemas" / "json")
        count = len(documents.documents())
        assert count == len(documents.write())
        (tmp_path / "docs" / "topics.md").write_text("| by hand |")
        (tmp_path / "schemas" / "asyncapi.json").unlink()
        (tmp_path / "schemas" / "json" / "gone.v1.json").write_text("{}")
        assert main(["--check"]) == 1
        assert {"topics.md", "asyncapi.json", "gone.v1.json"} == {path.name for path in documents.write()}
        assert main(["--check"]) == 0


@pytest.mark.parametrize("kind", MESSAGES, ids=file_stem)
class TestJsonSchemas:
    """One self-contained file per message."""

    def test_it_is_a_schema_by_its_dialect(self, kind: type[Message]) -> None:
        """The dialect's own schema accepts it, and it says who it is."""
        schema = schema_of(kind)
        Draft202012Validator.check_schema(schema)
        assert f"urn:sideline:{file_stem(kind)}:v1" == schema["$id"]
        assert summary(kind.__doc__) == schema["description"]

    def test_it_needs_no_other_file(self, kind: type[Message]) -> None:
        """Every reference is found inside."""
        schema = schema_of(kind)
        for reference in every(schema, "$ref"):
            assert reference.startswith("#/$defs/")
            assert look_up(schema, reference)

    def test_patterns_mean_the_same_everywhere(self, kind: type[Message]) -> None:
        """Only what ECMAScript, RE2 and Python agree on: anchors, classes, counts."""
        patterns = [pattern for pattern in every(schema_of(kind), "pattern") if isinstance(pattern, str)]
        assert patterns
        for pattern in patterns:
            assert re.fullmatch(r"\^(\[[A-Za-z0-9._-]+\](\{[0-9,]+\}|\+)?|[0-9-])+\$", pattern), pattern

    def test_enums_name_what_is_known_and_let_later_values_through(self, kind: type[Message]) -> None:
        """A bare enum would make consumers refuse the first event of a later version."""
        schema = schema_of(kind)
        for body in [schema, *every(schema, "$defs")]:
            assert "enum" not in body
        for choice in every(schema, "anyOf"):
            if "enum" in choice[0]:
                assert [{"type": "string"}] == choice[1:]
        assert every(schema, "enum") == [] or LATER in json.dumps(schema)

    def test_fields_that_no_one_knows_yet_are_let_through(self, kind: type[Message]) -> None:
        """No schema forbids them."""
        assert [] == every(schema_of(kind), "additionalProperties")


class TestDeadLetterHeaders:
    """The headers a dead letter adds."""

    def test_every_reason_is_listed(self) -> None:
        """Whoever reads dead letters finds all of today's reasons in the schema."""
        known = schema_of(DeadLetter)["properties"]["sideline-reason"]["anyOf"][0]["enum"]
        assert [reason.value for reason in Reason] == known

    def test_headers_are_text(self) -> None:
        """Kafka headers are bytes; numbers in them are digits."""
        assert {"string"} == {field["type"] for field in schema_of(DeadLetter)["properties"].values()}


class TestClosing:
    """The stricter validator of these tests really is stricter."""

    def test_it_refuses_what_is_not_of_today(self) -> None:
        """Else every test built on it could not fail."""
        kind = next(message for message in MESSAGES if file_stem(message) == "disposition")
        today = {
            "disposition_id": "d",
            "site": "s",
            "associate_id": "a",
            "judged_at": "2026-01-01T00:00:00Z",
            "verdict": "sellable",
        }
        assert closed_validator(kind).is_valid(today)
        for later in (today | {"verdict": "repacked"}, today | {"colour": "red"}):
            assert open_validator(kind).is_valid(later)
            assert not closed_validator(kind).is_valid(later)


class TestAsyncApi:
    """The document for other teams' tools."""

    def test_its_sections_are_there(self) -> None:
        """Version 3.0.0 and all that a document of that version must or should have."""
        assert ASYNCAPI["asyncapi"] == "3.0.0"
        assert {"title", "version", "description", "license"} == set(ASYNCAPI["info"])
        for section in ("servers", "channels", "operations", "components"):
            assert ASYNCAPI[section]

    def test_every_reference_is_found(self) -> None:
        """None leads out of the document or into nothing."""
        references = every(ASYNCAPI, "$ref")
        assert references
        for reference in references:
            assert look_up(ASYNCAPI, reference) is not None

    def test_every_topic_has_a_channel_with_its_settings(self) -> None:
        """Same addresses, parameters, limits and retention as the table."""
        channels = {channel["address"]: channel for channel in ASYNCAPI["channels"].values()}
        assert {row.address for row in TOPICS} == set(channels)
        for row in TOPICS:
            channel = channels[row.address]
            kafka = channel["bindings"]["kafka"]
            assert (row.scope is Scope.SITE) == ("site" in channel.get("parameters", {}))
            assert row.partitions == kafka["partitions"]
            settings = kafka["topicConfiguration"]
            flat = settings | {"cleanup.policy": ",".join(settings["cleanup.policy"])}
            assert row.config() == {name: str(value) for name, value in flat.items()}

    def test_every_channel_has_an_operation_in_the_right_direction(self) -> None:
        """What others write is received, the rest is sent; messages are named through their channel."""
        by_channel = {operation["channel"]["$ref"]: operation for operation in ASYNCAPI["operations"].values()}
        assert len(ASYNCAPI["channels"]) == len(by_channel)
        for row in TOPICS:
            reference = next(
                f"#/channels/{name}"
                for name, channel in ASYNCAPI["channels"].items()
                if channel["address"] == row.address
            )
            operation = by_channel[reference]
            assert ("receive" if row.from_outside else "send") == operation["action"]
            for message in operation["messages"]:
                assert message["$ref"].startswith(f"{reference}/messages/")

    def test_every_message_has_its_envelope(self) -> None:
        """CloudEvents headers are required with the type of the message; the key has a schema."""
        for row in TOPICS:
            message = ASYNCAPI["components"]["messages"][row.schema.__name__]
            assert "string" == message["bindings"]["kafka"]["key"]["type"]
            if row.event:
                assert row.ce_type == message["headers"]["properties"]["ce_type"]["const"]
                required = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"}
                assert required == set(message["headers"]["required"])

    def test_no_schema_is_orphaned_or_missing(self) -> None:
        """Everything that can be referred to is, so that nothing stale stays in the document."""
        used = set(every(ASYNCAPI, "$ref"))
        assert {f"#/components/schemas/{name}" for name in ASYNCAPI["components"]["schemas"]} <= used
