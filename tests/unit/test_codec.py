"""Headers, times and ids on the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import cloud_headers, new_uuid7, read_dead_letter, rfc3339, uuid7_ms
from schemas.faults import Poison
from schemas.messages import DeadLetter, Scan

HEADERS = [
    ("ce_id", b"the original's"),
    ("__connect.errors.topic", b"sideline.fc1.scans.v1"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"17"),
    ("__connect.errors.exception.class.name", b"Poison"),
    ("__connect.errors.exception.message", "größer als erlaubt".encode()),
    ("__connect.errors.stage", b"TASK_PUT"),
    ("__connect.errors.connector.name", b"tracker"),
    ("sideline-reason", b"too_large"),
    ("sideline-failed-at", b"2026-11-20T11:15:30.5+01:00"),
]


class TestCloudHeaders:
    """CloudEvents 1.0 in Kafka's binary mode."""

    def test_all_required_attributes_are_there(self) -> None:
        """Names in lower case with the prefix ce_, values in UTF-8, the content type without the prefix."""
        headers = cloud_headers(entity="scan", event_id="s-1", source="/fc1/ß", time="2026-11-20T10:15:30Z")
        assert {
            "ce_specversion": b"1.0",
            "ce_id": b"s-1",
            "ce_source": "/fc1/ß".encode(),
            "ce_type": b"sideline.scan.v1",
            "ce_time": b"2026-11-20T10:15:30Z",
            "content-type": b"application/json",
        } == dict(headers)


class TestRfc3339:
    """Times as text."""

    def test_any_offset_becomes_utc(self) -> None:
        """The moment stays, the spelling is one."""
        frankfurt = timezone(timedelta(hours=1))
        assert rfc3339(datetime(2026, 11, 20, 11, 15, 30, 5, frankfurt)) == "2026-11-20T10:15:30.000005Z"

    def test_years_have_four_digits(self) -> None:
        """Also those that no one means."""
        assert rfc3339(datetime(33, 4, 3, tzinfo=UTC)) == "0033-04-03T00:00:00.000000Z"

    @given(st.datetimes(timezones=st.just(UTC)))
    def test_it_reads_back(self, moment: datetime) -> None:
        """Every time in UTC has a text that means it."""
        assert moment == datetime.fromisoformat(rfc3339(moment))

    @pytest.mark.parametrize(
        "moment",
        [
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            datetime(2026, 1, 1),  # noqa: DTZ001 - the missing offset is the point
        ],
    )
    def test_what_utc_cannot_name_is_refused(self, moment: datetime) -> None:
        """Beyond the years 1 to 9999, or without an offset, by one error type."""
        with pytest.raises(ValueError, match="UTC"):
            rfc3339(moment)


class TestMessageTimes:
    """Times inside messages we make ourselves."""

    def test_they_are_in_utc(self) -> None:
        """So that what is written needs no second look."""
        assert (
            datetime(2026, 1, 1, 10, tzinfo=UTC)
            == scan(datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))).scanned_at
        )

    def test_one_without_an_offset_is_a_mistake(self) -> None:
        """It would be written without a Z, and every reader would refuse it."""
        with pytest.raises(ValueError, match="scanned_at has no offset"):
            scan(datetime(2026, 1, 1))  # noqa: DTZ001 - the missing offset is the point


class TestUuid7:
    """Capture ids."""

    @given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
    def test_its_time_is_the_one_given(self, at_ms: int, random_bits: int) -> None:
        """RFC 9562: 48 bits of milliseconds first, version 7, variant 10, random rest."""
        made = new_uuid7(at_ms=at_ms, random_bits=random_bits)
        assert at_ms == uuid7_ms(made)
        assert uuid.UUID(made).variant == uuid.RFC_4122
        assert uuid.UUID(made).version == 7

    @given(st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
    def test_all_random_bits_count(self, one: int, other: int) -> None:
        """Two different draws in one millisecond give two ids."""
        assert (one == other) == (new_uuid7(at_ms=1, random_bits=one) == new_uuid7(at_ms=1, random_bits=other))


class TestReadDeadLetter:
    """The headers of a dead letter."""

    def test_texts_become_values(self) -> None:
        """Numbers, times and UTF-8 are read; the original's own headers are left alone."""
        assert DeadLetter(
            topic="sideline.fc1.scans.v1",
            partition=3,
            offset=17,
            error="Poison",
            message="größer als erlaubt",
            stage="TASK_PUT",
            connector="tracker",
            reason="too_large",
            failed_at=datetime(2026, 11, 20, 10, 15, 30, 500_000, UTC),
        ) == read_dead_letter(HEADERS)

    @pytest.mark.parametrize("missing", [name for name, _ in HEADERS[1:]])
    def test_all_of_them_are_needed(self, missing: str) -> None:
        """A record without one of them is not a dead letter of ours."""
        with pytest.raises(Poison, match="not the headers of a dead letter"):
            read_dead_letter([(name, value) for name, value in HEADERS if name != missing])

    def test_the_last_of_equal_names_counts(self) -> None:
        """A sender may have put such a header on the original; ours stand behind it."""
        assert read_dead_letter([("sideline-reason", b"forged"), *HEADERS]).reason == "too_large"


def scan(at: datetime) -> Scan:
    """Return a scan made at some time."""
    return Scan(scan_id="s", site="fc1", line="l", station="t", unit_id="u", scanned_at=at, code="1")
