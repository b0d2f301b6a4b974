"""E5: whatever the clients of one app do, the other app answers as if it were alone.

Place:  slow, stuck and leaving clients of the bad app, load on the good one -> a real site
Rule:   zero failures, the p99 within a factor, a bounded edge, and a status that answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.sites import RunningSite

from .beside import clients, measure, request, status_of
from .conftest import neighbours

EDGE_GROWTH_BYTES_MAX = 64 << 20
SLOW_CLIENTS = 12
STUCK_CLIENTS = 40
THREADS, QUEUE = 2, 8
WSGI = f'wsgi = "bad:app"\nprocesses = 1\nthreads = {THREADS}'


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningSite]:
    """One site for the faults that end when their clients leave."""
    with neighbours(WSGI) as site:
        yield site


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def silent(port: int, path: str) -> None:
    """Ask, and never read: what the kernel takes is all that flows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(request(path))
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(60)


async def sipping(port: int, path: str) -> None:
    """Read a kilobyte every tenth of a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(request(path))
    while await reader.read(1024):
        await asyncio.sleep(0.1)


async def trickling(port: int, path: str) -> None:
    """Send a body one byte at a time."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(path, "Content-Length: 100000\r\n", "POST"))
    while True:
        writer.write(b"b")
        await writer.drain()
        await asyncio.sleep(0.05)


def assert_edge_bounded(site: RunningSite, before: int) -> None:
    grown = rss_bytes(site.status()["edge"]["pid"]) - before
    assert grown < EDGE_GROWTH_BYTES_MAX, f"the edge grew by {grown >> 20} MiB"


def test_clients_that_never_read_an_endless_answer_harm_no_other_app(shared: RunningSite) -> None:
    before = rss_bytes(shared.status()["edge"]["pid"])

    measured = measure(shared, lambda port: clients(4, lambda: silent(port, "/endless/1")))

    measured.assert_unharmed()
    assert_edge_bounded(shared, before)


def test_slow_readers_harm_no_other_app(shared: RunningSite) -> None:
    before = rss_bytes(shared.status()["edge"]["pid"])

    measured = measure(shared, lambda port: clients(SLOW_CLIENTS, lambda: sipping(port, "/big/8")))

    measured.assert_unharmed()
    assert_edge_bounded(shared, before)


def test_bodies_that_trickle_harm_no_other_app(shared: RunningSite) -> None:
    measured = measure(shared, lambda port: clients(SLOW_CLIENTS, lambda: trickling(port, "/x")))

    measured.assert_unharmed()


def test_stuck_requests_and_a_full_queue_harm_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(f"{WSGI}\nqueue = {{ length_max = {QUEUE} }}\ntimeout_s = 30")
    statuses: Counter[int] = Counter()

    @contextlib.asynccontextmanager
    async def stuck(port: int) -> AsyncIterator[None]:
        async def one() -> None:
            statuses[await status_of(port, request("/sleep/15"))] += 1

        statuses.clear()
        async with clients(STUCK_CLIENTS, one):
            yield

    measured = measure(site, stuck)

    measured.assert_unharmed()
    assert statuses[503] == STUCK_CLIENTS - THREADS - QUEUE, "more than fits is refused at once"
