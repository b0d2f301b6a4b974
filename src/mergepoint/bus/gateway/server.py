"""Take requests on Unix sockets: HTTP/1.1 with bounds, one answer for each, kept alive.

Place:  bus.gateway.run -> [bus.gateway.server] -> bus.gateway.desk
Rule:   knows HTTP and nothing of the bus; a client that is slow, big or wrong costs one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

import h11

from mergepoint.bus.gateway.desk import Asked, Refused
from mergepoint.bus.gateway.settings import Door

HEAD_BYTES_MAX = 64 << 10
READ_BYTES = 1 << 16
BODY_S = 30.0
"""How long a request may take to arrive."""
DOOR_MODE = 0o600

Json = dict[str, Any]
Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handle = Callable[[Asked], Awaitable[Json]]
"""Does what was asked and returns the answer; raises `Refused`."""


async def open_door(door: Door, accept: Accept) -> asyncio.Server:
    """Listen on a socket that its user alone may open; raises `OSError`, `KeyError` for no user."""
    door.path.unlink(missing_ok=True)
    old = os.umask(0o777 & ~DOOR_MODE)
    try:
        server = await asyncio.start_unix_server(accept, str(door.path))
    finally:
        os.umask(old)
    if door.user:
        entry = pwd.getpwnam(door.user)
        os.chown(door.path, entry.pw_uid, entry.pw_gid)
    return server


class Server:
    """The sockets; `close` lets requests under way be answered."""

    def __init__(
        self, handle: Handle, *, body_bytes_max: int, connections_max: int, idle_s: float
    ) -> None:
        self._handle = handle
        self._body_bytes_max = body_bytes_max
        self._connections_max = connections_max
        self._idle_s = idle_s
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], bool] = {}
        """Every connection, and whether it is in the middle of a request."""

    async def listen(self, door: Door) -> None:
        """Begin to accept on a socket that its user alone may open; raises `OSError`."""
        self._servers.append(await open_door(door, self._accept))

    async def close(self) -> None:
        """Accept no more, let what has begun be answered, then cut the rest off."""
        for server in self._servers:
            server.close()
        for task, busy in list(self._open.items()):
            if not busy:
                task.cancel()
        if self._open:
            await asyncio.wait(set(self._open), timeout=BODY_S)
        for task in list(self._open):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open[task] = False
        try:
            await self._serve(task, reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the publisher has gone, or we are going
        finally:
            del self._open[task]
            writer.close()

    async def _serve(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        while True:
            try:
                asked = await self._request(task, connection, reader, writer)
                if asked is None:
                    return
                status, answer = 200, await self._done(asked)
            except Refused as error:
                told = {"code": error.code, "message": str(error), "next": error.next_step}
                status, answer = error.status, {"error": told}
            except h11.RemoteProtocolError as error:
                told = {"code": "bus.http", "message": str(error), "next": ""}
                status, answer = error.error_status_hint, {"error": told}
            await self._answer(connection, writer, status, answer)
            self._open[task] = False
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _done(self, asked: Asked) -> Json:
        if len(self._open) > self._connections_max:
            raise Refused(503, "bus.busy", f"{self._connections_max} publishers are here already")
        return await self._handle(asked)

    async def _request(
        self,
        task: asyncio.Task[None],
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Asked | None:
        """Return the next request; None when the publisher has hung up."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if head is not None and connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(connection.send(go_on) or b"")
                async with asyncio.timeout(BODY_S if head is not None else self._idle_s):
                    connection.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
                self._open[task] = True
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._body_bytes_max:
                    raise Refused(
                        413, "bus.message_too_large",
                        f"more than {self._body_bytes_max} bytes; no larger message is taken",
                        "send a large file's name, or raise bus.message_bytes_max",
                    )  # fmt: skip
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in head.headers}
                method, target = head.method.decode("ascii"), head.target.decode("ascii", "replace")
                return Asked(method, target, headers, bytes(body))
            else:
                return None

    async def _answer(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, status: int, answer: Json
    ) -> None:
        if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = json.dumps(answer).encode() + b"\n"
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        if status == 503:
            headers.append(("retry-after", "1"))
        if status == 401:
            headers.append(("www-authenticate", "Bearer"))
        response = h11.Response(status_code=status, headers=headers)
        with contextlib.suppress(h11.LocalProtocolError):
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
        async with asyncio.timeout(BODY_S):
            await writer.drain()
