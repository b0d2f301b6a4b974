"""The connections to one broker: opened, watched, lost, made again.

Place:  adapters.rabbitmq.engine -> [link] -> aio-pika
Rule:   plain connections, never "robust" ones: what is restored is restored here, and told.

Two connections: a broker that is out of memory or disk stops reading from whoever publishes, and
finishing a job must go on then. Any channel that ends without being asked ends both.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection

from mergepoint.bus.adapters.rabbitmq.failures import LIBRARY, translated
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusFull, BusLost
from mergepoint.core.clock import Clock

HEARTBEATS = 2.5
"""The broker's heartbeat in ours: it gives a silent connection up after two of its own."""
PREFIX = "mergepoint."
Answer = TypeVar("Answer")


class Link:
    """One process's two connections and their channels."""

    def __init__(self, url: str, limits: Limits, clock: Clock) -> None:
        self._address, self.prefix = _split(url, limits)
        parts = urlsplit(self._address)
        self.where = f"{parts.hostname}:{parts.port or 5672}"
        self.limits = limits
        self.clock = clock
        self.owner = uuid.uuid4().hex
        self.state = State.CONNECTING
        self.generation = 0
        """Counts connections: what was delivered on an earlier one is lost."""
        self.changed = asyncio.Event()
        """Set when the state changes, and replaced."""
        self.restored: list[Callable[[], Awaitable[None]]] = []
        """Called on every new connection, before the state is told."""
        self.beats: list[Callable[[], Awaitable[None]]] = []
        """Called with every heartbeat."""
        self._on_state: OnState = lambda _state, _reason: None
        self._connections: list[AbstractConnection] = []
        self._channels: dict[str, AbstractChannel] = {}
        self._suspected = asyncio.Event()
        self._controlling = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._probing: asyncio.Future[Any] | None = None

    async def open(self, on_state: OnState) -> None:
        """Connect; raises `BusLost` or `BusRefused`."""
        self._on_state = on_state
        on_state(State.CONNECTING, self.where)
        try:
            await self._connect()
        except LIBRARY as error:
            await self.cut()
            raise translated(error, self.where) from error
        self._tell(State.CONNECTED, self.where)
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Disconnect in good order."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED  # from here on nobody asks for a channel
            await self.cut()
            self._tell(State.CLOSED, "closed")

    async def cut(self) -> None:
        """Disconnect and end the watching task."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._disconnect()

    def channel(self, name: str) -> AbstractChannel:
        """Return `out`, `work` or `live`; raises `BusLost` and `BusClosed`."""
        self.check()
        channel = self._channels.get(name)
        if channel is None or channel.is_closed:
            raise self._lost()
        return channel

    def check(self) -> None:
        """Raise when nothing can be asked now."""
        if self.state is State.CLOSED:
            raise BusClosed("this connection to the bus was closed")
        if self.state is State.LOST:
            raise self._lost()

    async def call(self, coming: Awaitable[Answer]) -> Answer:
        """Await an answer of the broker; raises errors of the bus alone.

        A caller that is cancelled does not cancel what it asked: aiormq would close the channel,
        and with it give up every lease of the process.
        """
        asking = asyncio.ensure_future(coming)
        asking.add_done_callback(_looked_at)
        try:
            async with asyncio.timeout(self.limits.call_s):
                return await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._check_who_cancelled()
            raise
        except LIBRARY as error:
            if isinstance(translated(error, self.where), BusLost):
                self._suspected.set()
            raise translated(error, self.where) from error

    def _check_who_cancelled(self) -> None:
        """Raise `BusLost` when nobody cancelled the caller.

        aiormq cancels what waits for an answer when its connection is closed; let through, that
        would end a worker's wait as if the worker had been told to stop.
        """
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise self._lost() from None

    def _lost(self) -> BusLost:
        return BusLost(f"rabbitmq at {self.where} does not answer; connecting again")

    async def publish(
        self, exchange: str, key: str, message: aio_pika.Message, *, mandatory: bool = False
    ) -> None:
        """Return when the broker confirmed it; raises `BusFull` while it takes nothing.

        Raises aio-pika's PublishError when nobody takes a mandatory one.
        """
        channel = self.channel("out")
        if await self._blocked():
            raise BusFull(
                f"rabbitmq at {self.where} takes nothing: its memory or disk alarm is on",
                next="make room on the broker; publishing goes on by itself",
            )
        target = (
            channel.default_exchange
            if not exchange
            else await channel.get_exchange(exchange, ensure=False)
        )
        publishing = target.publish(message, key, mandatory=mandatory)
        try:
            async with asyncio.timeout(self.limits.call_s):
                await publishing
        except asyncio.CancelledError:
            self._check_who_cancelled()
            raise
        except aio_pika.exceptions.PublishError:
            raise
        except LIBRARY as error:
            raise translated(error, self.where) from error

    async def control(self, action: Callable[[AbstractChannel], Awaitable[Answer]]) -> Answer:
        """Do what may end a channel on one that nothing else needs."""
        async with self._controlling:
            self.check()
            channel = self._channels.get("control")
            if channel is None or channel.is_closed:
                channel = await self.passing_channel()
                self._channels["control"] = channel
            return await self.call(action(channel))

    async def passing_channel(self) -> AbstractChannel:
        """Return a channel for one purpose; whoever asked closes it."""
        self.check()
        if not self._connections:
            raise self._lost()
        return await self.call(self._new_channel(self._connections[-1]))

    async def _new_channel(self, connection: AbstractConnection, **how: Any) -> AbstractChannel:
        channel = connection.channel(**how)
        await channel.initialize()
        return channel

    async def _connect(self) -> None:
        async with asyncio.timeout(self.limits.call_s):
            for _ in range(2):
                connection = await aio_pika.connect(self._address)
                self._connections.append(connection)
                connection.close_callbacks.add(self._ended)
            out, receive = self._connections
            self._channels = {
                "out": await self._new_channel(out, on_return_raises=True),
                "work": await self._new_channel(receive),
                "live": await self._new_channel(receive),
            }
            for channel in self._channels.values():
                channel.close_callbacks.add(self._ended)
            await self._channels["work"].set_qos(prefetch_count=1)
            self.generation += 1
            state, self.state = self.state, State.CONNECTED
            try:
                for restore in self.restored:
                    await restore()
            except BaseException:
                self.state = state
                raise

    async def _disconnect(self) -> None:
        connections, self._connections, self._channels = self._connections, [], {}
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
        for connection in connections:
            connection.close_callbacks.discard(self._ended)
            with contextlib.suppress(*LIBRARY):
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await connection.close()

    def _ended(self, *_: object) -> None:
        self._suspected.set()

    async def _watch(self) -> None:
        while True:
            reason = await self._beating()
            self._tell(State.LOST, reason)
            await self._reconnect()
            self._tell(State.CONNECTED, self.where)

    async def _beating(self) -> str:
        """Return why the connection is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await self._suspected.wait()
            self._suspected.clear()
            if any(
                channel.is_closed for name, channel in self._channels.items() if name != "control"
            ):
                return f"rabbitmq at {self.where} closed the connection"
            try:
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await self._channels["live"].set_qos(prefetch_count=0)
                    self._probe()
                for beat in self.beats:
                    await beat()
            except TimeoutError:
                return f"rabbitmq at {self.where} missed two heartbeats"
            except BusFull:
                continue
            except (*LIBRARY, BusError) as error:
                return str(translated(error, self.where))

    def _probe(self) -> None:
        """Publish to nobody: an alarm is told only to connections that publish."""
        # In a task of its own: while the alarm is on nobody confirms it.
        if self._probing is None or self._probing.done():
            exchange = self._channels["out"].default_exchange
            nothing = exchange.publish(
                aio_pika.Message(b""), f"{self.prefix}nobody", mandatory=False
            )
            self._probing = asyncio.ensure_future(nothing)
            self._probing.add_done_callback(_looked_at)

    async def _blocked(self) -> bool:
        """Tell whether the broker said that it takes nothing from us."""
        transport = self._connections[0].transport if self._connections else None
        if transport is None:
            return False
        ready = asyncio.ensure_future(transport.connection.ready())
        await asyncio.sleep(0)
        done = ready.done()
        ready.cancel()
        return not done

    async def _reconnect(self) -> None:
        pause_s = 0.05
        while True:
            await self._disconnect()
            try:
                await self._connect()
            except (*LIBRARY, BusError) as error:
                self._on_state(State.LOST, str(translated(error, self.where)))
            else:
                self._suspected.clear()
                return
            # S311: a pause that spreads reconnections is no secret.
            await self.clock.sleep(pause_s * (0.5 + random.random() / 2))  # noqa: S311
            pause_s = min(2 * pause_s, self.limits.reconnect_s_max)

    def _tell(self, state: State, reason: str) -> None:
        self.state = state
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        self._on_state(state, reason)


def _looked_at(done: asyncio.Future[Any]) -> None:
    """Take the outcome of what nobody waits for: the end of a connection is told elsewhere."""
    if not done.cancelled():
        done.exception()


def _split(url: str, limits: Limits) -> tuple[str, str]:
    """Return the address with the heartbeat, and the prefix of every name."""
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    prefix = parameters.pop("prefix", PREFIX)
    parameters.setdefault("heartbeat", str(max(2, round(HEARTBEATS * limits.heartbeat_s))))
    return parts._replace(query=urlencode(parameters)).geturl(), prefix
