"""Who a process is: what it takes from its environment, what it refuses, and what it never says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from schemas.faults import Fatal, Retryable
from settings.credentials import Credentials, credentials, store_arguments, where
from settings.line import Settings
from streams import connection
from streams.documents import ROOT

SECRET = "correct-horse"  # noqa: S105 - it is looked for in what must not hold it
SASL = {"SIDELINE_KAFKA_PROTOCOL": "SASL_PLAINTEXT", "SIDELINE_KAFKA_USERNAME": "sideline.tracker"}


@pytest.fixture(autouse=True)
def _an_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this shell has set."""
    for name in Credentials.model_fields:
        monkeypatch.delenv(f"SIDELINE_{name.upper()}", raising=False)


def put(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set variables of the environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


class TestKafka:
    """How a broker is reached."""

    def test_a_broker_on_this_machine_needs_nothing(self) -> None:
        """As `sideline up` starts it."""
        assert {"bootstrap_servers": "b:1", "security_protocol": "PLAINTEXT"} == connection.arguments("b:1")

    def test_a_password_in_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line's end is not part of it; a changed file counts from the next connection on."""
        file = tmp_path / "password"
        put(monkeypatch, {**SASL, "SIDELINE_KAFKA_PASSWORD_FILE": str(file)})
        for secret in (SECRET, "the next one"):
            file.write_text(f"{secret}\n")
            made = connection.arguments("b:1")
            assert ("SCRAM-SHA-512", "sideline.tracker", secret) == tuple(
                made[f"sasl_{name}"] for name in ("mechanism", "plain_username", "plain_password")
            )

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            (SASL, "needs SIDELINE_KAFKA_USERNAME and SIDELINE_KAFKA_PASSWORD_FILE"),
            ({"SIDELINE_KAFKA_PASSWORD": SECRET}, "logs nobody in"),
            ({"SIDELINE_KAFKA_PROTOCOL": "SASL_TLS"}, "SIDELINE_KAFKA_PROTOCOL: Input should be"),
            (
                {**SASL, "SIDELINE_KAFKA_PASSWORD_FILE": "/nowhere"},
                "PASSWORD_FILE=/nowhere cannot be read",
            ),
            ({**SASL, "SIDELINE_KAFKA_PASSWORD": SECRET, "SIDELINE_KAFKA_PASSWORD_FILE": "/nowhere"}, "both set"),
            ({"SIDELINE_KAFKA_PROTOCOL": "SSL", "SIDELINE_KAFKA_CA_FILE": "/nowhere"}, "CA_FILE=/nowhere is no file"),
        ],
    )
    def test_what_cannot_work_is_refused_by_name(
        self, variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before anything is sent, and without the value of a secret."""
        put(monkeypatch, variables)
        with pytest.raises(Fatal, match="the credentials are wrong") as caught:
            connection.arguments("b:1")
        assert said in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_an_authority_that_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of something else is not taken for an empty list of authorities."""
        (tmp_path / "ca.pem").write_text("no certificate")
        put(monkeypatch, {"SIDELINE_KAFKA_PROTOCOL": "SSL", "SIDELINE_KAFKA_CA_FILE": str(tmp_path / "ca.pem")})
        with pytest.raises(Fatal, match="is no PEM file of certificates"):
            connection.arguments("b:1")

    def test_a_missing_right_is_no_outage(self) -> None:
        """Waiting mends the second only."""
        assert isinstance(connection.fault(TopicAuthorizationFailedError(), "t"), Fatal)
        assert isinstance(connection.fault(KafkaConnectionError(), "t"), Retryable)

    def test_a_wrong_password_is_thought_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The client says only that it cannot connect; where somebody logs in, that may be why."""
        assert "password" not in str(connection.fault(KafkaConnectionError(), "t"))
        put(monkeypatch, {**SASL, "SIDELINE_KAFKA_PASSWORD": SECRET})
        assert "does not accept the password of sideline.tracker" in str(connection.fault(KafkaConnectionError(), "t"))


class TestStores:
    """How the two Redis servers are reached."""

    def test_a_store_on_this_machine_needs_nothing(self) -> None:
        """As `sideline up` starts it."""
        assert {} == store_arguments("redis://127.0.0.1:1/0")

    def test_user_password_and_authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The authority is for TLS only: the plain client would not know what to do with it."""
        ca = tmp_path / "ca.pem"
        ca.write_text("")
        put(
            monkeypatch,
            {
                "SIDELINE_REDIS_USERNAME": "sideline.tracker",
                "SIDELINE_REDIS_PASSWORD": SECRET,
                "SIDELINE_REDIS_CA_FILE": str(ca),
            },
        )
        plain = {"username": "sideline.tracker", "password": SECRET}
        assert plain == store_arguments("redis://h:1/0")
        assert plain | {"ssl_ca_certs": str(ca)} == store_arguments("rediss://h:1/0")

    def test_where_it_is_can_be_told(self) -> None:
        """Its host and port, or its socket; not who we are there."""
        assert "h:1" == where(f"redis://user:{SECRET}@h:1/0")
        assert "/run/redis.sock" == where(f"unix://user:{SECRET}@/run/redis.sock?db=0")


class TestSecrets:
    """What is printed by accident."""

    def test_no_secret_shows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not in the text of the settings, and not in that of the credentials."""
        put(
            monkeypatch,
            {
                **SASL,
                "SIDELINE_KAFKA_PASSWORD": SECRET,
                "SIDELINE_REDIS_PASSWORD": SECRET,
                "SIDELINE_AUDIT_KEY": SECRET,
                "SIDELINE_REDIS_DECISIONS_URL": f"redis://u:{SECRET}@h:1/0",
                "SIDELINE_REDIS_GALLERY_URL": f"redis://u:{SECRET}@h:2/0",
            },
        )
        settings, who = Settings(), credentials()
        assert SECRET == settings.kafka_secret() == who.redis_secret()
        assert SECRET not in f"{settings!r} {settings} {who!r} {who} {settings.kafka_password}"


class TestOneHome:
    """A client that somebody connects by hand works on a plain broker only, and no other test would say so."""

    def test_every_client_is_connected_from_here(self) -> None:
        """No other file names the brokers to a client, and none opens a store without its credentials."""
        folders = ("booth", "budget", "cli", "deploy", "evidence", "feedback", "gallery", "streams", "workers")
        files = {path: path.read_text(encoding="utf-8") for name in folders for path in (ROOT / name).rglob("*.py")}
        assert [] == [path for path, text in files.items() if "bootstrap_servers=" in text]
        opened = [path for path, text in files.items() if re.search(r"from_url\(\s*url", text)]
        by_hand = [path for path in opened if not re.search(r"from_url\(\s*url,\s*\*\*store_arguments", files[path])]
        assert [ROOT / "budget" / "sample.py"] == by_hand  # a site for tests and benchmarks
        assert len(opened) > len(by_hand) + 3
