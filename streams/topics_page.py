"""The page `docs/topics.md`: the topic table for people."""

from __future__ import annotations

from typing import Final

from streams.json_schemas import file_stem
from streams.topics import DAY_MS, FOREVER_MS, HOUR_MS, TOPICS, Cleanup, Entity, TopicSpec

_HEAD: Final = """\
<!-- Written by `python -m streams.documents` from streams/topics.py. Change it there. -->
# Topics

A site is the unit of isolation: each has its own topics, and a credential for one site cannot speak for another. The
site inside an event must be the one in its topic's name. References and products are the same everywhere and have one
topic for all sites.

"""
_TAIL: Final = """
- **Partitions** are a start for a busy site; `SIDELINE_PARTITIONS` sets another number when topics are created. That of
  an existing topic is never changed, because it would move keys to other partitions.
- **Replication** and `min.insync.replicas` belong to the installation and are given when topics are created.
- **Times** are the broker's (`message.timestamp.type=LogAppendTime`): deadlines and the horizon start when a record is
  appended, whatever a sender's clock says.
- **Size** is that of a record batch as the broker stores it, with key, headers and framing. Topics that others write to
  are stored uncompressed, so that it is the unpacked size that counts. Dead topics take 64 KiB more, so that the dead
  letter of the largest event fits.
- **Retention** counts from the append time. Data leaves in whole segments, which close after a 24th of the retention,
  but not before an hour and not after more than a day.
- **compacted** topics keep the newest record of each key for ever. `retired` and `withdrawn` take a product or a
  reference away; a record without a value is not read as a deletion, it becomes a dead letter. The broker refuses
  records without a key there.
- Headers are those of CloudEvents 1.0 in Kafka's binary mode (`ce_specversion`, `ce_type`, `ce_id`, `ce_source`,
  `ce_time`, `content-type`). Dead letters keep the headers of the original and add Kafka Connect's; see
  [consume.md](consume.md).
- The same in a form for tools: [asyncapi.json](../schemas/asyncapi.json).
"""


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "| topic | key | CloudEvents type | schema | partitions | kept | largest | written by | read by |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_line, TOPICS),
    ]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def _line(row: TopicSpec) -> str:
    stem = file_stem(row.schema)
    cells = (
        f"`{row.address.replace('{site}', '<site>')}`",
        row.key,
        row.ce_type if row.entity is Entity.DEAD else f"`{row.ce_type}`",
        f"[{stem}](../schemas/json/{stem}.v1.json)" + (" (headers)" if row.entity is Entity.DEAD else ""),
        str(row.partitions),
        _kept(row),
        f"{row.max_bytes // 1024} KiB",
        ", ".join(row.writers),
        ", ".join(row.readers),
    )
    return f"| {' | '.join(cells)} |"


def _kept(row: TopicSpec) -> str:
    if row.retention_ms == FOREVER_MS:
        return "compacted"
    age = f"{row.retention_ms // DAY_MS} d" if row.retention_ms > DAY_MS else f"{row.retention_ms // HOUR_MS} h"
    return f"{age}, compacted" if row.cleanup is Cleanup.BOTH else age
