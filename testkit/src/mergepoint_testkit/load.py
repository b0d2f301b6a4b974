"""Load that counts every failure: kept-alive and new connections, closed and open loop.

Place:  tests -> [load] -> a running site
Rule:   an answer is a success, a failure or a refusal; nothing is forgotten or averaged away.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ANSWER_S_MAX = 30.0


@dataclass(slots=True)
class Tally:
    """What happened to every request of a run; times are seconds."""

    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    success_at_s: list[float] = field(default_factory=list)
    failure_at_s: list[float] = field(default_factory=list)
    bodies: Counter[bytes] = field(default_factory=Counter)

    @property
    def failures(self) -> int:
        """Return how many requests did not get the answer they should."""
        return sum(self.failed.values())

    @property
    def longest_gap_s(self) -> float:
        """Return the longest time between two successful answers."""
        times = sorted(self.success_at_s)
        return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))

    def percentile_s(self, share: float) -> float:
        """Return the latency that `share` (0 to 1) of the successes did not exceed."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        return (
            f"{self.succeeded} ok, {self.failures} failed {dict(self.failed)}, "
            f"p50 {self.percentile_s(0.5) * 1000:.1f} ms, "
            f"p99 {self.percentile_s(0.99) * 1000:.1f} ms, "
            f"longest gap {self.longest_gap_s:.3f} s"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """One request to repeat: where, what, and which answers count as good."""

    port: int
    path: str = "/"
    method: str = "GET"
    host: str = "127.0.0.1"
    headers: tuple[str, ...] = ()
    good: Callable[[int, bytes], bool] = lambda status, _body: status == 200

    def head(self, *, keep: bool) -> bytes:
        """Return the request's bytes."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [*self.headers, f"Connection: {'keep-alive' if keep else 'close'}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status, body and whether the connection stays open; raise on a broken answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    stays = fields.get(b"connection", b"").lower() != b"close"
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        body = b""
        while size := int((await reader.readline()).partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return status, body, stays
    if b"content-length" in fields:
        return status, await reader.readexactly(int(fields[b"content-length"])), stays
    if status in (204, 304):
        return status, b"", stays
    return status, await reader.read(), False


async def closed_loop(
    target: Target,
    *,
    seconds: float,
    connections: int = 64,
    kept: float = 0.5,
    pause_s: float = 0.0,
    stop: asyncio.Event | None = None,
) -> Tally:
    """Run `connections` clients for `seconds`; the share `kept` reuses its connection.

    A kept connection that the server closed between two requests, or announced it would close, is
    opened again without counting as a failure only if the close came before the request was sent.
    """
    tally = Tally()
    end = time.monotonic() + seconds
    reused = round(connections * kept)
    await asyncio.gather(
        *(
            _client(target, tally, end, keep=index < reused, pause_s=pause_s, stop=stop)
            for index in range(connections)
        )
    )
    return tally


async def _client(
    target: Target,
    tally: Tally,
    end: float,
    *,
    keep: bool,
    pause_s: float,
    stop: asyncio.Event | None,
) -> None:
    """One client: a request, its answer, the next."""
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < end and not (stop and stop.is_set()):
        began = time.monotonic()
        if link and (link[0].at_eof() or link[1].is_closing()):
            link[1].close()
            link = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                if link is None:
                    link = await asyncio.open_connection(target.host, target.port)
                link[1].write(target.head(keep=keep))
                status, body, stays = await read_answer(link[0])
            _note(target, tally, status, body, began)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            tally.failed[type(error).__name__] += 1
            tally.failure_at_s.append(time.monotonic())
            stays = False
        if not (stays and keep) and link:
            link[1].close()
            link = None
        if pause_s:
            await asyncio.sleep(pause_s)
    if link:
        link[1].close()


def _note(target: Target, tally: Tally, status: int, body: bytes, began: float) -> None:
    """Count one complete answer."""
    now = time.monotonic()
    if target.good(status, body):
        tally.succeeded += 1
        tally.latencies_s.append(now - began)
        tally.success_at_s.append(now)
        if len(body) <= 64:
            tally.bodies[body] += 1
    else:
        tally.failed[str(status)] += 1
        tally.failure_at_s.append(now)


async def open_loop(target: Target, *, rate: float, seconds: float, patience_s: float) -> Tally:
    """Send `rate` requests a second whatever happens; each client leaves after `patience_s`."""
    tally = Tally()
    began = time.monotonic()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(_impatient(target, tally, patience_s)))
    await asyncio.gather(*tasks)
    return tally


async def _impatient(target: Target, tally: Tally, patience_s: float) -> None:
    """One request on a connection of its own, given up after `patience_s`."""
    began = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            writer.write(target.head(keep=False))
            status, body, _ = await read_answer(reader)
        _note(target, tally, status, body, began)
    except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
        tally.failed[type(error).__name__] += 1
        tally.failure_at_s.append(time.monotonic())
    finally:
        if writer:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def during(
    target: Target,
    action: Callable[[], Any],
    *,
    before_s: float = 1.0,
    after_s: float = 1.0,
    connections: int = 64,
) -> tuple[Any, Tally]:
    """Run a blocking `action` in the middle of load; return its result and every request's fate."""

    async def both() -> tuple[Any, Tally]:
        stop = asyncio.Event()
        load = asyncio.create_task(
            closed_loop(target, seconds=600, connections=connections, pause_s=0.005, stop=stop)
        )
        await asyncio.sleep(before_s)
        try:
            result = await asyncio.to_thread(action)
            await asyncio.sleep(after_s)
        finally:
            stop.set()
            tally = await load
        return result, tally

    return asyncio.run(both())
