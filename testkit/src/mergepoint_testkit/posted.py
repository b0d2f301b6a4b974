"""A worker that messages are posted to: it answers as it is told and remembers what came.

Place:  tests of the gateway -> [posted]
Rule:   a real socket; waiting is for events, with one bound for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11

WAIT_S = 30.0


@dataclass(slots=True)
class Got:
    """One request as a worker received it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Worker:
    """An HTTP server on a Unix socket that answers as it is told and remembers everything."""

    path: Path
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """The next answers; 204 when there is none left."""
    got: list[Got] = field(default_factory=list)
    most: int = 0
    hold: asyncio.Event | None = None
    _now: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    async def until(self, count: int) -> list[Got]:
        """Return what came once there are `count` requests."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, body = h11.Connection(h11.SERVER), b""
        head: h11.Request | None = None
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    await self._answer(connection, writer, head, body)
                    break
                else:
                    break
        writer.close()

    async def _answer(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, head: h11.Request,
        body: bytes,
    ) -> None:  # fmt: skip
        self._now += 1
        self.most = max(self.most, self._now)
        headers = {n.decode(): v.decode("latin-1") for n, v in head.headers}
        status, more = self.answers.pop(0) if self.answers else (204, {})
        async with self._changed:
            self.got.append(Got(head.method.decode(), head.target.decode(), headers, body))
            self._changed.notify_all()
        if self.hold is not None:
            await self.hold.wait()
        self._now -= 1
        fields = [*more.items(), ("content-length", "0")] if status != 204 else list(more.items())
        for event in (h11.Response(status_code=status, headers=fields), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()


@contextlib.asynccontextmanager
async def worker(path: Path) -> AsyncIterator[Worker]:
    """Run a worker until the block ends."""
    made = Worker(path)
    server = await asyncio.start_unix_server(made.serve, str(path))
    try:
        yield made
    finally:
        server.close()
        os.unlink(path)  # noqa: PTH108 - one file of this test


def write_snapshot(file: Path, apps: dict[str, list[str]], **more: Any) -> None:
    """Write what the supervisor would: the ready workers of every app."""
    document = {
        "apps": {
            name: {"slots": [{"address": address, "state": "ready"} for address in addresses]}
            for name, addresses in apps.items()
        },
        **more,
    }
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(file)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Return what `condition` gives once it is true; for states that nobody tells of."""
    async with asyncio.timeout(WAIT_S):
        while not (found := condition()):  # noqa: ASYNC110 - files and engines tell nobody
            await asyncio.sleep(0.01)
    assert found, what
    return found
