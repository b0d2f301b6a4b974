"""What a live subscription holds for its reader: bounded, and honest about what it dropped.

Place:  bus.adapters.* -> [bus.buffer] -> whoever iterates
Rule:   of one event loop; received plus the sum of its gaps is what was offered.
"""

from __future__ import annotations

import asyncio
from collections import deque

from mergepoint.bus.contract import Gap, Limits
from mergepoint.wire.envelope import Message

ENVELOPE_BYTES = 512
"""What a message counts for besides its data."""


class Buffer:
    """An asynchronous iterator over what was offered; one reader."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._items: deque[Message | Gap] = deque()
        self._bytes = 0
        self._lost = 0
        self._unknown = False
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._room: list[asyncio.Future[None]] = []

    @property
    def full(self) -> bool:
        """Whether one more message makes it drop one."""
        return (
            len(self._items) >= self._limits.buffer_messages_max
            or self._bytes >= self._limits.buffer_bytes_max
        )

    def offer(self, message: Message) -> None:
        """Keep the message for the reader; drop the oldest ones while it does not fit."""
        if self._closed:
            return
        size = _size(message)
        while self._items and (
            len(self._items) >= self._limits.buffer_messages_max
            or self._bytes + size > self._limits.buffer_bytes_max
        ):
            self._drop()
        self._items.append(message)
        self._bytes += size
        self._tell()

    def gap(self, lost: int) -> None:
        """Say that `lost` messages are missing at this place; 0: at least one, nobody knows."""
        if not self._closed:
            self._items.append(Gap(lost))
            self._tell()

    async def room(self) -> None:
        """Return as soon as a message fits without dropping one, or it was closed."""
        while self.full and not self._closed:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(future)
            await future

    def close(self) -> None:
        """End the iteration, and forget what nobody read; a second call does nothing."""
        self._closed = True
        self._items.clear()
        self._lost, self._unknown = 0, False
        self._tell()
        self._tell_room()

    def __aiter__(self) -> Buffer:
        return self

    async def __anext__(self) -> Message | Gap:
        while True:
            if (item := self._next()) is not None:
                return item
            if self._closed:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def _next(self) -> Message | Gap | None:
        if self._unknown:
            self._unknown = False
            return Gap(0)
        if self._lost:
            gap, self._lost = Gap(self._lost), 0
            return gap
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Message):
            self._bytes -= _size(item)
            self._tell_room()
        return item

    def _drop(self) -> None:
        item = self._items.popleft()
        if isinstance(item, Message):
            self._bytes -= _size(item)
            self._lost += 1
        elif item.lost:
            self._lost += item.lost
        else:
            self._unknown = True

    def _tell(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _tell_room(self) -> None:
        for future in self._room:
            if not future.done():
                future.set_result(None)
        self._room.clear()


def _size(message: Message) -> int:
    return len(message.data) + ENVELOPE_BYTES
