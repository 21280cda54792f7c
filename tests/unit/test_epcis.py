"""From sidelines and verdicts to EPCIS events: the right words, and always the same ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.codec import decode, encode
from schemas.epcis import ObjectEvent
from schemas.faults import Fatal, Poison, Reason
from schemas.messages import Disposition, Message, Sidelined
from schemas.words import DamageKind, Divert, Severity, Verdict
from settings.sites import Site, SiteBook
from streams.documents import ROOT
from tests.contract.strategies import messages
from workers.epcis import SiteNames, of_disposition, of_sidelined, site_names

STRICT = Draft202012Validator(json.loads((ROOT / "schemas" / "epcis_object_event.json").read_bytes()))
PLAIN = SiteNames("fra3", SiteBook())
CONFIGURED = SiteNames(
    "fra3",
    SiteBook(
        base="https://ids.example.com/",
        sites={
            "fra3": Site(
                zone="Europe/Berlin",
                location="9506000134352",
                review="https://example.com/fra3/bench",
                stations={"inbound-1/booth-2": "urn:epc:id:sgln:0614141.07346.1234"},
            )
        },
    ),
)
CAPTURE = "01a1f874-3e4d-7c3e-9f41-8d20b6a4e917"
WINTER = datetime(2026, 11, 20, 10, 15, 30, 486_213, UTC)
SUMMER = datetime(2026, 7, 20, 10, 15, 30, tzinfo=UTC)
SSCC = "106141411234567897"
GTIN = "09506000134352"


def sidelined(**changes: Any) -> Sidelined:  # noqa: ANN401 - any field
    """Return a sideline for damage."""
    fields: dict[str, Any] = {
        "capture_id": CAPTURE,
        "site": "fra3",
        "line": "inbound-1",
        "station": "booth-2",
        "unit_id": "tote-0091.3",
        "divert": Divert.DAMAGE,
        "decide_by": WINTER,
        "decided_at": WINTER,
    }
    return Sidelined(**{**fields, **changes})


def disposition(verdict: Verdict, **changes: Any) -> Disposition:  # noqa: ANN401 - any field
    """Return a person's verdict on that unit."""
    fields: dict[str, Any] = {
        "disposition_id": "bench-7.412",
        "site": "fra3",
        "associate_id": "a-20817",
        "judged_at": WINTER,
        "verdict": verdict,
        "capture_id": CAPTURE,
    }
    return Disposition(**{**fields, **changes})


def written(event: Message) -> dict[str, Any]:
    """Return an event as partners read it, after checking that it is one."""
    found: dict[str, Any] = json.loads(encode(event))
    STRICT.validate(found)
    return found


class TestSidelined:
    """`of_sidelined`."""

    def test_it_says_what_is_known(self) -> None:
        """Every part of the event, spelt out once."""
        event = of_sidelined(
            sidelined(
                unit_id=SSCC,
                product_id="9506000134352",
                kinds=[DamageKind.PENETRATION],
                severity=Severity.MAJOR,
                score=3_720_551,
                threshold=2_998_104,
            ),
            CONFIGURED,
        )
        assert {
            "@context": [
                "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                {"sideline": "urn:sideline:epcis:"},
            ],
            "type": "ObjectEvent",
            "eventID": event.event_id,
            "eventTime": "2026-11-20T10:15:30.486213Z",
            "eventTimeZoneOffset": "+01:00",
            "action": "OBSERVE",
            "epcList": [f"https://id.gs1.org/00/{SSCC}"],
            "bizStep": "inspecting",
            "disposition": "non_sellable_other",
            "readPoint": {"id": "urn:epc:id:sgln:0614141.07346.1234"},
            "bizLocation": {"id": "https://id.gs1.org/414/9506000134352"},
            "sideline:site": "fra3",
            "sideline:unit": SSCC,
            "sideline:line": "inbound-1",
            "sideline:station": "booth-2",
            "sideline:capture": CAPTURE,
            "sideline:product": "9506000134352",
            "sideline:productClass": f"https://id.gs1.org/01/{GTIN}",
            "sideline:reason": "damage",
            "sideline:score": 3_720_551,
            "sideline:threshold": 2_998_104,
            "sideline:kinds": ["penetration"],
            "sideline:severity": "major",
        } == written(event)

    @pytest.mark.parametrize("divert", Divert)
    def test_every_stop_waits_for_a_person(self, divert: Divert) -> None:
        """Damage, a doubtful identity, an audit, a reason to come: none of them is sellable until judged."""
        found = written(of_sidelined(sidelined(divert=divert), PLAIN))
        assert ("non_sellable_other", divert.value) == (found["disposition"], found["sideline:reason"])

    @given(messages(Sidelined))
    @settings(deadline=None)
    def test_any_sideline_becomes_a_valid_event(self, message: Sidelined) -> None:
        """Whatever its fields hold, and the same bytes each time, with the same id whatever places are called."""
        event = of_sidelined(message, PLAIN)
        assert written(event) == written(of_sidelined(message, PLAIN))
        assert event == decode(ObjectEvent, encode(event))

    @given(messages(Sidelined), st.sampled_from(["Asia/Tokyo", "America/New_York", "Asia/Manila", "Pacific/Apia"]))
    @settings(deadline=None)
    def test_a_time_its_zone_cannot_tell_is_refused(self, message: Sidelined, zone: str) -> None:
        """At the ends of the calendar; every other event is valid in any zone."""
        names = SiteNames(message.site, SiteBook(sites={message.site: Site(zone=zone)}))
        try:
            event = of_sidelined(message, names)
        except Poison as refused:
            assert Reason.UNREADABLE is refused.reason  # noqa: PT017 - either outcome is right
            assert not 1900 <= message.decided_at.year <= 9998
        else:
            written(event)


class TestDisposition:
    """`of_disposition`."""

    @pytest.mark.parametrize(
        ("verdict", "unit", "state", "lasting"),
        [
            (Verdict.DAMAGED, "tote-0091.3", "damaged", None),
            (Verdict.SELLABLE, "tote-0091.3", "sellable_not_accessible", {"unset": ["mismatch_class"]}),
            (Verdict.UNSURE, "tote-0091.3", "non_sellable_other", None),
            (Verdict.WRONG_ITEM, "tote-0091.3", "mismatch_class", {"set": ["mismatch_class"]}),
            (Verdict.WRONG_ITEM, SSCC, "mismatch_class", {"set": ["mismatch_class"]}),
            (Verdict.WRONG_ITEM, f"01{GTIN}21A-7", "mismatch_instance", {"set": ["mismatch_instance"]}),
            (Verdict.SELLABLE, f"01{GTIN}21A-7", "sellable_not_accessible", {"unset": ["mismatch_instance"]}),
        ],
    )
    def test_each_verdict_has_its_word(
        self, verdict: Verdict, unit: str, state: str, lasting: dict[str, list[str]] | None
    ) -> None:
        """A mismatch stays with the unit until somebody finds it sellable after all."""
        found = written(of_disposition(disposition(verdict), unit, PLAIN))
        assert (state, lasting) == (found["disposition"], found.get("persistentDisposition"))
        assert (verdict.value, "bench-7.412") == (found["sideline:verdict"], found["sideline:verdictId"])

    def test_it_tells_no_one_who_judged(self) -> None:
        """Partners learn neither the associate nor what was noted for colleagues."""
        raw = encode(of_disposition(disposition(Verdict.DAMAGED, note="Kim dropped it."), "u", PLAIN))
        assert b"a-20817" not in raw
        assert b"Kim" not in raw

    def test_a_verdict_unknown_here_is_refused(self) -> None:
        """No word stands for it."""
        with pytest.raises(Poison) as refused:
            of_disposition(disposition(Verdict.UNKNOWN), "u", PLAIN)
        assert Reason.UNKNOWN_VERDICT is refused.value.reason

    @given(messages(Disposition).filter(lambda message: message.verdict is not Verdict.UNKNOWN), st.data())
    @settings(deadline=None)
    def test_any_verdict_becomes_a_valid_event(self, message: Disposition, data: st.DataObject) -> None:
        """Whatever its fields hold, and the same bytes each time."""
        unit = message.unit_id or data.draw(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
        event = of_disposition(message, unit, PLAIN)
        assert written(event) == written(of_disposition(message, unit, PLAIN))
        assert event == decode(ObjectEvent, encode(event))


class TestEventId:
    """One id for one fact."""

    def test_names_of_places_do_not_change_it(self) -> None:
        """A repository that has the event already knows the copy, also after the file of sites was corrected."""
        assert of_sidelined(sidelined(), PLAIN).event_id == of_sidelined(sidelined(), CONFIGURED).event_id

    def test_other_facts_have_others(self) -> None:
        """A sideline, the verdict on it, its revision, and two verdicts that share an id by mistake."""
        told = [
            of_sidelined(sidelined(), PLAIN),
            of_sidelined(sidelined(site="fra4"), PLAIN),
            of_disposition(disposition(Verdict.DAMAGED), "u", PLAIN),
            of_disposition(disposition(Verdict.SELLABLE), "u", PLAIN),
            of_disposition(disposition(Verdict.SELLABLE, judged_at=SUMMER), "u", PLAIN),
            of_disposition(disposition(Verdict.SELLABLE, disposition_id="bench-7.413"), "u", PLAIN),
        ]
        assert len(told) == len({event.event_id for event in told})


class TestSiteNames:
    """What units, products, places and times are called."""

    def test_gs1_keys_are_digital_links(self) -> None:
        """An SSCC and a GTIN with a serial number name a unit, a GTIN in any writing a product."""
        assert f"https://id.gs1.org/00/{SSCC}" == PLAIN.unit(SSCC)
        assert f"https://id.gs1.org/00/{SSCC}" == PLAIN.unit(f"00{SSCC}")
        assert f"https://id.gs1.org/01/{GTIN}/21/A-7" == PLAIN.unit(f"01{GTIN}21A-7")
        assert f"https://id.gs1.org/01/{GTIN}" == PLAIN.product("9506000134352")

    def test_other_ids_are_private(self) -> None:
        """A product's number alone names no unit; ids keep their letters, below the site or below the base."""
        assert "urn:sideline:unit:fra3:tote-0091.3" == PLAIN.unit("tote-0091.3")
        assert f"urn:sideline:unit:fra3:{GTIN}" == PLAIN.unit(GTIN)
        assert "urn:sideline:product:B00abc1234" == PLAIN.product("B00abc1234")
        assert "https://ids.example.com/unit/fra3/tote-0091.3" == CONFIGURED.unit("tote-0091.3")

    def test_places_are_as_configured_or_private(self) -> None:
        """GLNs become Digital Links, URIs stay."""
        assert "urn:sideline:site:fra3" == PLAIN.location
        assert "urn:sideline:site:fra3:review" == PLAIN.review
        assert "urn:sideline:site:fra3:inbound-1:booth-2" == PLAIN.station("inbound-1", "booth-2")
        assert "https://id.gs1.org/414/9506000134352" == CONFIGURED.location
        assert "https://example.com/fra3/bench" == CONFIGURED.review
        assert "urn:epc:id:sgln:0614141.07346.1234" == CONFIGURED.station("inbound-1", "booth-2")
        assert "https://ids.example.com/site/fra3/inbound-1/booth-9" == CONFIGURED.station("inbound-1", "booth-9")

    def test_the_offset_follows_the_sites_clocks(self) -> None:
        """In summer and in winter; without a zone it is UTC."""
        assert ("+01:00", "+02:00") == (CONFIGURED.offset(WINTER), CONFIGURED.offset(SUMMER))
        assert "+00:00" == PLAIN.offset(WINTER)
        newfoundland = SiteNames("s", SiteBook(sites={"s": Site(zone="America/St_Johns")}))
        assert "-03:30" == newfoundland.offset(WINTER)

    @pytest.mark.parametrize(
        ("book", "said"),
        [
            (SiteBook(base="example.com/"), "must begin a URI"),
            (SiteBook(base="https://example.com"), "must begin a URI"),
            (SiteBook(sites={"s": Site(zone="Europe/Frankfurt")}), "Europe/Berlin"),
            (SiteBook(sites={"s": Site(zone="../etc/passwd")}), "IANA"),
            (SiteBook(sites={"s": Site(location="9506000134353")}), "check digit"),
            (SiteBook(sites={"s": Site(review="the bench")}), "absolute URI"),
            (SiteBook(sites={"s": Site(stations={"l/s": "no place"})}), "absolute URI"),
            (SiteBook(sites={"s": Site(ids={"lpn": "("})}), "the pattern for lpn"),
        ],
    )
    def test_a_wrong_file_stops_the_start(self, book: SiteBook, said: str) -> None:
        """With what is wrong and how to write it."""
        with pytest.raises(Fatal, match=said):
            site_names(book, {"s": frozenset({"l"})})


class TestStrictSchema:
    """The schema written by hand is one, and refuses."""

    def test_it_is_a_schema(self) -> None:
        """By its dialect."""
        Draft202012Validator.check_schema(STRICT.schema)

    @pytest.mark.parametrize(
        "change",
        [
            {"eventID": "01a1f874-3e4d-7c3e-9f41-8d20b6a4e917"},
            {"eventTime": "2026-11-20 10:15"},
            {"eventTimeZoneOffset": "Z"},
            {"eventTimeZoneOffset": "+14:30"},
            {"action": "ADD"},
            {"epcList": []},
            {"epcList": ["tote-0091.3"]},
            {"bizStep": "urn:epcglobal:cbv:bizstep:inspecting"},
            {"disposition": "sellable"},
            {"disposition": "damaged"},
            {"readPoint": None},
            {"quantityList": []},
            {"sideline:associate": "a-20817"},
            {"sideline:verdict": "damaged"},
        ],
    )
    def test_it_refuses_what_is_no_event_of_ours(self, change: dict[str, Any]) -> None:
        """Else the tests built on it could not fail."""
        event = written(of_sidelined(sidelined(), PLAIN))
        assert not STRICT.is_valid(event | change)
