"""The control channel to a running edge: JSON lines over its Unix socket.

Place:  supervisor -> [edge.control] -> edge/crates/server/src/control
Rule:   answers find their question by id; every wait has a deadline; a lost edge is one error.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from mergepoint.core.errors import EdgeRefused, EdgeUnreachable
from mergepoint.edge.descriptors import receive_listeners

Json = dict[str, Any]

LINE_BYTES_MAX = 64 << 20
ANSWER_TIMEOUT_S = 10.0
DRAINED_SLACK_S = 5.0
RETRY_PAUSE_S = 0.02
RETRY_PAUSE_S_MAX = 0.5


async def connect_edge(socket: Path, timeout_s: float) -> EdgeControl:
    """Return the control channel of the edge at `socket`.

    Retries until the edge answers a ping; raises `EdgeUnreachable` once `timeout_s` has passed.
    """
    reason = "nothing answered"
    try:
        async with asyncio.timeout(max(timeout_s, 0.0)):
            for attempt in itertools.count():
                try:
                    return await _connected(socket)
                except (OSError, EdgeUnreachable) as error:
                    reason = getattr(error, "strerror", None) or str(error)
                await asyncio.sleep(min(RETRY_PAUSE_S * 2 ** min(attempt, 10), RETRY_PAUSE_S_MAX))
    except TimeoutError:
        pass
    raise EdgeUnreachable(
        f"the edge did not answer on {socket} within {timeout_s:g} s: {reason}",
        next="mergepoint status",
    )


async def _connected(socket: Path) -> EdgeControl:
    reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_BYTES_MAX)
    control = EdgeControl(socket, reader, writer)
    try:
        await control.ping()
    except BaseException:
        await control.close()
        raise
    return control


class EdgeControl:
    """One open channel; any number of questions may be open on it at once."""

    def __init__(
        self, socket: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._socket = socket
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._lost: str | None = None
        self._listener = asyncio.create_task(self._listen(), name=f"edge control {socket.name}")

    async def apply(self, snapshot: Json) -> int:
        """Hand over a snapshot; return the generation in force, or raise `EdgeRefused`."""
        answer = await self._ask("apply", {"snapshot": snapshot})
        return _number(answer, "generation")

    async def await_drained(self, address: str, timeout_s: float) -> int:
        """Wait until the endpoint holds no request; return how many it holds at the deadline."""
        arguments = {"address": address, "timeout_s": timeout_s}
        answer = await self._ask("await_drained", arguments, timeout_s + DRAINED_SLACK_S)
        return _number(answer, "in_flight")

    async def stats(self) -> Json:
        """Return counters and gauges per app and slot."""
        return _without_envelope(await self._ask("stats"))

    async def inflight(self) -> list[Json]:
        """Return the requests now being worked on, oldest first."""
        answer = await self._ask("inflight")
        requests = answer.get("requests")
        if not isinstance(requests, list):
            raise _nonsense("inflight", "no list of requests")
        return cast(list[Json], requests)

    async def metrics(self) -> str:
        """Return the Prometheus exposition text."""
        return str((await self._ask("metrics")).get("text", ""))

    async def ping(self) -> Json:
        """Return version, pid and generation of the edge."""
        return _without_envelope(await self._ask("ping"))

    async def cache(self, verb: str, **arguments: Any) -> Json:
        """Ask ``cache_stats``, ``cache_why`` or ``cache_purge``; raise `EdgeRefused`."""
        return _without_envelope(await self._ask(verb, arguments))

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, finish what is open, then exit; returns once the edge has begun."""
        await self._ask("drain", {"timeout_s": timeout_s})

    async def listeners(self) -> dict[str, int]:
        """Return duplicated listening descriptors by name; the caller closes them."""
        return await asyncio.to_thread(receive_listeners, self._socket, ANSWER_TIMEOUT_S)

    async def events(self) -> AsyncIterator[Json]:
        """Yield what the edge noticed, from the first `anext` on; ends with the edge."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=LINE_BYTES_MAX)
        except OSError as error:
            raise EdgeUnreachable(f"cannot subscribe to {self._socket}: {error.strerror}") from None
        try:
            writer.write(b'{"id": 0, "verb": "subscribe"}\n')
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await writer.drain()
                _checked(await _line(reader), "subscribe")
            while (event := await _line(reader)) is not None:
                yield event
        except (TimeoutError, ConnectionError) as error:
            raise EdgeUnreachable(f"the edge ended its events: {error or 'no answer'}") from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def close(self) -> None:
        """Close the channel; the edge goes on, and open questions raise `EdgeUnreachable`."""
        self._lose("the channel was closed")
        self._listener.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener

    async def _ask(
        self, verb: str, arguments: Json | None = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Json:
        if self._lost is not None:
            raise self._unreachable(verb)
        number = next(self._ids)
        line = json.dumps({"id": number, "verb": verb, **(arguments or {})}).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise EdgeRefused(f"{verb}: a line of {len(line)} bytes, {LINE_BYTES_MAX} at most")
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(line)
                await self._writer.drain()
                return _checked(await future, verb)
        except TimeoutError:
            raise EdgeUnreachable(
                f"the edge did not answer {verb} within {timeout_s:g} s", next="mergepoint status"
            ) from None
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self._lose(str(error) or type(error).__name__)
            raise self._unreachable(verb) from None
        finally:
            self._waiting.pop(number, None)

    async def _listen(self) -> None:
        """Give each answer to its question until the edge goes away."""
        reason = "the edge closed the channel"
        try:
            while (answer := await _line(self._reader)) is not None:
                future = self._waiting.get(answer.get("id", 0))
                if future is not None and not future.done():
                    future.set_result(answer)
        except (OSError, EdgeUnreachable) as error:
            reason = str(error)
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError(reason))

    def _unreachable(self, verb: str) -> EdgeUnreachable:
        return EdgeUnreachable(f"{verb}: {self._lost}", next="mergepoint status")


async def _line(reader: asyncio.StreamReader) -> Json | None:
    """Return the next line's object, or None at the end; raise when it is no JSON object."""
    try:
        raw = await reader.readline()
    except ValueError:
        raise EdgeUnreachable(f"the edge sent a line of more than {LINE_BYTES_MAX} bytes") from None
    if not raw.endswith(b"\n"):
        return None
    try:
        value: Any = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EdgeUnreachable(f"the edge sent a line that is no JSON object: {raw[:80]!r}")
    return value


def _checked(answer: Json | None, verb: str) -> Json:
    """Return a good answer; raise `EdgeRefused` with the edge's own words for any other."""
    if answer is None:
        raise EdgeUnreachable(f"the edge closed the channel before it answered {verb}")
    if answer.get("ok") is True:
        return answer
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    reason = f"the edge refused {verb}: {error.get('message') or 'without a reason'}"
    refused = EdgeRefused(reason, next="mergepoint check")
    refused.code = str(error.get("code") or EdgeRefused.code)
    raise refused


def _without_envelope(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name not in {"id", "ok"}}


def _number(answer: Json, name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int):
        raise _nonsense(name, "no number")
    return value


def _nonsense(what: str, why: str) -> EdgeUnreachable:
    return EdgeUnreachable(f"the edge's answer makes no sense: {what}: {why}")
