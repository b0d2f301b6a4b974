"""Prove that a new process serves before it gets a request: readiness path, then smoke list.

Place:  supervisor.rolling -> [supervisor.probe] -> a worker's socket
Rule:   HTTP/1.1 by h11; every wait is bounded; the answer is a `Failure` or None, no exception.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import h11

from mergepoint.core.clock import Clock
from mergepoint.core.endpoints import Failure
from mergepoint.supervisor.contract import Probe

ATTEMPT_TIMEOUT_S = 5.0
SMOKE_TIMEOUT_S = 15.0
PAUSE_MIN_S = 0.02
PAUSE_MAX_S = 0.25
READ_BYTES = 65536


class Unanswered(Exception):
    """The process did not answer this attempt; the message says how."""


async def prove(address: str, probe: Probe, clock: Clock, *, settle_s: float) -> Failure | None:
    """Wait until the process answers, ask its smoke list; return why it must not serve, or None.

    With `settle_s` the readiness path must still answer that much later: a process that dies a
    moment after its first answer is no release.
    """
    failure = await _ready(address, probe, clock)
    if failure is None and settle_s > 0:
        await clock.sleep(settle_s)
        failure = await _ready(address, probe, clock)
    for path in probe.smoke if failure is None else ():
        failure = await _smoke(address, path, probe.smoke_headers)
        if failure is not None:
            break
    return failure


async def answers(address: str, probe: Probe, timeout_s: float) -> bool:
    """Tell whether a process that already served still answers its readiness path."""
    with contextlib.suppress(Unanswered):
        return _in(await ask(address, probe.path, probe.headers, timeout_s), probe)
    return False


async def _ready(address: str, probe: Probe, clock: Clock) -> Failure | None:
    deadline = clock.monotonic_s() + probe.timeout_s
    pause_s, last = PAUSE_MIN_S, "no answer"
    while clock.monotonic_s() < deadline:
        try:
            left_s = max(0.1, deadline - clock.monotonic_s())
            limit_s = min(left_s, max(ATTEMPT_TIMEOUT_S, left_s / 4))
            status = await ask(address, probe.path, probe.headers, limit_s)
            if _in(status, probe):
                return None
            last = f"GET {probe.path} was answered with {status}"
        except Unanswered as error:
            last = str(error)
        await clock.sleep(pause_s)
        pause_s = min(pause_s * 1.5, PAUSE_MAX_S)
    return Failure(f"not ready after {probe.timeout_s:g} s: {last}")


async def _smoke(address: str, path: str, headers: Mapping[str, str]) -> Failure | None:
    try:
        status = await ask(address, path, headers, SMOKE_TIMEOUT_S)
    except Unanswered as error:
        return Failure(f"smoke check GET {path}: {error}")
    if status >= 400:
        return Failure(f"smoke check GET {path} was answered with {status}")
    return None


def _in(status: int, probe: Probe) -> bool:
    return probe.statuses[0] <= status <= probe.statuses[1]


async def ask(address: str, path: str, headers: Mapping[str, str], timeout_s: float) -> int:
    """Send one GET and return the status of its answer; raise `Unanswered` without one in time."""
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await dial(address)
            return await _exchange(reader, writer, path, headers)
    except TimeoutError as error:
        raise Unanswered(f"GET {path}: no answer within {timeout_s:g} s") from error
    except (OSError, h11.RemoteProtocolError) as error:
        raise Unanswered(f"GET {path}: {error}") from error
    finally:
        if writer is not None:
            writer.close()


async def dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to a worker's address; raises `OSError`."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    headers: Mapping[str, str],
) -> int:
    connection = h11.Connection(h11.CLIENT)
    fields = {"Host": "localhost", "Connection": "close", "User-Agent": "mergepoint", **headers}
    request = h11.Request(method="GET", target=path, headers=list(fields.items()))
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Response):
            return int(event.status_code)
        elif isinstance(event, h11.ConnectionClosed):
            raise OSError("the connection was closed before an answer")
