"""Log lines: one event a line, values as keys, JSON for machines or text for people.

What strangers wrote may be quoted in any value, so values are cut, and in text nothing but a traceback takes more than
its one line: its lines begin with a bar, which no event does. Tracebacks never show variables; settings are among them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, Literal

import structlog

from telemetry.plain import cut, plain

LONGEST: Final = 2_000  # characters of one value
LONGEST_TRACEBACK: Final = 20_000
_SEVERAL_LINES: Final = frozenset({"exception", "stack"})
_SHARED: Final[tuple[structlog.types.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def configure(*, form: Literal["json", "text"], level: str, worker: str) -> None:
    """Send structlog's events and the libraries' log records to standard error in one form."""
    last: list[structlog.types.Processor] = (
        [structlog.processors.format_exc_info, _bounded, structlog.processors.JSONRenderer()]
        if form == "json"
        else _as_text()
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _take_records(last, level=level)
    for chatty in ("aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(worker=worker)


def configure_command() -> None:
    """Send what the parts log while a command runs to standard error: its standard output holds its answer alone."""
    last = _as_text()
    structlog.configure(
        processors=[*_SHARED, structlog.dev.set_exc_info, *last],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _take_records(last, level="WARNING")


def _take_records(last: Sequence[structlog.types.Processor], *, level: str) -> None:
    """Write the records of the standard library's logging, which other libraries use, in our form as well."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _as_text() -> list[structlog.types.Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [structlog.processors.format_exc_info, _bounded, _on_one_line, renderer]


def _bounded(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut every value that is text."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = cut(value, LONGEST_TRACEBACK if key in _SEVERAL_LINES else LONGEST)
    return event


def _on_one_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write what does not print as escapes, and set a bar before each line of a traceback."""
    for key, value in event.items():
        if isinstance(value, str):
            several = key in _SEVERAL_LINES
            event[key] = "\n".join(f"  | {plain(line)}" for line in value.split("\n")) if several else plain(value)
    return event
