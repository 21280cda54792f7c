"""Scan, code in the pixels and looks, in every combination: what docs/evidence.md states is what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from evidence.identity import SAME_PASS_MS, CodeClaim, ImageCandidate, ScanClaim, identify
from evidence.identity_limits import IdentityLimits, ImageTier
from schemas.messages import Identity
from schemas.words import MICRO, IdentityMethod

PAGE: Final = Path(__file__).parents[2] / "docs" / "evidence.md"
HEAD: Final = "| scanned | in the pixels | "
LIMITS: Final = IdentityLimits(
    tiers=(ImageTier(products=MICRO, margin_weight=500_000, score=950_000, right=950_000),),
    strong_similarity=900_000,
    strong_margin=300_000,
    poor_patch=600_000,
    apart_similarity=940_000,
    apart_lead=200_000,
)


def scan(product: str | None, at_ms: int = 0) -> ScanClaim:
    """Make a scan, by default of the capture's moment."""
    return ScanClaim(f"code-{product}", product, at_ms)


def code(product: str | None, *, confirmed: bool = True) -> CodeClaim:
    """Make a code read from the pixels."""
    return CodeClaim(f"code-{product}", product, confirmed)


SCANS: Final[dict[str, list[ScanClaim]]] = {
    "nothing": [],
    "too late": [],  # nobody waits for it
    "unknown": [scan(None)],
    "A": [scan("A")],
    "A twice": [scan("A"), scan("A", 200)],
    "A and unknown": [scan("A"), scan(None, 100)],
    "unknown, then A": [scan(None), scan("A", 100)],
    "A, and B another time": [scan("A"), scan("B", -SAME_PASS_MS - 1)],
    "A and B at once": [scan("A"), scan("B", SAME_PASS_MS)],
}
CODES: Final = {
    "nothing": [],
    "unknown": [code(None)],
    "A": [code("A")],
    "A twice": [code("A"), code("A")],
    "A once": [code("A", confirmed=False)],
    "B": [code("B")],
    "B once": [code("B", confirmed=False)],
    "A and B": [code("A"), code("B")],
    "B once and C once": [code("B", confirmed=False), code("C", confirmed=False)],
}
LOOKS: Final = {
    "no references": [],
    "like A": [ImageCandidate("A", 0.98, 0.95), ImageCandidate("B", 0.3, 0.5), ImageCandidate("C", 0.2, 0.4)],
    "unsure": [ImageCandidate("A", 0.7, 0.7), ImageCandidate("B", 0.71, 0.69), ImageCandidate("C", 0.2, 0.4)],
    "like B and A": [ImageCandidate("A", 0.9, 0.85), ImageCandidate("B", 0.97, 0.93), ImageCandidate("C", 0.2, 0.4)],
    "clearly B": [ImageCandidate("A", 0.3, 0.5), ImageCandidate("B", 0.98, 0.95), ImageCandidate("C", 0.2, 0.4)],
}


def stated() -> Iterator[tuple[str, str, str, str]]:
    """Yield scan, code, looks and result of every cell of the page's table, states that share a row one by one."""
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(HEAD))
    columns = cells(lines[start])[2:]
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        scans, codes, *results = cells(line)
        for scanned in scans.split(" · "):
            for read in codes.split(" · "):
                for looks, result in zip(columns, results, strict=True):
                    yield scanned, read, looks, result


def cells(line: str) -> list[str]:
    """Return the cells of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def found(scanned: str, read: str, looks: str) -> Identity:
    """Identify from named states."""
    scans = SCANS[scanned]
    return identify(
        scan=scans[0] if scans else None,
        other_scans=scans[1:],
        codes=CODES[read],
        candidates=LOOKS[looks],
        expected=[],
        limits=LIMITS,
    )


def said(identity: Identity) -> str:
    """Write an identity as the table does."""
    how = {IdentityMethod.SCAN: "scan", IdentityMethod.BARCODE: "code", IdentityMethod.IMAGE: "looks"}
    if identity.product_id is None:
        return "none"
    conflict = ", **wrong item?**" if identity.conflict else ""
    return f"{identity.product_id} by {how[identity.method]}{conflict}"


class TestTable:
    """docs/evidence.md."""

    def test_it_holds_every_combination(self) -> None:
        """No state of any source is left out, and none is stated twice."""
        combinations = [each[:3] for each in stated()]
        assert len(combinations) == len(set(combinations))
        assert {(a, b, c) for a in SCANS for b in CODES for c in LOOKS} == set(combinations)

    @pytest.mark.parametrize("scanned", SCANS)
    def test_what_it_states_comes_out(self, scanned: str) -> None:
        """Product, source and conflict of every cell."""
        off = {
            cell[:3]: (cell[3], said(found(*cell[:3])))
            for cell in stated()
            if cell[0] == scanned and cell[3] != said(found(*cell[:3]))
        }
        assert {} == off

    def test_a_conflict_names_both_sides(self) -> None:
        """Whoever gets a wrong item reads at least two products that sources named, none of them as weak."""
        conflicts = [found(a, b, c) for a in SCANS for b in CODES for c in LOOKS if found(a, b, c).conflict]
        strong = [{claim.split(":")[1] for claim in each.claims if "~" not in claim} for each in conflicts]
        assert conflicts
        assert all({"A", "B"} <= names for names in strong), [each.claims for each in conflicts]

    def test_every_scan_is_on_record(self) -> None:
        """Scans of another passing are weak claims; those that nobody knows show their code."""
        assert ["scan:A", "scan~:B"] == found("A, and B another time", "nothing", "no references").claims
        assert ["scan:A", "scan:?code-None"] == found("A and unknown", "nothing", "no references").claims

    def test_doubt_lowers_the_confidence(self) -> None:
        """Two labels scanned at once leave less than an even chance to either, whatever the first source is worth."""
        alone, both = found("A", "nothing", "no references"), found("A and B at once", "nothing", "no references")
        assert 990_000 == alone.confidence_ppm
        assert 500_000 == both.confidence_ppm
        assert re.fullmatch("scan:A,scan:B", ",".join(both.claims))
