"""The bus as an app sees it; docs/reference/bus.md shows its use.

Place:  assembly.connect -> [bus.doorway] -> bus.calls, bus.loop, an engine
Rule:   connects when it is first used, never at import; usable from any thread and any event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from mergepoint.bus import context
from mergepoint.bus.calls import Calls, named
from mergepoint.bus.capabilities import Capabilities, demand
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Engine, Gap, Limits, Overflow, State
from mergepoint.bus.counts import Count
from mergepoint.bus.doorway_presence import Presence
from mergepoint.bus.doorway_queues import Queue
from mergepoint.bus.doorway_requests import TIMEOUT_S, Answerer, Desk, Served, asking
from mergepoint.bus.doorway_topics import Listening, Topic, listen
from mergepoint.bus.errors import BusClosed, BusError
from mergepoint.bus.exposition import of_counts
from mergepoint.bus.joining import Join, never
from mergepoint.bus.keeping import Keeper
from mergepoint.bus.loop import LoopThread
from mergepoint.bus.received import Event
from mergepoint.bus.telling import answering
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import check_address, check_pattern

Answer = TypeVar("Answer")
Heard = Listening[Message | Gap, Event | Gap]
OnLost = Callable[[str], None]
CLOSE_S_MAX = 10.0


@dataclass(frozen=True)
class Parts:
    """What a bus is made of; `assembly.connect` and `testing` fill it in."""

    make_engine: Callable[[], Engine]
    limits: Limits
    clock: Clock
    codec: Codec
    address: str = ""
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    holding: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """Around work in threads that virtual time must wait for."""
    passing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """Around a caller's wait, during which virtual time may pass."""
    join: Join = never
    """Finds the app's open transaction."""
    tells: bool = False
    """Whether this process answers when somebody asks for its counts."""


class Bus:
    """Messages: blocking calls, and the same for async code with an `a` before the name."""

    def __init__(self, parts: Parts, *, loop: LoopThread | None = None) -> None:
        self._parts = parts
        self._loop = loop or LoopThread(
            "mergepoint-bus",
            make_loop=parts.make_loop,
            on_fork=self._forget,
            passing=parts.passing,
        )
        self._calls = Calls(
            open_engine=self.engine,
            limits=parts.limits,
            clock=parts.clock,
            codec=parts.codec,
            address=parts.address,
            new_id=parts.new_id,
            context=context.extensions,
            declared=self._declared,
            join=parts.join,
        )
        self._desk = Desk(self._calls, parts.holding)
        self._owns_loop = True
        self._lost: list[OnLost] = []
        self._restored: list[OnLost] = []
        self._closed = False
        self.presence = Presence(self._loop, self._calls)
        self._engine: Engine | None = None
        self._keeper: Keeper | None = None
        self._told: Capabilities | None = None
        self._telling: asyncio.Future[None] | None = None
        self._opening = asyncio.Lock()
        self._state = State.CONNECTING
        self._callbacks: ThreadPoolExecutor | None = None

    @property
    def state(self) -> State:
        """What is known of the engine; `connecting` before the first use."""
        return State.CLOSED if self._closed else self._state

    def publish(self, topic: str, value: Any, **how: Any) -> str:
        """Publish to all who listen; return the message's id. `how` is that of `Topic.publish`."""
        return self.topic(topic).publish(value, **how)

    async def apublish(self, topic: str, value: Any, **how: Any) -> str:
        """As `publish`."""
        return await self.topic(topic).apublish(value, **how)

    def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Heard:
        """Return what is published from now on, to iterate: `Event`s and `Gap`s."""
        named(check_pattern, pattern, own=True)
        return self.wait(
            lambda: listen(self._loop, self._calls, pattern, overflow=overflow, last=last)
        )

    def asubscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscribing:
        """As `subscribe`: `async for event in bus.asubscribe(...)`, or await it first."""
        named(check_pattern, pattern, own=True)
        return Subscribing(
            lambda: self.join(
                lambda: listen(self._loop, self._calls, pattern, overflow=overflow, last=last)
            )
        )

    def topic(self, name: str) -> Topic:
        """Return one topic."""
        return Topic(self._loop, self._calls, name)

    def queue(self, name: str) -> Queue:
        """Return one queue; it comes into being when it is first used."""
        return Queue(self._loop, self._calls, self.keeper, name)

    def request(self, address: str, value: Any, *, timeout_s: float = TIMEOUT_S) -> Any:
        """Ask whoever serves the address, and return the answer's value.

        Raises `NoSuchAddress`, `Unavailable`, `RequestTimeout` (it may have run), `RemoteError`.
        """
        return self.wait(asking(self._calls, address, value, timeout_s))

    async def arequest(self, address: str, value: Any, *, timeout_s: float = TIMEOUT_S) -> Any:
        """As `request`."""
        return await self.join(asking(self._calls, address, value, timeout_s))

    def serve(self, address: str, answer: Answerer) -> Served:
        """Answer requests: a `def` in a thread, an `async def` on a loop of its own."""
        named(check_address, address, own=True)
        serving = self.wait(lambda: self._desk.serve(address, answer, None))
        return Served(self._loop, serving)

    async def aserve(self, address: str, answer: Answerer) -> Served:
        """Answer requests; an `async def` runs on the loop this is called from."""
        named(check_address, address, own=True)
        home = asyncio.get_running_loop()
        serving = await self.join(lambda: self._desk.serve(address, answer, home))
        return Served(self._loop, serving)

    def require(self, *capabilities: str) -> None:
        """Raise `NotCapable` now if the engine lacks one of these; for an app's start."""
        demand(self.capabilities(), *capabilities)

    def capabilities(self) -> Capabilities:
        """Return what the engine can do; connects."""
        return self.wait(self._calls.capabilities)

    def on_lost(self, told: OnLost) -> None:
        """Call this with a reason, in a thread, when the connection to the engine is lost."""
        self._lost.append(told)

    def on_restored(self, told: OnLost) -> None:
        """Call this, in a thread, when a lost connection is there again."""
        self._restored.append(told)

    def counts(self) -> Mapping[str, Mapping[str, Count]]:
        """Return how often each operation was done, how it ended, and how long it took."""
        return self._calls.counts.snapshot()

    def close(self) -> None:
        """Give back what is held, and end; a second call does nothing."""
        if not self._closed:
            with contextlib.suppress(BusClosed):
                self._loop.submit(self._close).result(CLOSE_S_MAX)
            self._closed = True
            self._desk.close()
            if self._owns_loop:
                self._loop.close()

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    def wait(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the bus's loop and wait, from blocking code."""
        return self._loop.wait(work)

    async def join(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the bus's loop and wait, from a coroutine of any loop."""
        return await self._loop.join(work)

    def abandon(self) -> Engine | None:
        """Forget the connection without a word, as a killed process would; return it.

        For tests: the next call connects anew, what was held comes back by the engine's own means.
        """
        engine = self._engine
        if self._keeper is not None:
            self._keeper.drop()
        self._forget()
        return engine

    def share_loop(self, other: Bus) -> None:
        """Live on another bus's loop, before the first use; for tests of several processes."""
        self._loop = other._loop
        self._owns_loop = False
        self.presence = Presence(self._loop, self._calls)

    async def engine(self) -> Engine:
        """Return the open engine; on the bus's loop alone. The first call connects."""
        if self._engine is not None:
            return self._engine
        async with self._opening:
            if self._engine is None:
                engine = self._parts.make_engine()
                try:
                    await engine.open(self._on_state)
                except BaseException:
                    with contextlib.suppress(BusError):
                        await engine.close()
                    raise
                self._engine = engine
                if self._parts.tells:
                    telling = answering(engine, self._parts.address, self._parts.clock, self._say)
                    self._telling = asyncio.ensure_future(telling)
        return self._engine

    async def _say(self) -> dict[str, Any]:
        return {"samples": of_counts(self.counts(), self._parts.address)}

    def _declared(self) -> Capabilities | None:
        """Return what the engine says it can do, without connecting; None when it cannot say."""
        if self._told is None:
            try:
                self._told = (self._engine or self._parts.make_engine()).capabilities
            except BusError:
                return None  # the relay will hear, and tell
        return self._told

    def _forget(self) -> None:
        """Be as new, in the child of a fork: what the parent holds stays the parent's."""
        self._inherited = (self._engine, self._keeper, self._callbacks, self._telling)
        self._engine = self._keeper = self._callbacks = self._telling = None
        self._opening = asyncio.Lock()
        self._state = State.CONNECTING
        self._desk.forget()
        self.presence.forget()

    def keeper(self) -> Keeper:
        """Return who keeps this process's leases alive; on the bus's loop alone."""
        if self._keeper is None:
            self._keeper = Keeper(self._calls)
        return self._keeper

    def _on_state(self, state: State, reason: str) -> None:
        before, self._state = self._state, state
        if state is State.LOST and before is not State.LOST:
            self._tell(self._lost, reason)
        if state is State.CONNECTED and before is State.LOST:
            self._tell(self._restored, reason)

    def _tell(self, callbacks: list[OnLost], reason: str) -> None:
        if self._callbacks is None:
            self._callbacks = ThreadPoolExecutor(1, "mergepoint-state")
        for told in callbacks:
            self._callbacks.submit(told, reason)

    async def _close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        if self._keeper is not None:
            await self._keeper.stop()
        if self._engine is not None:
            await self._engine.close()


class Subscribing:
    """A subscription on its way: await it, or iterate over it right away."""

    def __init__(self, begin: Callable[[], Awaitable[Heard]]) -> None:
        self._begin = begin

    def __await__(self) -> Any:
        return self._begin().__await__()

    async def __aiter__(self) -> Any:
        async with await self._begin() as listening:
            async for item in listening:
                yield item
