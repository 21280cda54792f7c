"""The AsyncAPI 3.0 document: the topic table and the schemas in the form that tools of other teams read."""

from __future__ import annotations

from typing import Final

from schemas.words import ID_PATTERN, NO_NEWLINE
from streams.json_schemas import Json, components, file_stem, summary
from streams.topics import TOPICS, Entity, Scope, TopicSpec

VERSION: Final = "1.0.0"  # of the contract: the second number counts additions, the first one breaks readers
KAFKA_BINDING: Final = "0.5.0"
_INFO: Final = (
    "Sideline looks at every unit on the lines of a fulfilment centre and answers in time for the diverter. "
    "Operations are told from its side: it receives what stations, scanners, people and catalogues send, and sends "
    "decisions and sidelined events. Delivery is at least once; records repeated for one capture_id are equal byte for "
    "byte. No decision by `decide_by` means undetermined, and a sideline that arrives later is to be ignored."
)
_SITE_PATTERN: Final = ID_PATTERN.replace(NO_NEWLINE, "")
_BYTES: Final[Json] = {"description": "The bytes as they came: what could not be read may not even be JSON."}


def document(examples: dict[str, list[Json]]) -> Json:
    """Return the document. `examples` are payloads by message, as in `schemas.json_schemas.file_stem`."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sideline",
            "version": VERSION,
            "description": _INFO,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "example": {
                "host": "kafka.example.com:9093",
                "protocol": "kafka-secure",
                "description": "An example: each installation has its own brokers, and credentials for each site.",
                "security": [{"$ref": "#/components/securitySchemes/site"}],
            }
        },
        "channels": {channel_id(row): _channel(row) for row in TOPICS},
        "operations": {f"{_action(row)}_{channel_id(row)}": _operation(row) for row in TOPICS},
        "components": {
            "messages": {row.schema.__name__: _message(row, examples) for row in TOPICS},
            "schemas": components("#/components/schemas/{name}") | {"Bytes": _BYTES},
            "parameters": {"site": {"description": "A registered site, matching " + _SITE_PATTERN}},
            "securitySchemes": {
                "site": {"type": "scramSha256", "description": "One credential per site and role, for its topics only."}
            },
        },
    }


def channel_id(row: TopicSpec) -> str:
    """Return the name of a topic's channel."""
    return f"global_{row.entity}" if row.entity is Entity.DEAD and row.scope is Scope.GLOBAL else row.entity.value


def _channel(row: TopicSpec) -> Json:
    of_site = {"parameters": {"site": {"$ref": "#/components/parameters/site"}}} if row.scope is Scope.SITE else {}
    settings = row.config()
    return {
        "address": row.address,
        "description": summary(row.schema.__doc__),
        "messages": {file_stem(row.schema): {"$ref": f"#/components/messages/{row.schema.__name__}"}},
        **of_site,
        "bindings": {
            "kafka": {
                "partitions": row.partitions,
                "topicConfiguration": settings
                | {
                    "cleanup.policy": settings["cleanup.policy"].split(","),
                    "retention.ms": row.retention_ms,
                    "max.message.bytes": row.max_bytes,
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _action(row: TopicSpec) -> str:
    return "receive" if row.from_outside else "send"


def _operation(row: TopicSpec) -> Json:
    ours = row.readers if row.from_outside else row.writers
    return {
        "action": _action(row),
        "channel": {"$ref": f"#/channels/{channel_id(row)}"},
        "summary": f"{'Read' if row.from_outside else 'Written'} by: {', '.join(ours)}.",
        "messages": [{"$ref": f"#/channels/{channel_id(row)}/messages/{file_stem(row.schema)}"}],
    }


def _message(row: TopicSpec, examples: dict[str, list[Json]]) -> Json:
    dead = row.entity is Entity.DEAD
    shown = examples.get(file_stem(row.schema), [])
    return {
        "name": file_stem(row.schema),
        "title": row.schema.__name__,
        "summary": summary(row.schema.__doc__),
        "contentType": "application/octet-stream" if dead else "application/json",
        "headers": {"$ref": "#/components/schemas/DeadLetter"} if dead else _cloud_event(row),
        "payload": {"$ref": f"#/components/schemas/{'Bytes' if dead else row.schema.__name__}"},
        "bindings": {"kafka": {"key": _key(row), "bindingVersion": KAFKA_BINDING}},
        **({"examples": [{"headers" if dead else "payload": one} for one in shown]} if shown else {}),
    }


def _key(row: TopicSpec) -> Json:
    """Return the schema of the record key: that of the field it repeats, where it is one field."""
    field: Json | None = components("#/components/schemas/{name}")[row.schema.__name__]["properties"].get(row.key)
    return {"type": "string", "description": f"The key is {row.key}."} if field is None else field


def _cloud_event(row: TopicSpec) -> Json:
    """Return the schema of the headers: CloudEvents 1.0 in Kafka's binary mode."""
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
        "properties": {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_type": {"type": "string", "const": row.ce_type},
            "ce_id": {"type": "string", "minLength": 1, "description": "The id of the event within its source."},
            "ce_source": {"type": "string", "minLength": 1, "format": "uri-reference"},
            "ce_time": {"type": "string", "format": "date-time"},
            "content-type": {"type": "string", "const": "application/json"},
        },
    }
