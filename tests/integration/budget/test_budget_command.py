"""`sideline budget` against a real store: what is in force afterwards, and what the history says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from budget.sample import Trial
from budget.warm import certified_threshold
from evidence.calibration import Calibration

FUSION = Path(__file__).parents[3] / "triton_models" / "fusion.json"


class TestBudgetCommand:
    """By the command itself, in a process of its own."""

    @pytest.fixture(autouse=True)
    def _aim(self, site: Trial, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point the command at the test's store."""
        monkeypatch.setenv("SIDELINE_RUN_DIR", str(tmp_path))
        monkeypatch.setenv("SIDELINE_STORE_ID", site.store_id)
        monkeypatch.setenv("SIDELINE_REDIS_DECISIONS_URL", store_url)
        for other in ("KAFKA_BOOTSTRAP", "REDIS_GALLERY_URL", "TRITON_URL"):
            monkeypatch.setenv(f"SIDELINE_{other}", "127.0.0.1:1")

    def budget(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        command = [sys.executable, "-m", "cli.main", "budget", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)

    async def test_an_override_ends_by_itself_and_says_why(self, site: Trial) -> None:
        """It is in force at once, and the history names who, what and why."""
        done = self.budget(site.name, "--override", "1.5", "--for", "30m", "--why", "new lamps", "--by", "ann")
        assert 0 == done.returncode, done.stderr
        config = (await site.store.state(site.name)).config
        assert 1_500_000 == config.override_threshold
        assert 0 < config.override_until_ms - site.now_ms() <= 30 * 60_000
        told = self.budget(site.name, "--history").stdout
        assert "by ann (new lamps)" in told
        assert "override_threshold=1500000" in told

    async def test_a_certificate_becomes_the_start(self, site: Trial) -> None:
        """At the site's own alpha, from the negatives that come with the models."""
        await site.configure(floor=-7_000_000)
        done = self.budget(site.name, "--certify", str(FUSION), "--why", "a new site")
        assert 0 == done.returncode, done.stderr
        state = await site.store.state(site.name)
        wanted = certified_threshold(Calibration.load(FUSION).negatives, fpr_ppm=state.config.alpha_ppm)
        assert wanted == state.config.start_threshold

    async def test_what_cannot_hold_is_refused_with_the_number(self, site: Trial) -> None:
        """And nothing changes."""
        before = (await site.store.state(site.name)).config_version
        done = self.budget(site.name, "--set", "verdict_delay_ms=600000", "--set", "alpha_ppm=500000")
        assert 1 == done.returncode
        assert "needs burst_tokens >= 7200" in done.stderr
        assert before == (await site.store.state(site.name)).config_version
