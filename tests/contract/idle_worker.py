"""A process with a worker's own pages, metrics and breakers, and no work: what Prometheus scrapes in test_alerts.py.

It prints its port. At SIGUSR1 it rests, as a worker does that fails too often for our own reasons.
"""

from __future__ import annotations

import asyncio
import signal

from schemas.faults import Retryable
from streams.breakers import SELF, Breakers
from streams.health import Health, HealthServer
from telemetry.metrics import METRICS


async def main() -> None:
    """Serve until killed."""
    breakers = Breakers({})
    METRICS.member.set(1)
    METRICS.partitions.set(1)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: breakers.trip(Retryable(SELF, "told to by a signal"))
    )
    health = Health(head_limit_s=5.0, ready=True)
    server = HealthServer(health, host="127.0.0.1", port=0)
    server.start()
    print(server.port, flush=True)  # noqa: T201 - whoever started it waits for this line
    await health.tick(lambda: None)


if __name__ == "__main__":
    asyncio.run(main())
