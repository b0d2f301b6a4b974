"""Ask a running supervisor: one command, its progress, its answer.

Place:  cli -> [supervisor.client] -> the supervisor's control socket
Rule:   speaks contracts.md section 4 only; a line is bounded, a connection is one command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mergepoint.core.errors import MergepointError, NotRunning

Json = dict[str, Any]

LINE_BYTES_MAX = 16 << 20
CONTROL_SOCKET = "control.sock"


class CommandRefused(MergepointError):
    """The supervisor answered that it did not do what was asked; `code` says why."""

    code = "supervisor.command_refused"

    def __init__(self, message: str, *, code: str = "", next: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next)
        self.reason = code or self.code


class Client:
    """One supervisor; every request opens its own connection."""

    def __init__(self, socket: Path, timeout_s: float) -> None:
        self._socket = socket
        self._timeout_s = timeout_s

    async def request(self, verb: str, **arguments: Any) -> AsyncIterator[Json]:
        """Send one command; yield ``{"progress"}`` and ``{"line"}`` objects, then the answer.

        The last object is the answer itself (``{"ok": true, ...}``). Raises `CommandRefused` when
        the supervisor refuses, `NotRunning` when it is not there or goes before its answer.
        """
        reader, writer = await open_control(self._socket, self._timeout_s)
        try:
            writer.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
            await writer.drain()
            while True:
                message = decode(await reader.readline(), self._socket)
                if "ok" not in message:
                    yield message
                    continue
                raise_refusal(message)
                yield message
                return
        except OSError as error:
            raise not_running(self._socket, f"the connection was lost: {error}") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, verb: str, **arguments: Any) -> Json:
        """Send one command and return its answer, without progress. Raises like `request`."""
        answer: Json = {}
        async for message in self.request(verb, **arguments):
            answer = message
        return answer


@contextlib.asynccontextmanager
async def connect(run_dir: Path, timeout_s: float = 2.0) -> AsyncIterator[Client]:
    """Give a client for the supervisor of `run_dir`; raise `NotRunning` when none answers."""
    client = Client(run_dir / CONTROL_SOCKET, timeout_s)
    _reader, writer = await open_control(run_dir / CONTROL_SOCKET, timeout_s)
    writer.close()
    yield client


async def open_control(
    socket: Path, timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the control socket; raise `NotRunning` when nobody accepts within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.open_unix_connection(str(socket), limit=LINE_BYTES_MAX)
    except (OSError, TimeoutError) as error:
        raise not_running(socket, str(error) or "no answer in time") from error


def not_running(socket: Path, why: str) -> NotRunning:
    """Return the error that says the site is not running, and how to start it."""
    return NotRunning(
        f"the site is not running ({socket}: {why})",
        next="mergepoint run, or mergepoint start in production",
    )


def decode(line: bytes, socket: Path) -> Json:
    """Return the object of one line; raise `NotRunning` at the end of the stream."""
    if not line:
        raise not_running(socket, "the supervisor ended before it answered")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise CommandRefused(f"{socket}: the supervisor sent {line[:80]!r}, which is no object")
    return message


def raise_refusal(message: Json) -> None:
    """Raise `CommandRefused` when the final answer is not ok."""
    if message.get("ok"):
        return
    error = message.get("error") or {}
    raise CommandRefused(
        str(error.get("message", "the supervisor gave no reason")),
        code=str(error.get("code", "")),
        next=str(error.get("next", "")),
    )
