"""Topics as an app sees them: publish, listen, the present value.

Place:  bus.doorway -> [bus.doorway_topics] -> bus.calls, bus.loop
Rule:   each thing once, as a coroutine on the engine's loop; blocking and async are two ways there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

from mergepoint.bus.calls import Calls, named
from mergepoint.bus.contract import Gap, Overflow, Put
from mergepoint.bus.errors import BusClosed
from mergepoint.bus.joining import Joined, line_of
from mergepoint.bus.loop import LoopThread
from mergepoint.bus.received import Event
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import check_name

Item = TypeVar("Item")
Source = TypeVar("Source")


class Listening(Generic[Source, Item]):
    """What keeps coming, for blocking code and for coroutines of any loop.

    Iterate it, ask for one (`receive`), and close it when done; a `with` block does.
    """

    def __init__(
        self, loop: LoopThread, source: Any, told: Callable[[Source], Item]
    ) -> None:  # Any: a Subscription or a PresenceWatch
        self._loop = loop
        self._source = source
        self._told = told
        self._iterator: AsyncIterator[Source] = aiter(source)
        self._coming: asyncio.Task[Source | None] | None = None
        self._generation = loop.generation

    def __iter__(self) -> Iterator[Item]:
        while (item := self._waited(None)) is not None:
            yield item

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._joined(None)) is not None:
            yield item

    def receive(self, wait_s: float) -> Item | None:
        """Return the next one; None when none came in that time, or it was closed."""
        return self._waited(wait_s)

    async def areceive(self, wait_s: float) -> Item | None:
        """Return the next one; None when none came in that time, or it was closed."""
        return await self._joined(wait_s)

    def close(self) -> None:
        """End it; a second call does nothing."""
        self._loop.wait(self._close)

    async def aclose(self) -> None:
        """End it; a second call does nothing."""
        await self._loop.join(self._close)

    def __enter__(self) -> Listening[Source, Item]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Listening[Source, Item]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _waited(self, wait_s: float | None) -> Item | None:
        try:
            return self._loop.wait(lambda: self._next(wait_s))
        except BusClosed:
            if self._loop.is_closed:  # closing the bus ends what listens, whenever that looks
                return None
            raise

    async def _joined(self, wait_s: float | None) -> Item | None:
        try:
            return await self._loop.join(lambda: self._next(wait_s))
        except BusClosed:
            if self._loop.is_closed:
                return None
            raise

    async def _next(self, wait_s: float | None = None) -> Item | None:
        self._loop.check_generation(self._generation, "this subscription")
        # The wait is a task that outlives an impatient caller, so that nothing is lost with it.
        if self._coming is None:
            self._coming = asyncio.ensure_future(_first(self._iterator))
        await asyncio.wait({self._coming}, timeout=wait_s)
        if not self._coming.done():
            return None
        coming, self._coming = self._coming, None
        item = None if coming.cancelled() else coming.result()
        return None if item is None else self._told(item)

    async def _close(self) -> None:
        if self._generation == self._loop.generation:
            await self._source.close()


async def _first(iterator: AsyncIterator[Source]) -> Source | None:
    """Return the next, None at the end: an end that nobody looks at is no failure of a task."""
    return await anext(iterator, None)


class Topic:
    """One topic."""

    def __init__(self, loop: LoopThread, calls: Calls, name: str) -> None:
        self.name = named(check_name, name)
        self._loop = loop
        self._calls = calls

    def publish(
        self,
        value: Any,
        *,
        keep_last: bool = False,
        id: str = "",  # noqa: A002
        connection: Any = None,
        apart: bool = False,
    ) -> str:
        """Publish to all who listen; return the message's id.

        Within an open transaction of the app's database the message is a part of it, and is
        published if and only if that commits. `connection` names the transaction where it cannot
        be found; `apart=True` publishes at once. Raises `OutboxRefused`, `OutboxMissing`.
        """
        message, joined = self._made(value, keep_last, id, connection, apart)
        if joined is not None:
            line = line_of(self.name, keep_last=keep_last)
            self._calls.write(joined, line, [Put(message=message)], "publish")
            return message.id
        return self._loop.wait(self._publishing(message, keep_last))

    async def apublish(
        self,
        value: Any,
        *,
        keep_last: bool = False,
        id: str = "",  # noqa: A002
        connection: Any = None,
        apart: bool = False,
    ) -> str:
        """As `publish`."""
        message, joined = self._made(value, keep_last, id, connection, apart)
        if joined is not None:
            line = line_of(self.name, keep_last=keep_last)
            await self._calls.awrite(joined, line, [Put(message=message)], "publish")
            return message.id
        return await self._loop.join(self._publishing(message, keep_last))

    def last(self) -> Any:
        """Return the present value; None when there is none."""
        return self._loop.wait(self._last)

    async def alast(self) -> Any:
        """Return the present value; None when there is none."""
        return await self._loop.join(self._last)

    def _made(
        self, value: Any, keep_last: bool, id_: str, connection: Any, apart: bool
    ) -> tuple[Message, Joined | None]:
        message = self._calls.message(self.name, value, id=id_)
        needs = ("last",) if keep_last else ()
        return message, self._calls.joined(connection, apart, *needs, topic=True)

    def _publishing(self, message: Message, keep_last: bool) -> Callable[[], Awaitable[str]]:
        async def work() -> str:
            needs = ("last",) if keep_last else ()
            async with self._calls.call("publish", *needs) as engine:
                await engine.publish(self.name, message, keep_last=keep_last)
            return message.id

        return work

    async def _last(self) -> Any:
        async with self._calls.call("last", "last") as engine:
            message = await engine.last(self.name)
        return None if message is None else self._calls.value(message)


def told(calls: Calls) -> Callable[[Message | Gap], Event | Gap]:
    """Return what makes an app's event of a message."""
    return lambda item: item if isinstance(item, Gap) else Event(item, calls.codec)


async def listen(
    loop: LoopThread, calls: Calls, pattern: str, *, overflow: Overflow, last: bool
) -> Listening[Message | Gap, Event | Gap]:
    """Subscribe; on the engine's loop."""
    needs = ("last",) if last else ()
    async with calls.call("subscribe", *needs) as engine:
        subscription = await engine.subscribe(pattern, overflow=overflow, last=last)
    return Listening(loop, subscription, told(calls))
