"""A proxy that does to a connection what networks do: reset, silence, half-open, slowness.

Place:  tests -> [bus.proxy] -> a broker on TCP or on a Unix socket
Rule:   lives on the test's own event loop; every fault begins and ends when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

CHUNK_BYTES = 64 * 1024
HOST = "127.0.0.1"
_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: closing sends a reset instead of a farewell."""


@dataclass(eq=False)
class _Pair:
    """One client's connection and ours to the broker for it."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class FaultProxy:
    """Forwards to `target`: ``host:port``, or the path of a Unix socket."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._unix = "/" in target
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._latency_s = 0.0
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self.address = ""
        """Where clients connect, in the form of `target`; known once it was started."""
        self._came_again = asyncio.Event()

    async def reconnected(self) -> None:
        """Return at the next connection that comes from now on; who waits sets the limit."""
        self._came_again.clear()
        await self._came_again.wait()

    async def start(self) -> None:
        """Listen; the address stays the same until `stop`. A socket keeps its file's name."""
        if self._unix:
            self._directory = tempfile.TemporaryDirectory()
            self.address = str(Path(self._directory.name) / Path(self._target).name)
        await self.accept()

    async def stop(self) -> None:
        """End everything; a second call does nothing."""
        await self.refuse()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    async def accept(self) -> None:
        """Take connections, again after `refuse`."""
        if self._server is not None:
            return
        if self._unix:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address)  # noqa: PTH108 - nothing here waits for a disk
            self._server = await asyncio.start_unix_server(self._came, self.address)
            return
        port = int(self.address.rpartition(":")[2]) if self.address else 0
        self._server = await asyncio.start_server(self._came, HOST, port)
        self.address = f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def refuse(self) -> None:
        """Be gone: reset what is there and refuse what comes, as a broker that restarts."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self.reset()

    async def reset(self) -> None:
        """Reset every connection, both ends, at once."""
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            await _end(pair, pair.client, pair.broker)

    async def half_open(self) -> None:
        """Close the broker's ends and tell the clients nothing: they write into the void."""
        for pair in self._pairs:
            for task in pair.tasks:
                task.cancel()
            await asyncio.gather(*pair.tasks, return_exceptions=True)
            _abort(pair.broker)

    def black_hole(self) -> None:
        """Forward nothing, accept all: nobody is told anything."""
        self._open.clear()

    def slow(self, latency_s: float) -> None:
        """Hold every piece for so long on its way, each way."""
        self._latency_s = latency_s

    def heal(self) -> None:
        """Forward as if nothing had been; what was held in a black hole goes on."""
        self._latency_s = 0.0
        self._open.set()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._pairs)

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._unix:
                broker = await asyncio.open_unix_connection(self._target)
            else:
                host, _, port = self._target.rpartition(":")
                broker = await asyncio.open_connection(host, int(port))
        except OSError:
            _abort(writer)
            return
        pair = _Pair(writer, broker[1])
        self._pairs.add(pair)
        pair.tasks = [
            asyncio.create_task(self._pump(pair, reader, broker[1])),
            asyncio.create_task(self._pump(pair, broker[0], writer)),
        ]
        self._came_again.set()  # now there is a pair that a reset can hit

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        await self._open.wait()
        if pair in self._pairs:
            self._pairs.discard(pair)
            for end in (pair.client, pair.broker):
                end.close()


async def _end(pair: _Pair, *writers: asyncio.StreamWriter) -> None:
    for task in pair.tasks:
        task.cancel()
    await asyncio.gather(*pair.tasks, return_exceptions=True)
    for writer in writers:
        _abort(writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: TCP sends a reset."""
    link = writer.get_extra_info("socket")
    if link is not None and link.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()
