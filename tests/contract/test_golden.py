"""Golden messages: what version 1 has ever put on a topic can be read by every later version.

Files are only ever added. A new field comes with a new golden file that has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from schemas.codec import decode, encode, read_dead_letter
from schemas.messages import Capture, DeadLetter, Decision, Disposition, Message, Reference, Sidelined
from schemas.register import MESSAGES
from schemas.words import Action, DamageKind, Divert, IdentityMethod, Outcome, Pattern, Severity, Verdict, ViewKind
from streams.documents import GOLDEN
from streams.json_schemas import file_stem
from tests.contract.contract_files import golden_files, kind_of, label, open_validator

FILES = golden_files()


def read(path: Path) -> Message:
    """Read a golden file like a worker reads it: events from their value, dead letters from their headers."""
    if kind_of(path) is DeadLetter:
        return read_dead_letter([(name, text.encode()) for name, text in json.loads(path.read_bytes()).items()])
    return decode(kind_of(path), path.read_bytes())


def known_paths(kind: object, at: str = "") -> set[str]:
    """Return the paths of all fields of a message and its parts."""
    if isinstance(kind, msgspec.inspect.StructType):
        return {f"{at}.{field.encode_name}" for field in kind.fields} | {
            path for field in kind.fields for path in known_paths(field.type, f"{at}.{field.encode_name}")
        }
    inner = [getattr(kind, "item_type", None), getattr(kind, "type", None), *getattr(kind, "types", ())]
    return {path for each in inner if each is not None for path in known_paths(each, at)}


def used_paths(value: object, at: str = "") -> set[str]:
    """Return the paths of all fields that a message has."""
    if isinstance(value, list):
        return {path for each in value for path in used_paths(each, at)}
    if isinstance(value, Mapping):
        return {f"{at}.{name}" for name in value} | {
            path for name, each in value.items() for path in used_paths(each, f"{at}.{name}")
        }
    return set()


class TestEveryFile:
    """What holds for each golden message."""

    @pytest.mark.parametrize("path", FILES, ids=label)
    def test_it_decodes_and_survives_being_written_again(self, path: Path) -> None:
        """Nothing that was read is lost or changed on the way back."""
        message = read(path)
        assert message == decode(type(message), encode(message))

    @pytest.mark.parametrize("path", FILES, ids=label)
    def test_it_is_valid_by_the_published_schema(self, path: Path) -> None:
        """Also for those of a later version: consumers validate what they get."""
        open_validator(kind_of(path)).validate(json.loads(path.read_bytes()))

    @pytest.mark.parametrize("kind", MESSAGES, ids=file_stem)
    def test_the_files_cover_the_message(self, kind: type[Message]) -> None:
        """A minimal, a future and a full form exist, and each field is in one of the files."""
        folder = GOLDEN / file_stem(kind)
        assert {"minimal.json", "full.json", "future.json"} <= {path.name for path in folder.iterdir()}
        used = {path for file in folder.iterdir() for path in used_paths(json.loads(file.read_bytes()))}
        assert set() == known_paths(msgspec.inspect.type_info(kind)) - used


class TestMeaning:
    """What the golden messages say, spelt out once."""

    def test_a_decision(self) -> None:
        """Every part of a full decision arrives with its meaning."""
        decision = decode(Decision, (GOLDEN / "decision" / "full.json").read_bytes())
        assert (Outcome.DECIDED, Action.SIDELINE, Divert.DAMAGE) == (
            decision.outcome,
            decision.action,
            decision.divert,
        )
        assert datetime(2026, 11, 20, 10, 15, 30, 486_213, UTC) == decision.decided_at
        assert (481_516, 3_720_551, 2_998_104) == (decision.seq, decision.score, decision.threshold)
        assert decision.identity is not None
        assert IdentityMethod.SCAN is decision.identity.method
        assert decision.evidence is not None
        assert (Pattern.GALLERY_BY_CODE, Severity.MAJOR) == (decision.evidence.pattern, decision.evidence.severity)

    def test_defaults(self) -> None:
        """What is left out has a meaning too."""
        decision = decode(Decision, (GOLDEN / "decision" / "minimal.json").read_bytes())
        assert (Divert.NONE, None, None, False) == (
            decision.divert,
            decision.seq,
            decision.evidence,
            decision.withheld,
        )
        capture = decode(Capture, (GOLDEN / "capture" / "minimal.json").read_bytes())
        assert (ViewKind.RGB, None) == (capture.views[0].kind, capture.decide_by)

    def test_an_offset_is_read_and_written_as_utc(self) -> None:
        """The minimal capture was made at 11:15 in Frankfurt."""
        capture = decode(Capture, (GOLDEN / "capture" / "minimal.json").read_bytes())
        assert datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC) == capture.captured_at
        assert b'"captured_at":"2026-11-20T10:15:30Z"' in encode(capture)

    def test_values_of_the_future_read_as_unknown(self) -> None:
        """An enum value from a later version is no reason to refuse the message around it."""
        capture = decode(Capture, (GOLDEN / "capture" / "future.json").read_bytes())
        assert [ViewKind.RGB, ViewKind.UNKNOWN] == [view.kind for view in capture.views]
        reference = decode(Reference, (GOLDEN / "reference" / "future.json").read_bytes())
        assert ViewKind.UNKNOWN is reference.views[0].kind
        decision = decode(Decision, (GOLDEN / "decision" / "future.json").read_bytes())
        assert (Action.UNKNOWN, Divert.UNKNOWN) == (decision.action, decision.divert)
        assert decision.identity is not None
        assert IdentityMethod.UNKNOWN is decision.identity.method
        assert decision.evidence is not None
        assert (Pattern.UNKNOWN, Severity.UNKNOWN) == (decision.evidence.pattern, decision.evidence.severity)
        sidelined = decode(Sidelined, (GOLDEN / "sidelined" / "future.json").read_bytes())
        assert [DamageKind.PENETRATION, DamageKind.UNKNOWN] == sidelined.kinds
        assert (Divert.UNKNOWN, Severity.UNKNOWN) == (sidelined.divert, sidelined.severity)
        disposition = decode(Disposition, (GOLDEN / "disposition" / "future.json").read_bytes())
        assert (Verdict.UNKNOWN, Severity.UNKNOWN) == (disposition.verdict, disposition.severity)
