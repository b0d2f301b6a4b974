"""Serve the command line: one command per connection, progress lines, one answer.

Place:  supervisor.client -> [supervisor.control] -> supervisor.verbs
Rule:   only the same user or root may connect; a reader that does not read is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from mergepoint.core.errors import MergepointError
from mergepoint.supervisor.verbs import Json, VerbRefused, Verbs

COMMAND_BYTES_MAX = 1 << 20
COMMAND_WAIT_S = 10.0
WRITE_WAIT_S = 10.0
CONNECTIONS_MAX = 64
ENDING_WAIT_S = 2.0
UCRED = struct.Struct("3i")


class Control:
    """The control socket; `close` lets answers under way be sent."""

    def __init__(self, path: Path, verbs: Verbs) -> None:
        self._path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; an old socket file is replaced, since the lock says that nobody else is here."""
        self._path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._accept, str(self._path), limit=COMMAND_BYTES_MAX
            )
        finally:
            os.umask(old)

    async def close(self) -> None:
        """Accept no more, wait a moment for answers, then cut the rest off."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        if self._open:
            await asyncio.wait(self._open, timeout=ENDING_WAIT_S)
        for task in list(self._open):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= CONNECTIONS_MAX or not _is_friend(writer):
            writer.close()
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the one who asked has gone
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def emit(message: Json) -> None:
            writer.write(json.dumps(message).encode() + b"\n")
            async with asyncio.timeout(WRITE_WAIT_S):
                await writer.drain()

        try:
            async with asyncio.timeout(COMMAND_WAIT_S):
                command = _parse(await reader.readline())
            answer = await self._while_there(reader, self._verbs.handle(
                str(command.pop("verb", "")), command, emit
            ))  # fmt: skip
            await emit({"ok": True, **answer})
        except MergepointError as error:
            told = {"code": error.code, "message": error.message, "next": error.next}
            await emit({"ok": False, "error": told})

    async def _while_there(
        self, reader: asyncio.StreamReader, work: Coroutine[Any, Any, Json]
    ) -> Json:
        """Run a command, and stop it when its caller hangs up: no follower stays for ever."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ConnectionResetError
            return await working
        finally:
            working.cancel()
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, MergepointError):
                await working


def _parse(line: bytes) -> Json:
    try:
        command = json.loads(line)
    except ValueError as error:
        raise VerbRefused(f"a command is one line of JSON: {error}") from error
    if not isinstance(command, dict):
        raise VerbRefused("a command is one JSON object")
    return command


def _is_friend(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    _pid, uid, _gid = UCRED.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    )
    return uid in {0, os.geteuid()}
