"""A starting threshold with a certificate."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cli.certify import certified_start
from evidence.calibration import Calibration
from schemas.faults import Fatal

SHIPPED = Path("triton_models/fusion.json")


class TestCertifiedStart:
    """What `sideline budget SITE --certify FILE` sets."""

    def test_the_shipped_negatives_certify_half_a_percent(self) -> None:
        """Fewer of them lie above than half a percent, or nothing would be left for doubt; and not none."""
        negatives = Calibration.load(SHIPPED).negatives
        threshold = certified_start(SHIPPED, alpha_ppm=5_000)
        assert 0 < sum(score >= threshold for score in negatives) < 0.005 * len(negatives)

    def test_a_smaller_alpha_asks_for_a_higher_threshold(self) -> None:
        """The certificate is for the alpha that is in force."""
        assert certified_start(SHIPPED, alpha_ppm=5_000) < certified_start(SHIPPED, alpha_ppm=2_000)

    def test_too_few_negatives_are_refused_with_the_number_it_needs(self) -> None:
        """One in ten thousand needs 29,956 of them."""
        with pytest.raises(Fatal, match="it needs 29956"):
            certified_start(SHIPPED, alpha_ppm=100)

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        """It says so instead of starting from nothing."""
        other = tmp_path / "card.json"
        other.write_bytes(msgspec.json.encode({"negatives": []}))
        with pytest.raises(Fatal):
            certified_start(other, alpha_ppm=5_000)
