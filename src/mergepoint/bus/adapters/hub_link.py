"""The connection of one process to the hub: calls, signs of life, and coming back by itself.

Place:  bus.adapters.hub -> [bus.adapters.hub_link] -> the hub's socket
Rule:   a call is repeated over a new connection only where the hub knows a repeat for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mergepoint.bus.adapters.hub_pending import Asker, Pending, Told
from mergepoint.bus.adapters.hub_url import parse
from mergepoint.bus.adapters.hub_wire import Answer, Wire, error_of
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusLost, BusRefused
from mergepoint.core.clock import Clock
from mergepoint.wire.frames import Frame, encode_json

PROTOCOL = 1
FIRST_PAUSE_S = 0.02
SWEEP_S = 0.25
"""How often calls that wait too long are looked for."""
CALLS_MAX = 100_000
"""Calls of one process that wait for an answer."""


class HubLink:
    """Calls to the hub; one event loop's own.

    `restore` is awaited on every new connection before anybody else's calls go out, `pushed` gets
    every frame that answers no call.
    """

    def __init__(
        self,
        url: str,
        limits: Limits,
        clock: Clock,
        *,
        address: str,
        restore: Callable[[], Awaitable[None]],
        pushed: Callable[[Frame], None],
        site: str = "",
    ) -> None:
        self.hello: Mapping[str, Any] = {}
        """What the hub said of itself."""
        self._place = parse(url)
        self._limits = limits
        self._clock = clock
        self._address = address
        self._site = site
        self._restore = restore
        self._pushed = pushed
        self._client = uuid.uuid4().hex
        self._wire: Wire | None = None
        self._pending: dict[int, Pending] = {}
        self._number = 0
        self._on_state: OnState = lambda _state, _reason: None
        self._state = State.CLOSED
        self._closed = False
        self._ready = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def state(self) -> State:
        """What is known of the connection."""
        return self._state

    async def open(self, on_state: OnState) -> None:
        """Connect, within `call_s`; raise `BusLost` or `BusRefused`."""
        self._on_state = on_state
        self._tell(State.CONNECTING, "")
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(opened))
        self._sweep()
        try:
            async with asyncio.timeout(self._limits.call_s):
                await asyncio.shield(opened)
        except TimeoutError:
            await self.close()
            raise BusLost(
                f"no hub answers at {self._where()}", next="mergepoint status: is the hub running?"
            ) from None
        except BusError:
            await self.close()
            raise

    async def close(self, *, say_bye: bool = False) -> None:
        """End; `say_bye` gives jobs back unburnt. A second call does nothing."""
        if self._closed:
            return
        if say_bye and self._ready.is_set():
            with contextlib.suppress(BusError, TimeoutError):
                async with asyncio.timeout(self._limits.call_s):
                    await self.call({"op": "bye"})
        self.abort()
        if self._supervisor is not None:
            await asyncio.gather(self._supervisor, return_exceptions=True)
        self._tell(State.CLOSED, "")

    def abort(self) -> None:
        """Be gone at once, without a word, as a killed process is."""
        self._closed = True
        if self._supervisor is not None:
            self._supervisor.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._wire is not None:
            self._wire.abort()
        self._ready.clear()
        for pending in list(self._pending.values()):
            _set(pending.future, BusClosed("the bus was closed in this process"))
        self._pending.clear()

    async def call(
        self,
        head: dict[str, Any],
        parts: Sequence[bytes] = (),
        *,
        repeat: bool = False,
        wait_s: float = 0.0,
    ) -> Answer:
        """Return what the hub answers; `wait_s` is what it may take beyond `call_s`."""
        return await self.start(head, parts, repeat=repeat, wait_s=wait_s)[1]

    def start(
        self,
        head: dict[str, Any],
        parts: Sequence[bytes] = (),
        *,
        repeat: bool = False,
        wait_s: float = 0.0,
        early: bool = False,
    ) -> tuple[int, asyncio.Future[Answer]]:
        """Send a call, or keep it until there is a connection; return its number and answer.

        `early` calls are part of restoring a connection and go out before it is ready.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        return self._start(head, parts, future, repeat, wait_s, early), future

    def tell(
        self, head: dict[str, Any], parts: Sequence[bytes], told: Told, *, repeat: bool = False
    ) -> None:
        """Send a call as `start` does; `told` is called with what becomes of it."""
        self._start(head, parts, told, repeat, 0.0, False)

    def _start(
        self,
        head: dict[str, Any],
        parts: Sequence[bytes],
        asker: Asker,
        repeat: bool,
        wait_s: float,
        early: bool,
    ) -> int:
        if self._closed:
            raise BusClosed("the bus was closed in this process")
        if len(self._pending) >= CALLS_MAX:
            raise BusLost(f"{CALLS_MAX} calls wait for the hub already")
        self._number += 1
        head["i"] = self._number
        until_s = asyncio.get_running_loop().time() + self._limits.call_s + wait_s
        pending = Pending(encode_json(head, parts), asker, until_s, repeat=repeat)
        self._pending[self._number] = pending
        if self._wire is not None and (early or self._ready.is_set()):
            pending.sent = True
            self._wire.write(pending.frame)
        return self._number

    def send(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send what has no answer; lost without a connection."""
        if self._wire is not None:
            self._wire.write(encode_json(head, parts))

    def together(self, ask: Callable[[], None]) -> None:
        """Send what `ask` asks for at its end, in one piece."""
        wire = self._wire
        if wire is None:
            ask()
            return
        wire.corked = True
        try:
            ask()
        finally:
            wire.corked = False
            wire.flush()

    def cancel(self, number: int) -> None:
        """Say that nobody waits for this call any more; its answer still comes."""
        pending = self._pending.get(number)
        if pending is not None and not pending.sent:
            del self._pending[number]
        else:
            self.send({"op": "cancel", "call": number})

    def came(self, frame: Frame) -> None:
        """Take a frame of the hub."""
        number = frame.head.get("i")
        if number is None:
            if "beat" not in frame.head:
                self._pushed(frame)
            return
        pending = self._pending.pop(number, None)
        if pending is None or pending.future.done():
            return
        error = frame.head.get("error")
        if error is not None:
            pending.future.set_exception(error_of(error))
        else:
            pending.future.set_result(Answer(frame.head.get("ok"), frame))

    async def _supervise(self, opened: asyncio.Future[None]) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            reason = ""
            try:
                wire = await self._connect()
                pause_s = FIRST_PAUSE_S
                if not opened.done():
                    opened.set_result(None)
                reason = await wire.lost
            except BusRefused as error:
                if not opened.done():
                    opened.set_exception(error)
                    return
                reason = error.message
            except (BusLost, OSError, TimeoutError) as error:
                reason = str(error)
            self._disconnected(reason)
            # Clients of one hub do not come back in step.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            pause_s = min(pause_s * 2, self._limits.reconnect_s_max)

    async def _connect(self) -> Wire:
        loop = asyncio.get_running_loop()
        place = self._place
        wire = Wire(self.came, self._limits.heartbeat_s)
        async with asyncio.timeout(self._limits.call_s):
            if place.path:
                await loop.create_unix_connection(lambda: wire, place.path)
            else:
                await loop.create_connection(lambda: wire, place.host, place.port, ssl=place.tls())
            hello = {"hello": PROTOCOL, "site": self._site, "address": self._address}
            try:
                self.hello = await wire.greet(
                    {**hello, "client": self._client, "token": place.token()}
                )
                self._wire = wire
                await self._restore()
            except BaseException:
                wire.abort()
                raise
        self._connected(wire)
        return wire

    def _connected(self, wire: Wire) -> None:
        for pending in self._pending.values():
            if not pending.sent:
                pending.sent = True
                wire.write(pending.frame)
        self._ready.set()
        self._tell(State.CONNECTED, "")

    def _disconnected(self, reason: str) -> None:
        self._wire = None
        self._ready.clear()
        if self._state is State.CONNECTED:
            self._tell(State.LOST, reason)
        for number, pending in list(self._pending.items()):
            if pending.sent and not pending.repeat:
                del self._pending[number]
                _set(pending.future, BusLost(f"the hub is lost: {reason}; it may have happened"))
            pending.sent = False

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_S, self._sweep)
        now_s = loop.time()
        for number, pending in list(self._pending.items()):
            if pending.future.cancelled():
                # Kept until its answer comes: what a take was given must not be lost with it.
                continue
            if pending.until_s <= now_s:
                del self._pending[number]
                _set(
                    pending.future,
                    BusLost(
                        f"no answer from the hub within {self._limits.call_s:g} s",
                        next="it may have happened; put the same id again",
                    ),
                )

    def _tell(self, state: State, reason: str) -> None:
        if state is not self._state:
            self._state = state
            self._on_state(state, reason)

    def _where(self) -> str:
        return self._place.path or f"{self._place.host}:{self._place.port}"


def _set(future: Asker, error: BusError) -> None:
    if not future.done():
        future.set_exception(error)
        # Whoever was cancelled meanwhile asks no more.
        future.exception()
