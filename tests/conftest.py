"""What holds for every test."""

from __future__ import annotations

import os
import signal

import structlog

# As in the workers, and before anything loads numpy: the matrix library's own threads cost a hundred times the product
# on a machine that is busy with other tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# structlog draws tracebacks with all variables unless told otherwise: four fifths of the time of a test that fails a
# handler a hundred times.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=True),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Shells start background jobs with Ctrl-C ignored, and what such a job starts ignores it too; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
