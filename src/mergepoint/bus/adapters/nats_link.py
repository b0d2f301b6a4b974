"""The connection to NATS: made, watched, lost, made again; and calls that end one way or another.

Place:  bus.adapters.nats* -> [nats_link] -> nats-py
Rule:   the library's own reconnecting is off: a new connection is restored by us, in one place.

nats-py leaves pull subscriptions dead after a server's restart (nats.py#504); here every
connection is a new client, and each part of the adapter attaches itself to it anew.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from mergepoint.bus.adapters.nats_wire import Names, Settings, streams
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusFull, BusLost, BusRefused, MessageTooLarge
from mergepoint.core.clock import Clock

CONNECT_PAUSE_S = 0.05
"""The first pause between two attempts; it doubles up to `Limits.reconnect_s_max`."""
FULL = {10023, 10026, 10027, 10028, 10047, 10077}
"""JetStream's codes for no room: resources, consumers, streams, memory, storage, messages."""
TOO_LARGE, WRONG_SEQUENCE, NO_STREAM, NO_CONSUMER, NOT_ENABLED = 10054, 10071, 10059, 10014, 10039
GONE = {10037, 10057}
NAMED_ALREADY, TRY_AGAIN = 10058, 10008
REFUSAL_WORDS = ("authorization", "authentication", "permissions", "account")
Answer = TypeVar("Answer")
Restore = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True)
class Stored:
    """A message as a stream keeps it."""

    subject: str
    sequence: int
    headers: Mapping[str, str]
    data: bytes


class ApiFault(Exception):
    """JetStream refused; `code` is its error code. Stays inside the adapter."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("description", "")))
        self.code = int(error.get("err_code", 0))

    def told(self) -> BusError:
        """Return what a caller is told."""
        if self.code in FULL:
            return BusFull(f"nats: {self}", next="mergepoint bus queues")
        if self.code == TOO_LARGE:
            return MessageTooLarge(f"nats: {self}")
        if self.code == TRY_AGAIN:
            return BusLost(f"nats: {self}")
        return BusRefused(f"nats: {self} (code {self.code})")


def refusal_of(error: BaseException, shown: str) -> BusError:
    """Return what a failed connection means."""
    words = str(error) or type(error).__name__
    if any(word in words.lower() for word in REFUSAL_WORDS):
        return BusRefused(f"nats at {shown}: {words}", next="user and password of the bus's url")
    return BusLost(f"nats at {shown} does not answer: {words}", next="is nats-server running?")


class Link:
    """One connection at a time, for as long as the engine is open."""

    def __init__(self, settings: Settings, limits: Limits, clock: Clock, name: str) -> None:
        self.settings = settings
        self.limits = limits
        self.clock = clock
        self.names = Names(settings.prefix)
        self.restores: list[Restore] = []
        """Awaited with every new connection after the first, in this order."""
        self.on_lost: set[Callable[[], None]] = set()
        """Called when the connection is lost or closed, for who waits for what it brings."""
        self._name = name
        self._client: Client | None = None
        self._gone = asyncio.Event()
        self._there = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._on_state: OnState = lambda _state, _reason: None
        self._streams = streams(self.names, limits, settings.replicas)
        self._made: set[str] = set()
        self._echo = ""
        self._echoes: dict[str, asyncio.Future[None]] = {}
        self._numbers = itertools.count(1)

    async def open(self, on_state: OnState) -> None:
        """Connect, or say why not."""
        self._on_state = on_state
        on_state(State.CONNECTING, self.settings.shown)
        await self._connect()
        self._there.set()
        on_state(State.CONNECTED, self.settings.shown)
        self._task = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Disconnect for good; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await _end(self._client)
        self._gone.set()
        self._there.set()
        self._tell_lost()
        self._on_state(State.CLOSED, "closed")

    def vanish(self) -> None:
        """Cut the wire without a word, as the end of the process would."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        transport = self._client._transport if self._client else None
        if transport is not None:
            transport._io_writer.transport.abort()  # type: ignore[attr-defined]

    @property
    def server(self) -> Client:
        """The client that was connected last, for what it knows of its server."""
        if self._client is None:
            raise BusLost("nats: asked before open returned")
        return self._client

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as is known."""
        return self._there.is_set() and not self._closed

    def alive(self) -> None:
        """Raise `BusClosed` after `close`."""
        if self._closed:
            raise BusClosed("this connection to the bus was closed")

    async def client(self) -> Client:
        """Return the connected client; wait for one `call_s` at most."""
        self.alive()
        if not self._there.is_set():
            try:
                async with asyncio.timeout(self.limits.call_s):
                    await self._there.wait()
            except TimeoutError:
                raise self._lost() from None
            self.alive()
        return self.server

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 0.0,
    ) -> Msg:
        """Return the answer; raise `NoRespondersError` when nobody listens there."""
        client = await self.client()
        wait_s = timeout_s or self.limits.call_s
        told = dict(headers) if headers else None
        return await self.unless_lost(client.request(subject, data, timeout=wait_s, headers=told))

    async def unless_lost(self, coming: Coroutine[Any, Any, Answer]) -> Answer:
        """Await what the connection must bring; `BusLost` as soon as it is lost."""
        task = asyncio.ensure_future(coming)
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.alive()
                raise self._lost()
            return await task
        except NatsTimeout:
            raise self._lost() from None
        except NoRespondersError:
            raise
        except (NatsError, OSError) as error:
            self.alive()
            raise BusLost(f"nats at {self.settings.shown}: {error}") from None
        finally:
            gone.cancel()
            task.cancel()

    async def settle(self, client: Client) -> None:
        """Return when the server has done everything that was sent on this connection before.

        nats-py's own `flush` will not do: its PING overtakes commands that wait to be written.
        """
        number = str(next(self._numbers))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._echoes[number] = future
        try:
            await client.publish(self._echo, number.encode())
            async with asyncio.timeout(self.limits.call_s):
                await self.unless_lost(_awaited(future))
        except TimeoutError:
            raise self._lost() from None
        finally:
            self._echoes.pop(number, None)

    async def leave(self, client: Client, raw: Subscription) -> None:
        """End a subscription; return when everything that was sent to it was taken in."""
        await client._send_unsubscribe(raw._id)
        await self.settle(client)
        await raw._pending_queue.join()
        await raw.unsubscribe()

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Publish to a stream; return its acknowledgement, raise `ApiFault`."""
        try:
            answer = await self.request(subject, data, headers)
        except NoRespondersError:
            raise ApiFault({"err_code": NO_STREAM, "description": "no stream"}) from None
        return _checked(answer.data)

    async def api(self, operation: str, **body: Any) -> dict[str, Any]:
        """Ask JetStream for something; raise `ApiFault`, or `BusRefused` when it is not there."""
        data = json.dumps(body).encode() if body else b""
        try:
            return _checked((await self.request(f"$JS.API.{operation}", data)).data)
        except NoRespondersError:
            raise BusRefused(
                f"nats at {self.settings.shown} answers, but without JetStream (not enabled, or"
                " switched off because its disk is full)",
                next="nats-server -js",
            ) from None

    async def stored(self, stream: str, **which: Any) -> Stored | None:
        """Return a message of a stream; None when it is not there. Raises `ApiFault`."""
        try:
            found = (await self.api(f"STREAM.MSG.GET.{stream}", **which))["message"]
        except ApiFault as fault:
            if fault.code in GONE:
                return None
            raise
        raw = base64.b64decode(found.get("hdrs", ""))
        data = base64.b64decode(found.get("data", ""))
        headers = await self.server._process_headers(raw) or {}
        return Stored(found["subject"], int(found["seq"]), headers, data)

    async def stream(self, what: str) -> str:
        """Return the name of a stream that is there from now on."""
        return await self.make(self._streams[what])

    async def make(self, config: dict[str, Any]) -> str:
        """Create the stream unless it is there; give it our limits if it has others."""
        name = str(config["name"])
        if name in self._made:
            return name
        try:
            there = (await self.api(f"STREAM.INFO.{name}"))["config"]
            if any(there.get(key) != value for key, value in config.items()):
                await self.api(f"STREAM.UPDATE.{name}", **{**there, **config})
        except ApiFault as fault:
            if fault.code != NO_STREAM:
                raise fault.told() from None
            await self._create(name, config)
        self._made.add(name)
        return name

    async def _create(self, name: str, config: dict[str, Any]) -> None:
        try:
            await self.api(f"STREAM.CREATE.{name}", **config)
        except ApiFault as fault:
            if fault.code != NAMED_ALREADY:
                raise fault.told() from None

    def forget(self, stream: str) -> None:
        """Look again whether the stream is there, before it is used next."""
        self._made.discard(stream)

    async def _connect(self) -> Client:
        client, error = Client(), None
        gone = asyncio.Event()  # of this connection alone: one that ends at once is not missed

        async def on_error(_error: Exception) -> None:
            return

        async def on_closed() -> None:
            gone.set()

        try:
            async with asyncio.timeout(self.limits.call_s):
                await client.connect(
                    servers=list(self.settings.servers),
                    name=self._name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=max(1, int(self.limits.call_s)),
                    ping_interval=self.limits.heartbeat_s,  # type: ignore[arg-type]
                    max_outstanding_pings=1,
                    error_cb=on_error,
                    closed_cb=on_closed,
                )
        except (NatsError, OSError, TimeoutError) as failed:
            error = refusal_of(failed, self.settings.shown)
        if error is not None:
            await _end(client)
            raise error
        self._client, self._gone = client, gone
        self._made.clear()
        self._echo = client.new_inbox()
        await client.subscribe(self._echo, cb=self._on_echo)
        return client

    async def _on_echo(self, message: Msg) -> None:
        future = self._echoes.get(message.data.decode())
        if future is not None and not future.done():
            future.set_result(None)

    async def _supervise(self) -> None:
        """Notice a lost connection, make another one, and let everybody attach to it."""
        while True:
            await self._gone.wait()
            self._there.clear()
            self._tell_lost()
            self._on_state(State.LOST, f"nats at {self.settings.shown}")
            if self._client is not None:
                await _end(self._client)
            await self._again()
            self._there.set()
            self._on_state(State.CONNECTED, self.settings.shown)

    async def _again(self) -> None:
        pause_s = CONNECT_PAUSE_S
        while True:
            with contextlib.suppress(BusError, ApiFault, NatsError, OSError, TimeoutError):
                client = await self._connect()
                for restore in self.restores:
                    await self.unless_lost(_run(restore, client))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self.limits.reconnect_s_max)

    def _tell_lost(self) -> None:
        for tell in list(self.on_lost):
            tell()

    def _lost(self) -> BusLost:
        return BusLost(
            f"nats at {self.settings.shown} did not answer within {self.limits.call_s:g} s;"
            " what was asked may have happened",
            next="mergepoint bus",
        )


async def _awaited(future: asyncio.Future[None]) -> None:
    await future


async def _run(restore: Restore, client: Client) -> None:
    await restore(client)


async def _end(client: Client) -> None:
    with contextlib.suppress(NatsError, OSError, TimeoutError, asyncio.InvalidStateError):
        async with asyncio.timeout(1):
            await client.close()


def _checked(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise ApiFault(answer["error"])
    return answer
