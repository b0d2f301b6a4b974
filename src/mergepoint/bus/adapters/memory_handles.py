"""What a caller holds of a bus in memory: subscriptions, memberships, watches, served addresses.

Place:  bus.adapters.memory -> [memory_handles] -> memory_broker
Rule:   closing twice does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from mergepoint.bus.adapters.memory_broker import Broker, Listener, Served
from mergepoint.bus.contract import Gap, Member, PresenceChange
from mergepoint.wire.envelope import Message


class MemorySubscription:
    """One live subscription."""

    def __init__(self, broker: Broker, listener: Listener) -> None:
        self._broker = broker
        self._listener = listener

    def __aiter__(self) -> AsyncIterator[Message | Gap]:
        return self._listener.buffer

    async def close(self) -> None:
        """End the iteration."""
        self._listener.buffer.close()
        with contextlib.suppress(ValueError):
            self._broker.listeners.remove(self._listener)


class MemoryServing:
    """One address that is served."""

    def __init__(self, broker: Broker, served: Served) -> None:
        self._broker = broker
        self._served = served

    async def close(self) -> None:
        """Take no more; return when what is in hand is answered."""
        with contextlib.suppress(ValueError):
            self._broker.served.remove(self._served)
        if self._served.tasks:
            await asyncio.wait(self._served.tasks)


class MemoryMembership:
    """One member."""

    def __init__(self, broker: Broker, number: int, member: Member) -> None:
        self._broker = broker
        self._number = number
        self._member = member

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told; nothing when it has left."""
        self._member = replace(self._member, info=dict(info))
        if self._number in self._broker.members:
            self._broker.update(self._number, self._member)

    async def leave(self) -> None:
        """Be gone."""
        self._broker.leave(self._number)


class MemoryWatch:
    """Changes of who is there; past its bound, only the latest of each address."""

    def __init__(self, changes_max: int) -> None:
        self._changes_max = changes_max
        self._changes: deque[PresenceChange] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self.on_close: Callable[[], None] = lambda: None

    def tell(self, change: PresenceChange) -> None:
        """Keep it for the reader."""
        self._changes.append(change)
        if len(self._changes) > self._changes_max:
            latest = {one.member.address: one for one in self._changes}
            self._changes = deque(latest.values())
        self._came.set()

    def end(self) -> None:
        """End the iteration; what nobody read is forgotten."""
        self._closed = True
        self._changes.clear()
        self._came.set()

    async def close(self) -> None:
        """End the iteration and be told no more."""
        self.end()
        with contextlib.suppress(ValueError):
            self.on_close()

    async def __aiter__(self) -> AsyncIterator[PresenceChange]:
        while True:
            while self._changes:
                yield self._changes.popleft()
            if self._closed:
                return
            self._came.clear()
            await self._came.wait()
