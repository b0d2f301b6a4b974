"""The feed's socket: edges ask, readers read, `feed.core` decides.

Place:  assembly.feed -> [feed.service] -> feed.core, feed.adapters
Rule:   lines and tasks only. One loop of its own: whatever holds up the bus does not hold up this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mergepoint.core.clock import Clock
from mergepoint.feed.contract import FeedLimits, Reader
from mergepoint.feed.core import Core, Drop, Read, Send
from mergepoint.feed.errors import FeedError
from mergepoint.feed.upkeep import Upkeep

OUTGOING_BYTES_MAX = 32 * 1024 * 1024
"""What waits for an edge that does not read; past it the edge is dropped."""
BACKLOG = 64
_CREDENTIALS = struct.Struct("3i")

Log = Callable[..., None]


class FeedService:
    """Serves edges on one socket from any number of readers; used from one loop."""

    def __init__(
        self, readers: Mapping[str, Reader], limits: FeedLimits, clock: Clock, log: Log
    ) -> None:
        self.hub = secrets.token_hex(8)
        self.limits = limits
        self.clock = clock
        self.core = Core(self.hub, list(readers), limits, clock.monotonic_s())
        self._readers = readers
        self._log = log
        self._edges: dict[int, _Edge] = {}
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._upkeep = Upkeep(readers, limits, clock, log, self.core.audited)

    async def start(self, path: Path) -> None:
        """Listen on `path`, mode 0600; a socket that a dead hub left there is removed."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Edge(self), sock=_bound(path), backlog=BACKLOG
        )
        self._upkeep.start()

    async def stop(self) -> None:
        """Drop every edge and let every database go."""
        if self._server is not None:
            self._server.close()
        await self._upkeep.stop()
        for edge in list(self._edges.values()):
            edge.drop()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for reader in self._readers.values():
            await reader.close()

    def opened(self, edge: _Edge) -> int:
        """Take a connection; return its number."""
        self._numbers += 1
        self._edges[self._numbers] = edge
        return self._numbers

    def received(self, edge: int, line: bytes) -> None:
        """Take a line of an edge."""
        message: Any
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict) and message.get("verb") == "status":
            # For people: not an edge, nobody waits for it.
            told = self.core.status(self.clock.monotonic_s())
            self._edges[edge].send({"id": message.get("id"), **told, **self._upkeep.status()})
            return
        self.core.received(edge, message, self.clock.monotonic_s())
        self._act()

    def closed(self, edge: int) -> None:
        """Note that a connection ended."""
        if self._edges.pop(edge, None) is not None:
            self.core.closed(edge, self.clock.monotonic_s())
            self._act()

    def _act(self) -> None:
        for action in self.core.take():
            if isinstance(action, Read):
                self._spawn(action)
            elif isinstance(action, Send):
                if action.edge in self._edges:
                    self._edges[action.edge].send(action.message)
            elif isinstance(action, Drop) and action.edge in self._edges:
                self._edges[action.edge].drop()
        self._set_timer()

    def _spawn(self, action: Read) -> None:
        task = asyncio.create_task(self._read(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, action: Read) -> None:
        name = action.source
        try:
            async with asyncio.timeout(self.limits.read_s):
                batch = await self._readers[name].read(action.since)
                # Edges are told which tables are logged together with their first position.
                await self._upkeep.audited(name, batch.position.epoch)
        except FeedError as error:
            self._failed(name, error.message)
        except TimeoutError:
            self._failed(name, f"no answer within {self.limits.read_s:g} s")
        else:
            self.core.read_done(name, batch, self.clock.monotonic_s())
        self._act()

    def _failed(self, name: str, why: str) -> None:
        self._log("feed.unreachable", source=name, error=why)
        self.core.read_failed(name, why, self.clock.monotonic_s())

    def _set_timer(self) -> None:
        due_s = self.core.due_s()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_s is not None:
            in_s = max(0.0, due_s - self.clock.monotonic_s())
            self._timer = asyncio.get_running_loop().call_later(in_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.core.tick(self.clock.monotonic_s())
        self._act()


class _Edge(asyncio.Protocol):
    """One connection: lines in, lines out, both bounded."""

    def __init__(self, service: FeedService) -> None:
        self._service = service
        self._number = 0
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if it is the site's own user or root who connects."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise
        peer = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        if _CREDENTIALS.unpack(peer)[1] not in {0, os.geteuid()}:
            transport.abort()
            return
        self._transport = transport
        self._number = self._service.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a line that does not end is the end."""
        if b"\n" not in data:
            self._rest += data
        else:
            *lines, rest = (bytes(self._rest) + data).split(b"\n")
            self._rest = bytearray(rest)
            for line in lines:
                if self._transport is not None and line:
                    self._service.received(self._number, line)
        if len(self._rest) > self._service.limits.line_bytes_max:
            self.drop()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        del exc
        self._transport = None
        self._service.closed(self._number)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a line; an edge that does not read is dropped."""
        if self._transport is None:
            return
        self._transport.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        if self._transport.get_write_buffer_size() > OUTGOING_BYTES_MAX:
            self._transport.abort()

    def drop(self) -> None:
        """End it, after what was written."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
            self._service.closed(self._number)


def _bound(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening
