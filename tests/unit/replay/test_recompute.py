"""Records come out as they are, and a record that was changed does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.model import Model, Purse
from budget.records import Request
from budget.threshold import Threshold
from cli.replay.chain import breaks, link_of
from cli.replay.recompute import differences, is_whole
from evidence.fusion import fuse
from schemas.codec import new_uuid7
from schemas.messages import Decision, Evidence, Identity, Rejection
from schemas.words import MICRO, Divert, Outcome, Pattern, Severity
from tests.unit.replay.recording import CALIBRATION, CONFIG, START_MS, VERSIONS, Recording, decision_of

RECORDING = Recording().play(3_000)
STOPPED = next(one for one in RECORDING.decisions if one.divert is Divert.DAMAGE)
LOST = ("identity_balance", "identity_pending", "diverts_balance", "audit_draw_ppm")  # not in the first records

integers = st.integers(-(2**53) + 1, 2**53 - 1)
ppm = st.integers(0, MICRO)
tokens = st.integers(0, 6)
evidences = st.builds(
    Evidence,
    pattern=st.sampled_from(list(Pattern)),
    classifier=integers,
    kinds=st.lists(integers, max_size=7),
    severity=st.sampled_from(list(Severity)),
    major=st.booleans(),
    discrepancy=st.none() | integers,
)
identities = st.builds(Identity, confidence_ppm=ppm, conflict=st.booleans())


def found(decision: Decision) -> dict[str, tuple[object, object]]:
    """Return the fields that come out differently."""
    config = RECORDING.configs[1]
    return {each.field: (each.recorded, each.recomputed) for each in differences(decision, CALIBRATION, config)}


class TestEqual:
    """What the model decided is what the records say."""

    def test_a_history_comes_out_as_it_is(self) -> None:
        """Stops, audits, conflicts, withheld and late ones, on a line with a budget of its own and one without."""
        kinds = {(one.divert, one.withheld, one.outcome, one.line) for one in RECORDING.decisions}
        assert len(kinds) > 9
        assert [] == [one.capture_id for one in RECORDING.decisions if found(one)]

    def test_its_accounts_follow_from_each_other(self) -> None:
        """Also where the configuration changes on the way."""
        recording = Recording(seed=3).play(400)
        recording.configure(burst_tokens=3, alpha_ppm=20_000)
        recording.play(400)
        recording.configure(burst_diverts=6)
        recording.play(400)
        links = [link for one in recording.decisions if (link := link_of(one)) is not None]
        assert {1, 2, 3} == {link.config_version for link in links}
        assert [] == list(breaks(links, recording.configs))

    @given(
        evidence=evidences,
        identity=identities,
        offset=st.none() | st.integers(-(10**8), 10**8),
        threshold=st.integers(-7 * MICRO, 2 * MICRO),
        draw=st.integers(0, MICRO - 1),
        balances=st.tuples(st.integers(0, 6 * MICRO), st.integers(0, 2 * MICRO), st.integers(0, 12 * MICRO)),
        pending=st.tuples(tokens, tokens),
        seq=st.integers(0, 2**50),
        left_ms=st.integers(-5, 5),
        if_late=st.sampled_from(["", "late", "redis_away"]),
    )
    @settings(deadline=None, max_examples=300)
    def test_any_recorded_integers_replay_bit_for_bit(
        self,
        evidence: Evidence,
        identity: Identity,
        offset: int | None,
        threshold: int,
        draw: int,
        balances: tuple[int, int, int],
        pending: tuple[int, int],
        seq: int,
        left_ms: int,
        if_late: str,
    ) -> None:
        """Whatever evidence, accounts, threshold and lot, through the bytes of the record."""
        model = Model(CONFIG, frozenset({"line-1"}))
        model.seq, model.diverts = seq, balances[2]
        model.damage = Purse(balances[0], {str(one) for one in range(pending[0])})
        model.identity = Purse(balances[1], {str(one) for one in range(pending[1])})
        model.thresholds[CALIBRATION.version] = Threshold(threshold)
        request = Request(
            site="paper",
            line="line-1",
            capture_id=new_uuid7(at_ms=START_MS, random_bits=seq),
            unit_id="unit-1",
            digest="0" * 64,
            append_ms=START_MS,
            decide_by_ms=START_MS + left_ms,
            ask=Outcome.DECIDED,
            reason=if_late,
            score=fuse(evidence, identity, CALIBRATION) + (offset or 0),
            major=evidence.major,
            identity_conflict=identity.conflict,
            audit_draw_ppm=draw,
            fusion_version=CALIBRATION.version,
            decision_head=b'{"',
            sidelined_head=b'{"',
        )
        answer, _ = model.decide(request, now_ms=START_MS)
        head = {"evidence": evidence, "identity": identity, "versions": VERSIONS, "score_offset": offset}
        decision = decision_of(request, answer, at_ms=START_MS, **head)
        assert [] == differences(decision, CALIBRATION, CONFIG)


class TestRedriven:
    """A decision that followed rejections."""

    def test_its_chain_changes_nothing(self) -> None:
        """It replays like any other: a redrive decides afresh, from evidence of its own."""
        recording = Recording(seed=5).play(50)
        at = recording.decisions[-1].decided_at
        chain = [Rejection(reason="view_missing", rejected_at=at, redriven_at=at)]
        redriven = [msgspec.structs.replace(one, rejections=chain) for one in recording.decisions]
        found = [differences(one, CALIBRATION, recording.configs[one.config_version or 0]) for one in redriven]
        assert [[]] * 50 == found


class TestUnequal:
    """What was changed is named."""

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"score": 1}, {"score"}),
            ({"score_offset": 1}, {"score"}),
            ({"threshold": 5 * MICRO}, {"threshold"}),
            ({"divert": Divert.NONE}, {"divert"}),
            ({"withheld": True}, {"withheld"}),
            ({"reason": "below_threshold"}, {"reason"}),
            ({"outcome": Outcome.UNDETERMINED}, {"outcome"}),
            ({"balance_after": 0}, {"balance_after"}),
            ({"pending_after": 7 * MICRO}, {"pending_after"}),
            ({"pending_before": 2**52}, {"pending_before", "pending_after"}),
            ({"audit_ppm": 1}, {"audit_ppm"}),
            ({"audit_draw_ppm": MICRO}, {"outcome"}),
            ({"balance_before": 0}, {"divert", "withheld"}),
            ({"decided_at": STOPPED.decide_by.replace(year=2040)}, {"outcome"}),
        ],
        ids=lambda value: "-".join(sorted(value)),
    )
    def test_a_changed_field_is_found(self, change: dict[str, Any], named: set[str]) -> None:
        """Not only that something is wrong, but what."""
        assert named <= found(msgspec.structs.replace(STOPPED, **change)).keys()

    def test_changed_evidence_is_found(self) -> None:
        """The score no longer follows from it."""
        evidence = msgspec.structs.replace(STOPPED.evidence, classifier=STOPPED.evidence.classifier - MICRO)  # type: ignore[type-var, union-attr]
        assert {"score"} == found(msgspec.structs.replace(STOPPED, evidence=evidence)).keys()

    def test_a_missing_or_changed_record_breaks_the_sequence(self) -> None:
        """A hole, a number given twice, a token from nowhere, a stop that the station's account does not show."""
        links = [link for one in RECORDING.decisions[:400] if (link := link_of(one)) is not None]
        assert ["seq 101 to 101 are missing before it"] == [each.why for each in breaks(links[:100] + links[101:], {})]
        assert [links[-1].seq] == [each.seq for each in breaks([*links, replace(links[-1], capture_id="z")], {})]
        rich = replace(links[50], balance=(links[50].balance[0] + MICRO, links[50].balance[1]))
        assert [51] == [each.seq for each in breaks([*links[:50], rich, *links[51:]], {})]
        spent = replace(links[50], diverts=(links[50].diverts or 0) - MICRO)
        assert 51 in {each.seq for each in breaks([*links[:50], spent, *links[51:]], RECORDING.configs)}

    def test_a_lines_own_account_that_does_not_go_on_is_found(self) -> None:
        """A token from nowhere, and a number left out."""
        links = [link for one in RECORDING.decisions[:400] if (link := link_of(one)) is not None]
        number, link = next((at, each) for at, each in enumerate(links) if at > 50 and each.own is not None)
        assert link.own is not None
        for own in ((link.own[0], link.own[1] + MICRO, link.own[2]), (link.own[0] + 1, *link.own[1:])):
            changed = [*links[:number], replace(link, own=own), *links[number + 1 :]]
            assert link.seq in {each.seq for each in breaks(changed, RECORDING.configs)}


class TestOlderRecords:
    """Records of a build that wrote fewer fields."""

    def test_they_are_read_and_come_out_as_they_are(self) -> None:
        """What they do not say is taken from the divert, and they are not counted as whole."""
        older = [msgspec.structs.replace(one, **dict.fromkeys(LOST)) for one in RECORDING.decisions]
        assert [] == [one.capture_id for one in older if found(one)]
        assert {True} == {is_whole(one) for one in RECORDING.decisions}
        assert {False} == {is_whole(one) for one in older if one.seq is not None}
