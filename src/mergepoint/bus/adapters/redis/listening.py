"""The one connection on which the server pushes: topics, wake-ups, requests, presence.

Place:  adapters.redis.link -> [listening] -> topics, queues, requests, presence
Rule:   connects once; when it breaks it says so and is replaced, never mended in silence.

redis-py's own PubSub reconnects by itself, and what was published meanwhile is missing without a
word; here the end of the connection is an event, and whoever listens is told of the gap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection

Handler = Callable[[bytes, bytes], None]
"""Told channel and payload; must not block."""
NAMES_PER_COMMAND_MAX = 500


class Listening:
    """Names that are listened to, and the task that reads."""

    def __init__(self, silence_s_max: float) -> None:
        self._silence_s_max = silence_s_max
        self._handlers: dict[str, Handler] = {}
        self._patterns: dict[str, Handler] = {}
        self._confirmed: dict[tuple[bytes, bytes], asyncio.Future[None]] = {}
        self._connection: AbstractConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self.on_end: Callable[[], None] = lambda: None

    @property
    def alive(self) -> bool:
        """Whether the connection is there and read."""
        return self._reading is not None and not self._reading.done()

    async def start(self, connection: AbstractConnection) -> None:
        """Listen to every known name on a new connection; raises what the library raises."""
        await self.stop()
        self._connection = connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._reading = asyncio.create_task(self._read(connection))
            await self._ask("SUBSCRIBE", self._handlers)
            await self._ask("PSUBSCRIBE", self._patterns)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> bool:
        """Close the connection, tell whether there was one; the names are kept for the next."""
        reading, self._reading = self._reading, None
        connection, self._connection = self._connection, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if connection is not None:
            with contextlib.suppress(Exception):  # whatever a dead connection says of its end
                await connection.disconnect(nowait=True)
        self._fail_waiting()
        return reading is not None

    async def add(self, name: str, handler: Handler, *, pattern: bool = False) -> None:
        """Return when the server has confirmed that it will push what is sent to `name`."""
        known = self._patterns if pattern else self._handlers
        async with self._changing:
            fresh = name not in known
            known[name] = handler
            if not fresh:
                return
            try:
                await self._ask("PSUBSCRIBE" if pattern else "SUBSCRIBE", [name])
            except BaseException:
                known.pop(name, None)
                raise

    async def remove(self, name: str, *, pattern: bool = False) -> None:
        """Stop listening to a name; nothing happens when it is not known."""
        async with self._changing:
            known = self._patterns if pattern else self._handlers
            if known.pop(name, None) is not None and self.alive:
                await self._send("PUNSUBSCRIBE" if pattern else "UNSUBSCRIBE", name)

    async def ping(self) -> None:
        """Ask for a sign of life; its absence ends the connection."""
        await self._send("PING")

    async def _ask(self, command: str, names: Iterable[str]) -> None:
        listed = list(names)
        kind = command.lower().encode()
        futures: list[asyncio.Future[None]] = []
        for name in listed:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._confirmed[kind, name.encode()] = future
            futures.append(future)
        for start in range(0, len(listed), NAMES_PER_COMMAND_MAX):
            await self._send(command, *listed[start : start + NAMES_PER_COMMAND_MAX])
        await asyncio.gather(*futures)

    async def _send(self, *words: str) -> None:
        if self._connection is None or not self._connection.is_connected:
            raise ConnectionError("not connected")
        await self._connection.send_command(*words, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        try:
            while True:
                answer = await connection.read_response(timeout=self._silence_s_max)
                if isinstance(answer, list):
                    self._take(answer)
        except Exception:  # noqa: S110 - a doorway: any end is the same end, told below
            pass
        finally:
            self._fail_waiting()
            self.on_end()

    def _take(self, answer: list[Any]) -> None:  # Any: RESP, by the kind of push
        kind = answer[0]
        if kind == b"message":
            handler = self._handlers.get(answer[1].decode())
            if handler is not None:
                handler(answer[1], answer[2])
        elif kind == b"pmessage":
            handler = self._patterns.get(answer[1].decode())
            if handler is not None:
                handler(answer[2], answer[3])
        elif kind in (b"subscribe", b"psubscribe"):
            future = self._confirmed.pop((kind, answer[1]), None)
            if future is not None and not future.done():
                future.set_result(None)

    def _fail_waiting(self) -> None:
        for future in self._confirmed.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection ended"))
                future.exception()  # taken: whoever asked may have gone
        self._confirmed.clear()
