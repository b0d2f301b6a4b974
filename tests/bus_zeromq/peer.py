"""A process of the fault tests: opens the bus, serves, joins, listens, and says what it got."""

from __future__ import annotations

import asyncio
import sys

from mergepoint.bus.adapters.zeromq import ZeromqEngine
from mergepoint.bus.contract import Gap, Limits
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message


async def main(url: str, count: int) -> None:
    """Listen to `flood` until `count` messages were received or told missing."""
    engine = ZeromqEngine(url, Limits(heartbeat_s=0.5, buffer_messages_max=100), SystemClock())
    await engine.open(lambda _state, _reason: None)

    async def answer(message: Message) -> Message:
        return message

    await engine.serve("peer", answer)
    await engine.join("peer/0", {})
    subscription = await engine.subscribe("flood")
    print("ready", flush=True)
    received = lost = 0
    async for item in subscription:
        if isinstance(item, Gap):
            lost += item.lost
        else:
            received += 1
        if received + lost >= count:
            break
    print(received, lost, flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
