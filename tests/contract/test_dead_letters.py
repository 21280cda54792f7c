"""Dead letters as the workers write them and as the contract describes them."""

from __future__ import annotations

import pytest

from schemas.codec import read_dead_letter
from schemas.faults import Poison, Reason
from schemas.messages import DeadLetter
from streams.dead_letters import REDRIVES, headers_of, original_headers
from streams.delivery import Delivery
from streams.topics import DEAD_LETTER_SLACK_BYTES
from tests.contract.contract_files import closed_validator

ORIGINAL = (("ce_id", b"c1"), ("traceparent", b"00-1-2-00"))
DELIVERY = Delivery(
    topic=f"sideline.{'s' * 64}.dispositions.v1",
    partition=11,
    offset=2**62,
    key=b"k",
    value=b"\xff",
    headers=ORIGINAL,
    append_ms=1_795_169_730_125,
)


class TestHeaders:
    """What a worker adds to the original."""

    @pytest.mark.parametrize("reason", list(Reason))
    def test_they_are_those_of_the_contract(self, reason: Reason) -> None:
        """Every reason gives headers that read back and pass the published schema, with nothing beyond it."""
        headers = headers_of(DELIVERY, Poison(reason, "why\n"), worker="settler-1")
        assert headers[: len(ORIGINAL)] == list(ORIGINAL)
        letter = read_dead_letter(headers)
        assert (DELIVERY.topic, 11, 2**62, reason.value) == (
            letter.topic,
            letter.partition,
            letter.offset,
            letter.reason,
        )
        closed_validator(DeadLetter).validate({name: value.decode() for name, value in headers[len(ORIGINAL) :]})

    def test_they_fit_what_dead_topics_allow(self) -> None:
        """Senders choose what is quoted in a fault's message, but not how much of it."""
        fault = Poison(Reason.UNREADABLE, "\N{PILE OF POO}" * 100_000)
        added = headers_of(DELIVERY, fault, worker="w" * 64)[len(ORIGINAL) :]
        framing = 16  # lengths of name and value, and a share of the record's own
        assert sum(len(name) + len(value) + framing for name, value in added) < DEAD_LETTER_SLACK_BYTES

    def test_only_the_newest_fault_is_told(self) -> None:
        """A redriven dead letter that dies again has one set of error headers."""
        first = headers_of(DELIVERY, Poison(Reason.VIEW_MISSING, "first"), worker="inspector")
        again = Delivery(**{name: getattr(DELIVERY, name) for name in DELIVERY.__slots__} | {"headers": tuple(first)})
        second = headers_of(again, Poison(Reason.TOO_OLD, "second"), worker="inspector")
        assert len(first) == len(second) == len(dict(second))
        assert read_dead_letter(second).message == "second"

    def test_how_often_it_was_redriven_travels_with_it(self) -> None:
        """A record's count wins; without a record that of the message itself, where it is one."""
        fault = Poison(Reason.UNKNOWN_LINE, "still unknown")

        def said(claim: bytes, recorded: int | None = None) -> int:
            delivery = Delivery("sideline.s.captures.v1", 0, 1, None, b"{}", (*ORIGINAL, (REDRIVES, claim)), 0)
            headers = headers_of(delivery, fault, worker="inspector-1", redrives=recorded)
            assert original_headers(headers) == list(ORIGINAL)
            return read_dead_letter(headers).redrives

        assert 2 == said(b"2")
        assert 1 == said(b"2", recorded=1)
        assert 0 == said(b"2", recorded=0)
        assert [0] * 5 == [said(claim) for claim in (b"", b"-1", b"1e3", b"9" * 5, "²".encode())]
