"""What kind of thing an id names, told by its form."""

from __future__ import annotations

import time

import pytest
from biip.checksums import gs1_standard_check_digit
from hypothesis import given
from hypothesis import strategies as st

from evidence.codes import MAX_CODE, normalise
from evidence.ids import DEFAULT_PATTERNS, MAX_PATTERN, Id, IdForms, IdKind, Whose
from schemas.faults import Fatal

DEFAULT = IdForms()
SSCC = "106141411234567897"
GTIN = "09506000134352"


def digits(length: int) -> st.SearchStrategy[str]:
    """Give numbers that are not all zeros: those name nothing."""
    return st.text("0123456789", min_size=length, max_size=length).filter(lambda text: bool(text.strip("0")))


def completed(number: str) -> str:
    """Add the check digit."""
    return f"{number}{gs1_standard_check_digit(number)}"


class TestRead:
    """`IdForms.read` with the default forms."""

    @pytest.mark.parametrize(
        "text",
        [SSCC, f"00{SSCC}", f"(00){SSCC}", f"]C100{SSCC}", f"]d200{SSCC}", f"https://id.gs1.org/00/{SSCC}"],
    )
    def test_an_sscc_is_one_parcel_in_any_writing(self, text: str) -> None:
        """Bare, in element strings, in a web address."""
        assert Id(IdKind.SSCC, SSCC) == DEFAULT.read(text)

    @pytest.mark.parametrize(
        ("text", "serial"),
        [
            ("9506000134352", ""),
            (GTIN, ""),
            (f"(01){GTIN}", ""),
            (f"(01){GTIN}(10)LOT", ""),
            (f"01{GTIN}2112345", "12345"),
            (f"(01){GTIN}(21)A-7", "A-7"),
            (f"]d201{GTIN}21A-7", "A-7"),
            (f"https://example.com/01/{GTIN}/21/A-7", "A-7"),
        ],
    )
    def test_a_gtin_is_a_product_and_with_a_serial_number_one_piece(self, text: str, serial: str) -> None:
        """The serial number is kept beside the product's number."""
        found = DEFAULT.read(text)
        assert Id(IdKind.GTIN, GTIN, serial) == found
        assert found is not None
        assert bool(serial) == found.names_a_unit

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("LPN-7QX2M80413", Id(IdKind.LPN, "LPN-7QX2M80413")),
            ("lpnrr1234567", Id(IdKind.LPN, "LPNRR1234567")),
            ("b00abc1234", Id(IdKind.ASIN, "B00ABC1234")),
            ("X001ABCDEF", Id(IdKind.FNSKU, "X001ABCDEF")),
            ("tote-0091.3", Id(IdKind.OTHER, "TOTE-0091.3")),
            ("12345678901234", Id(IdKind.OTHER, "12345678901234")),
            ("LPN", Id(IdKind.OTHER, "LPN")),
            ("XLPN-7QX2M80413", Id(IdKind.OTHER, "XLPN-7QX2M80413")),
        ],
    )
    def test_other_ids_are_told_by_their_looks(self, text: str, expected: Id) -> None:
        """An expression must match from end to end; digits without a check digit are no GTIN."""
        assert expected == DEFAULT.read(text)

    @pytest.mark.parametrize(
        "text", ["", "---", "a\x07b", "x" * (MAX_CODE + 1), "https://id.gs1.org/414/9506000134352"]
    )
    def test_what_names_neither_is_none(self, text: str) -> None:
        """Nothing, control characters, and GS1 messages about something else: a place, for one."""
        assert DEFAULT.read(text) is None

    def test_a_misread_retail_code_is_none(self) -> None:
        """From bars that hold nothing but a GTIN, another number was misread."""
        assert DEFAULT.read("9506000134353", "EAN13") is None

    @given(digits(17))
    def test_any_sscc_is_one(self, number: str) -> None:
        """By its length and check digit; another last digit makes it something else."""
        sscc = completed(number)
        assert Id(IdKind.SSCC, sscc) == DEFAULT.read(sscc)
        wrong = f"{number}{(int(sscc[-1]) + 1) % 10}"
        assert Id(IdKind.OTHER, wrong) == DEFAULT.read(wrong)

    @given(st.sampled_from([7, 11, 12, 13]).flatmap(digits))
    def test_any_gtin_is_one(self, number: str) -> None:
        """By its length and check digit; another last digit makes it something else."""
        gtin = completed(number)
        assert Id(IdKind.GTIN, gtin.zfill(14)) == DEFAULT.read(gtin)
        wrong = DEFAULT.read(f"{number}{(int(gtin[-1]) + 1) % 10}")
        assert wrong is not None
        assert wrong.kind is IdKind.OTHER

    @given(st.text(max_size=300), st.sampled_from(["", "EAN13", "UPCE", "QRCode", "nonsense"]))
    def test_never_raises_and_is_its_own_form(self, text: str, symbology: str) -> None:
        """Any text has an answer, and an id in canonical form reads as itself."""
        found = DEFAULT.read(text, symbology)
        if found is not None:
            assert 1 <= len(found.text) <= MAX_CODE
            assert Id(found.kind, found.text) == DEFAULT.read(found.text)

    @given(
        st.sampled_from(["", "(01)", "(00)", "]C1", "]C101", "01", "00", "https://a/01/", "https://a/00/", "(21)"]),
        st.text("0123456789()]CE1LPNBX -/:\x1d.?=&%a\u00e9", max_size=40),
    )
    def test_agrees_with_the_form_for_look_ups(self, start: str, rest: str) -> None:
        """What can name a product is the same text here and in look-ups; only parcels have an id and no such form."""
        found, code = DEFAULT.read(start + rest), normalise(start + rest)
        if found is None or found.kind is IdKind.SSCC:
            assert code is None
        else:
            assert code == found.text


class TestUri:
    """`Id.uri`."""

    def test_gs1_keys_are_digital_links(self) -> None:
        """In the domain that GS1 keeps for them; a serial number is escaped."""
        assert f"https://id.gs1.org/00/{SSCC}" == Id(IdKind.SSCC, SSCC).uri
        assert f"https://id.gs1.org/01/{GTIN}" == Id(IdKind.GTIN, GTIN).uri
        assert f"https://id.gs1.org/01/{GTIN}/21/A%2F7" == Id(IdKind.GTIN, GTIN, "A/7").uri

    def test_other_ids_have_none(self) -> None:
        """Nobody but the site knows what they mean."""
        assert Id(IdKind.LPN, "LPN-7QX2M80413").uri is None


class TestWhose:
    """`IdForms.whose`."""

    @pytest.mark.parametrize(
        ("text", "unit_id", "expected"),
        [
            ("LPN-7QX2M80413", "LPN-7QX2M80413", Whose.A_UNITS),
            ("lpn-7qx2m80413", "LPN-7QX2M80413", Whose.A_UNITS),
            ("tote-0091.3", "TOTE-0091.3", Whose.A_UNITS),
            (f"]C100{SSCC}", SSCC, Whose.A_UNITS),
            (f"(01){GTIN}(21)A-7", f"01{GTIN}21A-7", Whose.A_UNITS),
            ("LPN-7QX2M80413", "tote-0091.3", Whose.A_UNITS),  # the plate of what is in the tote
            (SSCC, "LPN-7QX2M80413", Whose.A_UNITS),
            ("LPN-7QX2M80414", "LPN-7QX2M80413", Whose.ANOTHER_UNITS),
            (completed("10614141123456790"), SSCC, Whose.ANOTHER_UNITS),
            ("X001ABCDEF", "LPN-7QX2M80413", Whose.A_PRODUCTS),
            (GTIN, "LPN-7QX2M80413", Whose.A_PRODUCTS),
            (f"(01){GTIN}(21)A-8", f"01{GTIN}21A-7", Whose.A_PRODUCTS),
            ("tote-0092.1", "tote-0091.3", Whose.A_PRODUCTS),
            ("---", "tote-0091.3", Whose.A_PRODUCTS),
        ],
    )
    def test_only_labels_of_one_scheme_contradict(self, text: str, unit_id: str, expected: Whose) -> None:
        """The unit's own label in any writing, a label of another scheme, another unit's, a product's."""
        assert expected is DEFAULT.whose(text, unit_id=unit_id)

    @given(st.text(max_size=60), st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
    def test_never_raises_and_knows_its_own(self, text: str, unit_id: str) -> None:
        """Any text has an answer; the unit's id never reads as another's."""
        assert DEFAULT.whose(text, unit_id=unit_id) in Whose
        assert DEFAULT.whose(unit_id, unit_id=unit_id) is not Whose.ANOTHER_UNITS


class TestPatterns:
    """What a site says its ids look like."""

    def test_a_site_has_its_own(self) -> None:
        """A kind it names replaces the default, the others stay."""
        forms = IdForms({"lpn": "P[0-9]{6}"})
        assert Id(IdKind.LPN, "P123456") == forms.read("p123456")
        assert Id(IdKind.OTHER, "LPN-7QX2M80413") == forms.read("LPN-7QX2M80413")
        assert Id(IdKind.ASIN, "B00ABC1234") == forms.read("B00ABC1234")

    def test_an_empty_one_turns_a_kind_off(self) -> None:
        """The site has no such ids."""
        assert Id(IdKind.OTHER, "B00ABC1234") == IdForms({"asin": ""}).read("B00ABC1234")

    def test_gs1_keys_keep_their_meaning(self) -> None:
        """An expression that matches everything takes neither products nor parcels."""
        forms = IdForms({"lpn": ".*"})
        assert [IdKind.GTIN, IdKind.SSCC, IdKind.LPN] == [
            found.kind for found in map(forms.read, [GTIN, SSCC, "anything"]) if found is not None
        ]

    @pytest.mark.parametrize(
        "pattern",
        ["(", "[a", "a{2,1}", r"(a)\1", "(?=a)a", "(?<!a)b", "((a{1,1000}){1,1000})", r"\p{Greek}{1000}", "\ud800"],
    )
    def test_what_could_hang_or_is_none_is_refused_at_start(self, pattern: str) -> None:
        """Back-references, look-arounds and what would grow without bound, with the expression in the message."""
        with pytest.raises(Fatal, match="the pattern for lpn is refused"):
            IdForms({"lpn": pattern})

    def test_a_long_one_is_refused(self) -> None:
        """With the limit in the message."""
        with pytest.raises(Fatal, match=str(MAX_PATTERN)):
            IdForms({"lpn": "a" * (MAX_PATTERN + 1)})

    def test_only_kinds_without_check_digits_have_patterns(self) -> None:
        """What a GTIN is, no site decides."""
        for name in ("gtin", "sscc", "nonsense"):
            with pytest.raises(Fatal, match="there are " + ", ".join(DEFAULT_PATTERNS)):
                IdForms({name: ".*"})

    @pytest.mark.parametrize("pattern", ["(a|aa)+", "(A+)+B", "(.*.*.*.*.*.*.*.*)X", "(A?){200}A{200}"])
    def test_hostile_ones_take_no_time(self, pattern: str) -> None:
        """Expressions that take others' engines for ever, on the text that shows it."""
        forms = IdForms({"lpn": pattern})
        began = time.perf_counter()
        forms.read("A" * (MAX_CODE - 1) + "!")
        assert time.perf_counter() - began < 0.5

    @given(st.text(max_size=30))
    def test_any_pattern_is_taken_or_refused_in_words(self, pattern: str) -> None:
        """Nothing but `Fatal` comes out, and what was taken reads any id."""
        try:
            forms = IdForms({"lpn": pattern})
        except Fatal as refused:
            assert "lpn" in str(refused)  # noqa: PT017 - either outcome is right
        else:
            assert forms.read("LPN-7QX2M80413") is not None
