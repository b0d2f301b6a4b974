"""A worker in a process of its own, to be killed and stopped. Not a test itself.

worker.py <url> <queue> <lease_s>: takes one job, says `took <token>`, waits for a line on its
standard input, finishes the job, and says `lost` or `finished` and how often it saw its connection
    lost.
"""

from __future__ import annotations

import asyncio
import sys

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits, State
from mergepoint.core.clock import SystemClock

HEARTBEAT_S = 0.5


async def work(url: str, queue: str, lease_s: float) -> None:
    engine = PostgresEngine(
        url, Limits(heartbeat_s=HEARTBEAT_S), SystemClock(), address="tickets/0"
    )
    states: list[State] = []
    await engine.open(lambda state, _: states.append(state))
    (lease,) = await engine.take([queue], worker="w", limit=1, lease_s=lease_s, wait_s=30)
    print(f"took {lease.token}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(HEARTBEAT_S * 3)  # so that what a pause has done shows
    outcome = "lost" if await engine.ack([lease]) else "finished"
    print(outcome, states.count(State.LOST), flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], float(sys.argv[3])))
