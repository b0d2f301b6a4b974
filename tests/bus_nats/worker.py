"""A worker process of the fault tests: takes one job, says so, finishes it when it is told to."""

from __future__ import annotations

import asyncio
import sys

from mergepoint.bus.adapters.nats import NatsEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock


async def main(url: str, lease_s: float, limit_s: float) -> None:
    """Take a job from `mail`; a line on the input finishes it."""
    engine = NatsEngine(url, Limits(lease_s=limit_s, heartbeat_s=0.5), SystemClock())
    await engine.open(lambda _state, _reason: None)
    leases = await engine.take(["mail"], worker="victim", limit=1, lease_s=lease_s, wait_s=60)
    print("taken", leases[0].attempt, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    lost = await engine.ack(leases)
    print("lost" if lost else "finished", len(leases), flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
