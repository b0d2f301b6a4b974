"""Let apps that run as another user reach the hub: a socket of theirs, passed on byte by byte.

Place:  bus.gateway.run -> [bus.gateway.splice] -> the hub's socket
Rule:   looks at nothing that passes; when one side is gone the other is closed at once, so that the
        hub knows of a dead worker as soon as of any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from mergepoint.bus.gateway.server import open_door
from mergepoint.bus.gateway.settings import Door

PIECE_BYTES = 1 << 16
CONNECTIONS_MAX = 1024
CONNECT_S = 5.0


class Splice:
    """Sockets in front of the hub's; `close` cuts every connection."""

    def __init__(self, hub: Path) -> None:
        self._hub = hub
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()
        self._closed = False

    async def listen(self, door: Door) -> None:
        """Begin to accept on a socket that its user alone may open; raises `OSError`."""
        self._servers.append(await open_door(door, self._accept))

    async def close(self) -> None:
        """Accept no more and cut what is open; whoever was here connects again."""
        self._closed = True  # a connection may be accepted and not yet be among the open ones
        for server in self._servers:
            server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._closed or len(self._open) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._open.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # one side has gone; it is the other's turn
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_S):
            to_read, to_write = await asyncio.open_unix_connection(str(self._hub))
        ways = [
            asyncio.ensure_future(_copy(reader, to_write)),
            asyncio.ensure_future(_copy(to_read, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_write.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
