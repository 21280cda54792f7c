"""How every Kafka client of ours is connected: address, protocol and credential, in one place."""

from __future__ import annotations

import ssl
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from schemas.faults import Fatal, Retryable
from settings.credentials import Credentials, credentials

REFUSALS: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


def arguments(bootstrap: str, who: Credentials | None = None) -> dict[str, Any]:
    """Return the keyword arguments with which a producer, consumer, admin or plain client of aiokafka is made.

    Args:
        bootstrap: `host:port`, several separated by commas.
        who: default: the credentials of this process.

    Raises:
        Fatal: the credentials are wrong.
    """
    who = who or credentials()
    made: dict[str, Any] = {"bootstrap_servers": bootstrap, "security_protocol": who.kafka_protocol}
    if who.kafka_protocol.endswith("SSL"):
        made["ssl_context"] = _authorities(who)
    if who.kafka_protocol.startswith("SASL"):
        made |= {
            "sasl_mechanism": who.kafka_mechanism,
            "sasl_plain_username": who.kafka_username,
            "sasl_plain_password": who.kafka_secret(),
        }
    return made


def fault(error: Exception, about: str) -> Retryable | Fatal:
    """Return what to raise for an error of a Kafka client: waiting mends an outage, not a missing right."""
    said = f"{about}: {type(error).__name__} {error}"
    if isinstance(error, REFUSALS):
        return Fatal(f"{said}; the broker refuses this credential. Who may do what: sideline acls show")
    if isinstance(error, KafkaConnectionError) and (user := credentials().kafka_username):
        said += f"; it is away, or does not accept the password of {user}"  # the client does not tell which
    return Retryable("kafka", said)


def _authorities(who: Credentials) -> ssl.SSLContext:
    """Return whom to believe that a broker is the one it says."""
    try:
        return ssl.create_default_context(cafile=who.kafka_ca_file)
    except ssl.SSLError as error:
        raise Fatal(f"SIDELINE_KAFKA_CA_FILE={who.kafka_ca_file} is no PEM file of certificates: {error}") from error
