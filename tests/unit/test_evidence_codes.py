"""One form for codes: whatever writes a product's number, a look-up finds it."""

from __future__ import annotations

import pytest
from biip.checksums import gs1_standard_check_digit
from hypothesis import given
from hypothesis import strategies as st

from evidence.codes import MAX_CODE, normalise

GTIN = "09506000134352"
digits_of_gtin = st.sampled_from([7, 11, 12, 13]).flatmap(
    lambda length: st.text("0123456789", min_size=length, max_size=length).filter(lambda text: text.strip("0"))
)


def with_check_digit(digits: str) -> str:
    """Complete a GTIN."""
    return f"{digits}{gs1_standard_check_digit(digits)}"


class TestNormalise:
    """`normalise`."""

    @pytest.mark.parametrize(
        "text",
        [
            "9506000134352",
            "09506000134352",
            " 9506000134352\r\n",
            "9 506000 134352",
            "950-6000-13435-2",
            "]E09506000134352",
            "]C10109506000134352",
            "]d20109506000134352",
            "]Q30109506000134352",
            "]e00109506000134352",
            "0109506000134352",
            "010950600013435210ABC\x1d17251231",
            "]C1010950600013435210ABC\x1d21X",
            "(01)09506000134352",
            "(01)09506000134352(10)ABC(17)251231",
            "(10)ABC(01)09506000134352",
            "https://id.gs1.org/01/09506000134352",
            "https://id.gs1.org/01/09506000134352/10/ABC?17=251231",
            "https://example.com/some/path/01/9506000134352",
            "HTTPS://ID.GS1.ORG/01/09506000134352/10/ABC",
            "\uff19\uff15\uff10\uff16\uff10\uff10\uff10\uff11\uff13\uff14\uff13\uff15\uff12",
        ],
    )
    def test_writes_a_gtin_as_14_digits(self, text: str) -> None:
        """Alone, printed with gaps, in element strings, in web addresses: the same product is the same key."""
        assert GTIN == normalise(text)

    @pytest.mark.parametrize(
        ("text", "symbology", "expected"),
        [
            ("96385074", "EAN8", "00000096385074"),
            ("614141000036", "UPCA", "00614141000036"),
            ("0614141000036", "EAN13", "00614141000036"),
            ("10614141000033", "ITF14", "10614141000033"),
            ("04904005", "UPC-E", "00049000000405"),
            ("0049000000405", "UPCE", "00049000000405"),
            ("01234565", "UPCE", "00012345000065"),
            ("01234565", "EAN8", "00000001234565"),
        ],
    )
    def test_knows_the_retail_symbologies(self, text: str, symbology: str, expected: str) -> None:
        """Short and long forms of a number meet; eight digits mean what their bars say."""
        assert expected == normalise(text, symbology)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("b00abc1234", "B00ABC1234"),
            ("X001ABCDEF", "X001ABCDEF"),
            ("0306406152", "0306406152"),
            ("2-146-11", "2-146-11"),
            ("Shelf  7\tB", "SHELF 7 B"),
            ("9506000134353", "9506000134353"),
            ("0209506000134352375", "0209506000134352375"),
            ("01 or 02", "01 OR 02"),
            ("https://example.com/x", "HTTPS://EXAMPLE.COM/X"),
            ("straße", "STRASSE"),
        ],
    )
    def test_keeps_other_ids_in_upper_case(self, text: str, expected: str) -> None:
        """What is no GTIN may still be an id of the site's own."""
        assert expected == normalise(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "   ",
            "---",
            "\x00",
            "a\x07b",
            "a\u202eb",
            "x" * (MAX_CODE + 1),
            "\ufdfa" * 100,  # grows eighteenfold when normalised
            "106141411234567897",
            "00106141411234567897",
            "(00)106141411234567897",
            "]C100106141411234567897",
            "(01)09506000134353",
            "(02)09506000134352(37)5",
            "(21)SERIAL",
            "]C1garbage",
        ],
    )
    def test_refuses_what_names_no_product(self, text: str) -> None:
        """Parcels, broken element strings, control characters and nothing at all have no form."""
        assert normalise(text) is None

    @pytest.mark.parametrize("symbology", ["EAN13", "EAN-13", "ean13", "UPCA", "UPCE", "EAN8", "ITF14"])
    def test_refuses_a_retail_code_whose_check_digit_fails(self, symbology: str) -> None:
        """From bars that hold nothing but a GTIN, a number that is none was misread."""
        assert normalise("9506000134353", symbology) is None

    @given(digits_of_gtin)
    def test_any_gtin_ends_as_14_digits(self, digits: str) -> None:
        """Every GTIN with its check digit is padded to 14, and its forms agree."""
        gtin = with_check_digit(digits)
        assert gtin.zfill(14) == normalise(gtin)
        assert gtin.zfill(14) == normalise(f"(01){gtin.zfill(14)}")
        assert gtin.zfill(14) == normalise(f"https://id.gs1.org/01/{gtin.zfill(14)}")

    @given(st.text(max_size=300), st.sampled_from(["", "EAN13", "UPCE", "QRCode", "nonsense"]))
    def test_never_raises(self, text: str, symbology: str) -> None:
        """Any text has an answer, and the answer fits a key."""
        code = normalise(text, symbology)
        assert code is None or 1 <= len(code) <= MAX_CODE

    @given(
        st.sampled_from(["", "(01)", "]C1", "]C101", "01", "https://a/01/", "(310", "]E0", "(17)", "(8020)"]),
        st.text("0123456789()]CE1 -/:\x1d.?=&%aB\u00e9", max_size=40),
    )
    def test_is_its_own_form(self, start: str, rest: str) -> None:
        """A canonical code stays as it is, so that it may be normalised anywhere, any number of times."""
        code = normalise(start + rest)
        assert code is None or code == normalise(code)
