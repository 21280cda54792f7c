"""Logs tell what no topic holds: attempts, what was given up, and what became of the workers."""

from __future__ import annotations

import json
from pathlib import Path

from cli.history.logs import MOST, Wanted, log_moments, parse
from cli.history.timeline import Mark

TOPIC = "sideline.paper.captures.v1"
AT_MS = 1_795_635_762_899.0  # 2026-11-25T19:42:42.899Z
ID = "01a2143b-56b5-7e7f-b26a-dc051123b693"
WANTED = Wanted(frozenset({ID, "file:///pictures/1.jpg"}), frozenset({(TOPIC, 1, 22)}), AT_MS, AT_MS + 6_000)


def line(event: str, second: int = 43, **values: object) -> str:
    """Write a log line of our own, some seconds after 19:42."""
    stamp = f"2026-11-25T19:42:{second:02}.500000Z"
    return json.dumps({**values, "event": event, "worker": "inspector-1", "level": "info", "timestamp": stamp})


def found(folder: Path, **files: list[str]) -> list[str]:
    """Return what logs tell of the capture; a key `inspector_1` is the file `inspector-1.log`."""
    for name, lines in files.items():
        (folder / f"{name.replace('_', '-')}.log").write_text("\n".join(lines) + "\n")
    return [f"{one.place}: {one.what}" for one in log_moments(folder, WANTED)[0]]


class TestLogs:
    """Lines that matter."""

    def test_lines_that_name_the_capture_its_pictures_or_its_place_are_told(self, tmp_path: Path) -> None:
        """An id, a view's URI, or topic, partition and offset name it; another offset does not."""
        told = found(
            tmp_path,
            inspector_1=[
                line("attempt", topic=TOPIC, partition=1, offset=22),
                line("attempt", topic=TOPIC, partition=1, offset=23),
                line("attempt", topic=TOPIC, partition=2, offset=22),
                line("answered from the record", capture_id=ID),
                line("view not fetched, trying again", error="file:///pictures/1.jpg took longer than 1 s"),
            ],
        )

        assert [
            "inspector-1: attempt",
            "inspector-1: answered from the record",
            "inspector-1: view not fetched, trying again error=file:///pictures/1.jpg took longer than 1 s",
        ] == told

    def test_what_was_given_up_at_a_revoke_is_found(self, tmp_path: Path) -> None:
        """Cancelled offsets are listed, parked ones are a span."""
        lines = [
            line("deliveries given up", 44, topic=TOPIC, partition=1, cancelled=[21, 22], parked=[]),
            line("deliveries given up", 45, topic=TOPIC, partition=1, cancelled=[], parked=[20, 40]),
            line("deliveries given up", 46, topic=TOPIC, partition=1, cancelled=[21], parked=[30, 40]),
        ]

        assert 2 == len(found(tmp_path, inspector_1=lines))

    def test_workers_around_it_are_told_and_others_times_and_partitions_are_not(self, tmp_path: Path) -> None:
        """A kill in time counts; an assignment of other partitions, or an hour before, does not."""
        told = found(
            tmp_path,
            inspector_1=[
                line("partitions assigned", 46, partitions={TOPIC: "0 1"}, generation=6),
                line("partitions assigned", 46, partitions={TOPIC: "2 3"}, generation=6),
                line("breaker opened", 10, dependency="redis"),
                line("breaker opened", 44, dependency="triton"),
            ],
        )

        assert [
            "inspector-1: breaker opened dependency=triton",
            f"inspector-1: partitions assigned partitions={{'{TOPIC}': '0 1'}} generation=6",
        ] == told

    def test_rotated_logs_are_read_and_many_lines_are_bounded(self, tmp_path: Path) -> None:
        """The older file of a part counts as the part's."""
        (tmp_path / "inspector-1.log.1").write_text(line("answered from the record", capture_id=ID) + "\n")
        (tmp_path / "inspector-2.log").write_text("\n".join(line("starting") for _ in range(MOST + 5)) + "\n")

        told, left_out = log_moments(tmp_path, WANTED)

        assert "inspector-1" in {one.place for one in told}
        assert (MOST + 1, 5) == (len(told), left_out)

    def test_a_failure_keeps_the_last_line_of_its_traceback(self, tmp_path: Path) -> None:
        """What was raised is worth a line; where it was raised is in the log."""
        failed = line(
            "handler failed", topic=TOPIC, partition=1, offset=22, attempt=1, exception="Traceback\n  ..\nKeyError: 'x'"
        )

        assert ["inspector-1: handler failed attempt=1 KeyError: 'x'"] == found(tmp_path, inspector_1=[failed])


class TestParse:
    """Forms of lines."""

    def test_text_and_json_say_the_same(self) -> None:
        """A worker may log either."""
        text = parse(
            "2026-11-25T19:42:43.500000Z [error    ] handler failed                 attempt=1 offset=22 partition=1 "
            f"topic={TOPIC} parked=[1, 2]"
        )
        told = parse(line("handler failed", attempt=1, offset=22, partition=1, topic=TOPIC, parked=[1, 2]))

        assert text is not None
        assert told is not None
        assert (told.at_ms, told.event) == (text.at_ms, text.event)
        assert {name: text.values[name] for name in ("attempt", "offset", "partition", "topic", "parked")} == {
            name: told.values[name] for name in ("attempt", "offset", "partition", "topic", "parked")
        }
        assert "error" == text.values["level"]

    def test_an_error_is_marked(self, tmp_path: Path) -> None:
        """A line of level error stands out."""
        raw = json.loads(line("handler failed", capture_id=ID))
        (tmp_path / "inspector-1.log").write_text(json.dumps({**raw, "level": "error"}) + "\n")

        assert [Mark.WRONG] == [one.mark for one in log_moments(tmp_path, WANTED)[0]]

    def test_what_is_no_log_line_is_left_alone(self) -> None:
        """Tracebacks, tables and broken JSON are nothing."""
        assert [None] * 4 == [parse(text) for text in ("", "{broken", "  File x", "2026-11-25 nonsense")]
