"""Who a process is to the broker and to the stores, and how it knows that they are the right ones.

Every connection is made from here. A secret comes as a variable or, better, as a mounted file that the variable with
`_FILE` names; the file is read whenever a connection is made anew, so a rotated one needs a restart and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.faults import Fatal

_NOTHING: Final = SecretStr("")


class Credentials(BaseSettings):
    """The credentials of one process. Its passwords show in no `repr`, no log and no error."""

    model_config = SettingsConfigDict(env_prefix="SIDELINE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    kafka_username: str = Field(default="", description="The principal, see docs/access.md.")
    kafka_password: SecretStr = _NOTHING
    kafka_password_file: Path | None = None
    kafka_ca_file: Path | None = None  # PEM; without it, the authorities that the system trusts

    redis_username: str = Field(default="", description="The user of both stores, unless a URL names another one.")
    redis_password: SecretStr = _NOTHING
    redis_password_file: Path | None = None
    redis_ca_file: Path | None = None  # PEM, for rediss:// URLs

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what could only fail later, or would pass for protection and be none."""
        kafka, _ = self.kafka_secret(), self.redis_secret()
        if self.kafka_protocol.startswith("SASL") and not (self.kafka_username and kafka):
            raise ValueError(
                f"SIDELINE_KAFKA_PROTOCOL={self.kafka_protocol} needs SIDELINE_KAFKA_USERNAME and "
                "SIDELINE_KAFKA_PASSWORD_FILE"
            )
        if not self.kafka_protocol.startswith("SASL") and (self.kafka_username or kafka):
            raise ValueError(
                f"a Kafka user is set, but SIDELINE_KAFKA_PROTOCOL={self.kafka_protocol} logs nobody in: "
                "set it to SASL_SSL"
            )
        for name in ("kafka_ca_file", "redis_ca_file"):
            file: Path | None = getattr(self, name)
            if file is not None and not file.is_file():
                raise ValueError(f"SIDELINE_{name.upper()}={file} is no file")
        return self

    def kafka_secret(self) -> str:
        """Return the password for Kafka, empty if there is none."""
        return _secret("KAFKA_PASSWORD", self.kafka_password, self.kafka_password_file)

    def redis_secret(self) -> str:
        """Return the password for the stores, empty if there is none."""
        return _secret("REDIS_PASSWORD", self.redis_password, self.redis_password_file)


def credentials() -> Credentials:
    """Return the credentials that this process's environment gives it now.

    Raises:
        Fatal: they cannot work; names the variable, never its value.
    """
    try:
        return Credentials()
    except (ValidationError, UnicodeEncodeError) as error:
        raise Fatal(f"the credentials are wrong: {problems(error)}") from None


def problems(error: ValidationError | UnicodeEncodeError) -> str:
    """Say which variables are wrong and why, without their values."""
    if isinstance(error, UnicodeEncodeError):  # raised before anything is checked, and names no variable
        names = [name for name, value in os.environ.items() if name.startswith("SIDELINE_") and not _is_text(value)]
        return f"{', '.join(names)}: no UTF-8"
    said = []
    for problem in error.errors(include_input=False, include_url=False):
        variable = "_".join(map(str, problem["loc"])).upper()
        said.append(f"SIDELINE_{variable}: {problem['msg']}" if variable else problem["msg"])
    return "; ".join(said)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def store_arguments(url: str, who: Credentials | None = None) -> dict[str, Any]:
    """Return what a Redis client needs beside the URL; a user or password in the URL itself goes first.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` (a socket of this machine).
        who: default: the credentials of this process.

    Raises:
        Fatal: the credentials are wrong.
    """
    who = who or credentials()
    arguments: dict[str, Any] = {}
    if who.redis_username:
        arguments["username"] = who.redis_username
    if secret := who.redis_secret():
        arguments["password"] = secret
    if who.redis_ca_file is not None and url.startswith("rediss://"):
        arguments["ssl_ca_certs"] = str(who.redis_ca_file)
    return arguments


def where(url: str) -> str:
    """Return the part of a store's URL that may be shown: no user, no password."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port}"


def _secret(name: str, value: SecretStr, file: Path | None) -> str:
    if file is None:
        return value.get_secret_value()
    if value.get_secret_value():
        raise ValueError(f"SIDELINE_{name} and SIDELINE_{name}_FILE are both set: keep the file")
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"SIDELINE_{name}_FILE={file} cannot be read: {type(error).__name__}") from None
