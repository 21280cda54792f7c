"""Settings that hold secrets: refused in words that hold none."""

from __future__ import annotations

import ipaddress
import re

import pytest

from settings.line import Settings
from streams.host import main
from workers.tracker import opening

PASSWORD = "s3cr3t-p4ssw0rd"  # noqa: S105 - what must not be seen
URLS = ("SIDELINE_REDIS_DECISIONS_URL", "SIDELINE_REDIS_GALLERY_URL")


class TestUrlsOfStores:
    """`SIDELINE_REDIS_*_URL`."""

    @pytest.mark.parametrize("variable", URLS)
    @pytest.mark.parametrize(
        "url",
        [
            f"redis://:{PASSWORD}/x@127.0.0.1:6379/0",
            f"redis://:{PASSWORD}#x@127.0.0.1:6379/0",
            f"redis://:{PASSWORD}?x@127.0.0.1:6379/0",
            f"redis://{PASSWORD}:12/34@127.0.0.1:6379/0",
            f"redis://{PASSWORD}@127.0.0.1:port/0",
            f"redis://[{PASSWORD}@127.0.0.1:6379/0",
            f"http://:{PASSWORD}@127.0.0.1:6379/0",
            f"redis://:{PASSWORD}@:6379/0",
            f"redis://:{PASSWORD}@",
            PASSWORD,
        ],
    )
    def test_that_would_be_misread_end_the_worker(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variable: str, url: str
    ) -> None:
        """With the variable's name and the form that is right; no part of the password shows."""
        monkeypatch.setenv(variable, url)
        with pytest.raises(SystemExit) as ended:
            main("tracker", opening)
        said = f"{ended.value}{''.join(capfd.readouterr())}"
        assert variable in said
        assert "percent-encoded" in said
        assert PASSWORD not in said

    @pytest.mark.parametrize(
        "url",
        [
            "redis://127.0.0.1:6379",
            "redis://127.0.0.1:6379/1",
            f"rediss://worker:{PASSWORD}@store.internal:6380/0?protocol=3",
            "redis://:%2Fa%23b%40@[::1]:6379/0",
            "unix:///run/redis/redis.sock?db=1",
        ],
    )
    def test_that_are_right_are_taken(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        """As they are."""
        monkeypatch.setenv("SIDELINE_REDIS_DECISIONS_URL", url)
        assert url == Settings().redis_decisions_url


class TestShowing:
    """Settings as they end up in tracebacks and prints of somebody who looks for a fault."""

    def test_no_secret_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each field whose name or content is a secret's is left out or masked."""
        for variable in URLS:
            monkeypatch.setenv(variable, f"redis://worker:{PASSWORD}@127.0.0.1:6379/0")
        secret = re.compile("KEY$|PASSWORD$|SECRET|TOKEN$")
        named = [f"SIDELINE_{name.upper()}" for name in Settings.model_fields if secret.search(name.upper())]
        assert {"SIDELINE_AUDIT_KEY", "SIDELINE_KAFKA_PASSWORD", "SIDELINE_REDIS_PASSWORD"} <= set(named)
        for variable in named:
            monkeypatch.setenv(variable, PASSWORD)
        monkeypatch.setenv("SIDELINE_KAFKA_PROTOCOL", "SASL_SSL")
        monkeypatch.setenv("SIDELINE_KAFKA_USERNAME", "worker")
        settings = Settings()
        assert PASSWORD == settings.kafka_secret()
        assert PASSWORD not in f"{settings!r}{settings}"


class TestDefaults:
    """What is in force where nobody decided."""

    def test_every_address_is_this_machine(self) -> None:
        """Nothing is listened on for others, and nobody else is asked."""
        fields = Settings.model_fields
        assert ipaddress.ip_address(fields["health_host"].default).is_loopback
        for name in ("kafka_bootstrap", "triton_url", "redis_decisions_url", "redis_gallery_url"):
            assert "127.0.0.1:" in fields[name].default

    def test_no_picture_may_be_read(self) -> None:
        """Roots and buckets are named by whoever runs the line."""
        settings = Settings.model_fields
        assert [] == settings["image_roots"].get_default(call_default_factory=True)
        assert [] == settings["s3_buckets"].get_default(call_default_factory=True)
