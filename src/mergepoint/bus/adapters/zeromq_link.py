"""The sockets of one process on a bus over ZeroMQ, and whether anybody is at the other end.

Place:  bus.adapters.zeromq* -> [zeromq_link] -> zeromq_relay, pyzmq
Rule:   ZeroMQ hides a lost peer; here it is looked for, by heartbeats and by the socket's monitor.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.adapters.zeromq_relay import Frames, Relay
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusLost
from mergepoint.core.clock import Clock

LINGER_MS = 500
"""How long `close` lets what was sent leave."""
ECHO_S = 0.02
"""Between two tries whether what is sent comes back."""
MONITORED = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
Restore = Callable[[], Awaitable[None]]


class Link:
    """Two sockets: `ask` speaks to the relay, `feed` hears what it hands out."""

    def __init__(self, url: str, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        self.id = uuid.uuid4().hex[:16]
        self.restores: list[Restore] = []
        """Awaited when the relay is there again, in this order."""
        self.on_feed: Callable[[Frames], None] = lambda _frames: None
        self.on_do: Callable[[Frames], None] = lambda _frames: None
        self._endpoints = wire.endpoints_of(url)
        self._relay = Relay(self._endpoints, limits)
        self._context = zmq.asyncio.Context()
        self._numbers = itertools.count(1)
        self._calls: dict[bytes, asyncio.Future[Frames]] = {}
        self._echoes: dict[bytes, asyncio.Event] = {}
        self._prefixes: dict[bytes, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._there = asyncio.Event()
        self._gone = asyncio.Event()
        self._heard_at = 0.0
        self._closed = False
        self._on_state: OnState = lambda _state, _reason: None

    async def open(self, on_state: OnState) -> None:
        """Meet the others, or be where they meet."""
        self._on_state = on_state
        on_state(State.CONNECTING, self._endpoints.shown)
        self._make_sockets()
        self._heard_at = self.clock.monotonic_s()
        loops = (self._hear_feed(), self._hear_answers(), self._beat(), self._monitor())
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            async with asyncio.timeout(self.limits.call_s):
                await self._meet()
        except TimeoutError:
            await self.close(tell=False)
            raise BusLost(
                f"zeromq: nobody answers at {self._endpoints.shown}, and it cannot be bound here",
                next="is the address one of this machine, and its directory writable?",
            ) from None
        self._tasks.append(asyncio.create_task(self._supervise()))
        self._there.set()
        on_state(State.CONNECTED, self._endpoints.shown)

    async def close(self, *, tell: bool = True) -> None:
        """Say goodbye and close the sockets; a second call does nothing."""
        if self._closed:
            return
        if self.connected:
            with contextlib.suppress(zmq.ZMQError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._ask.send_multipart([wire.BYE])
                    await self._settled()
        self._end(LINGER_MS)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._relay.stop)
        if tell:
            self._on_state(State.CLOSED, "closed")

    def vanish(self) -> None:
        """Be gone as by `kill -9`."""
        self._end(0)

    @property
    def connected(self) -> bool:
        """Whether the relay answers, as far as is known."""
        return self._there.is_set() and not self._closed

    def alive(self) -> None:
        """Raise `BusClosed` after `close`."""
        if self._closed:
            raise BusClosed("this connection to the bus was closed")

    async def send(self, *frames: bytes) -> None:
        """Give frames to the relay; `BusLost` when it takes none for `call_s`."""
        self.alive()
        try:
            async with asyncio.timeout(self.limits.call_s):
                await self._there.wait()
                self.alive()
                await self._ask.send_multipart(list(frames))
        except TimeoutError:
            raise self._lost() from None

    async def call(self, kind: bytes, *frames: bytes, timeout_s: float = 0.0) -> Frames:
        """Send and return the answer; `BusLost` when the relay is lost, `TimeoutError` in time."""
        number = str(next(self._numbers)).encode()
        future: asyncio.Future[Frames] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        try:
            await self.send(kind, number, *frames)
            async with asyncio.timeout(timeout_s or self.limits.call_s):
                return await future
        finally:
            self._calls.pop(number, None)

    async def listen(self, prefix: bytes) -> None:
        """Hear what begins so; return when the relay hands it out."""
        self.alive()
        self._prefixes[prefix] = self._prefixes.get(prefix, 0) + 1
        self._feed.subscribe(prefix)
        try:
            async with asyncio.timeout(self.limits.call_s):
                await self._there.wait()
                self.alive()
                await self._settled()
        except TimeoutError:
            self.unlisten(prefix)
            raise self._lost() from None

    def unlisten(self, prefix: bytes) -> None:
        """Hear it no more, as often as it was asked for."""
        self._prefixes[prefix] -= 1
        if not self._prefixes[prefix]:
            del self._prefixes[prefix]
            if not self._closed:
                self._feed.unsubscribe(prefix)

    async def _settled(self) -> None:
        """Return when a message of ours, sent now, came back through the relay.

        What was subscribed before is known there by then: it travels the same way, in order.
        """
        name = wire.ECHO + f"{self.id}-{next(self._numbers)}".encode() + wire.END
        self._echoes[name] = event = asyncio.Event()
        self._feed.subscribe(name)
        try:
            while not event.is_set():
                await self._ask.send_multipart([wire.PUBLISH, name])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ECHO_S):
                        await event.wait()
        finally:
            del self._echoes[name]
            if not self._closed:
                self._feed.unsubscribe(name)

    async def _meet(self) -> None:
        while True:
            self._relay.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await self._settled()
                    self._heard_at = self.clock.monotonic_s()
                    return
            # Not everybody should try to bind in the same moment.
            await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - no secret

    async def _supervise(self) -> None:
        """Notice a relay that is gone, be it or find it, and let everybody attach anew."""
        while True:
            await self._gone.wait()
            self._there.clear()
            self._on_state(State.LOST, self._endpoints.shown)
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(self._lost())
            await self._meet()
            self._gone.clear()
            self._there.set()
            for restore in self.restores:
                with contextlib.suppress(BusLost, TimeoutError):
                    await restore()
            self._on_state(State.CONNECTED, self._endpoints.shown)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.limits.heartbeat_s / 2)
            with contextlib.suppress(TimeoutError, zmq.ZMQError):
                async with asyncio.timeout(self.limits.heartbeat_s / 2):
                    await self._ask.send_multipart([wire.PING])
            silent_s = self.clock.monotonic_s() - self._heard_at
            if self._there.is_set() and silent_s > 2 * self.limits.heartbeat_s:
                self._gone.set()

    async def _monitor(self) -> None:
        """A peer that disconnects is gone at once; one that comes back is looked for at once."""
        monitor = self._ask.get_monitor_socket(MONITORED)
        try:
            while True:
                told = await recv_monitor_message(monitor)
                if told["event"] == zmq.EVENT_DISCONNECTED and self._there.is_set():
                    self._gone.set()
        finally:
            with contextlib.suppress(zmq.ZMQError):
                self._ask.disable_monitor()

    async def _hear_feed(self) -> None:
        while True:
            frames = await self._feed.recv_multipart()
            if frames[0] in self._echoes:
                self._echoes[frames[0]].set()
            elif not frames[0].startswith(wire.ECHO):
                self.on_feed(frames)

    async def _hear_answers(self) -> None:
        while True:
            frames = await self._ask.recv_multipart()
            self._heard_at = self.clock.monotonic_s()
            if frames[0] == wire.DO:
                self.on_do(frames[1:])
            elif frames[0] == wire.ANSWER:
                future = self._calls.get(frames[1])
                if future is not None and not future.done():
                    future.set_result(frames[2:])

    def _make_sockets(self) -> None:
        self._ask: zmq.asyncio.Socket = self._context.socket(zmq.DEALER)
        self._feed: zmq.asyncio.Socket = self._context.socket(zmq.SUB)
        waiting_max = max(1_000, self.limits.buffer_messages_max)
        beat_ms = int(self.limits.heartbeat_s * 1000)
        options = {
            zmq.LINGER: LINGER_MS,
            zmq.IMMEDIATE: 1,  # nothing is kept for a relay that is not there
            zmq.SNDHWM: waiting_max,
            zmq.RCVHWM: waiting_max,
            zmq.HEARTBEAT_IVL: beat_ms,
            zmq.HEARTBEAT_TIMEOUT: 2 * beat_ms,
            zmq.RECONNECT_IVL: 20,
            zmq.RECONNECT_IVL_MAX: int(self.limits.reconnect_s_max * 1000),
        }
        for socket in (self._ask, self._feed):
            for option, value in options.items():
                socket.set(option, value)
        self._ask.set(zmq.IDENTITY, self.id.encode())
        self._ask.connect(self._endpoints.ask)
        self._feed.connect(self._endpoints.feed)

    def _end(self, linger_ms: int) -> None:
        self._closed = True
        self._there.set()
        for task in self._tasks:
            task.cancel()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(BusClosed("this connection to the bus was closed"))
        self._feed.close(0)
        self._ask.close(linger_ms)
        self._on_closed()

    def _on_closed(self) -> None:
        """Free the context in the background: it waits for what lingers."""
        self._context.destroy(linger=LINGER_MS)

    def _lost(self) -> BusLost:
        return BusLost(
            f"zeromq: nobody answered at {self._endpoints.shown} within"
            f" {self.limits.call_s:g} s; what was asked may have happened",
            next="mergepoint bus",
        )
