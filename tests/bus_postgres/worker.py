"""A worker in a process of its own, to be killed and stopped. Not a test itself.

worker.py <url> <queue> <lease_s>: takes one job, says `took <token>`, waits for a line on its
standard input, finishes the job and says `lost` or `finished`.
"""

from __future__ import annotations

import asyncio
import sys

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock


async def work(url: str, queue: str, lease_s: float) -> None:
    engine = PostgresEngine(url, Limits(heartbeat_s=0.5), SystemClock(), address="tickets/0")
    await engine.open(lambda *_: None)
    (lease,) = await engine.take([queue], worker="w", limit=1, lease_s=lease_s, wait_s=30)
    print(f"took {lease.token}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print("lost" if await engine.ack([lease]) else "finished", flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], float(sys.argv[3])))
