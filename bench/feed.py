"""What it costs a writer that its changes are logged, and how fresh a reader is.

    .venv/bin/python -m bench.feed [seconds]

The same UPDATE by key, bare and with triggers: PostgreSQL with 1, 4 and 16 clients, and a SQLite
file in WAL mode with one. Then the time of a pull and of a barrier over the feed's socket, and
from a commit's acknowledgement to the barrier that shows it. Shares of bare are what to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from mergepoint_testkit.feed_edge import Edge
from mergepoint_testkit.postgres import running_postgres

from mergepoint.core.clock import SystemClock
from mergepoint.feed.contract import Database, FeedLimits, Reader
from mergepoint.feed.engines import reader_of, tools_of
from mergepoint.feed.service import FeedService

ROWS = 10_000
CLIENTS = (1, 4, 16)
ROUNDS = 3
PULLS = 2_000
LIMITS = FeedLimits(lease_s=0.2)
TABLE = "CREATE TABLE tickets (id INTEGER PRIMARY KEY, slug TEXT, title TEXT)"


def percentiles(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49] * 1e6:.0f} us, p99 {cuts[98] * 1e6:.0f} us"


def update_postgres(url: str, seconds: float, results: multiprocessing.Queue) -> None:
    dice, done = random.Random(), 0
    with psycopg.connect(url, autocommit=True) as db:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            db.execute("UPDATE tickets SET title = 'x' WHERE id = %s", (dice.randrange(ROWS),))
            done += 1
    results.put(done)


def rate(url: str, clients: int, seconds: float) -> float:
    """Return updates a second of so many processes."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=update_postgres, args=(url, seconds, results))
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    done = sum(results.get() for _ in processes)
    for process in processes:
        process.join()
    return done / seconds


def update_sqlite(path: Path, seconds: float) -> float:
    done, dice = 0, random.Random()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = normal")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            db.execute("UPDATE tickets SET title = 'x' WHERE id = ?", (dice.randrange(ROWS),))
            done += 1
    return done / seconds


def costs(database: Database, name: str, measure: Callable[[], float]) -> None:
    """Print bare and logged, taken in turns, and the median of the shares."""
    tools, pairs = tools_of(database), []
    for _ in range(ROUNDS):
        tools.remove(database)
        bare = measure()
        tools.install(database, LIMITS)
        pairs.append((bare, measure()))
    shares = sorted(logged / bare for bare, logged in pairs)
    told = "  ".join(f"{bare:.0f} -> {logged:.0f}" for bare, logged in pairs)
    print(f"{name:24} {told}   share {shares[len(shares) // 2]:.2f}")


async def freshness(database: Database, write: Callable[[int], None]) -> None:
    readers: dict[str, Reader] = {"main": reader_of(database, LIMITS, SystemClock())}
    service = FeedService(readers, LIMITS, SystemClock(), lambda *_, **__: None)
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp") as directory:
        path = Path(directory) / "feed.sock"
        await service.start(path)
        edge = Edge()
        await edge.connect(path)
        await edge.pull("main")
        await asyncio.sleep(LIMITS.lease_s)  # a hub that just started answers no barrier
        pulls, barriers = [], []
        for _ in range(PULLS):
            begun = time.perf_counter()
            await edge.pull("main")
            pulls.append(time.perf_counter() - begun)
        for number in range(PULLS):
            await asyncio.to_thread(write, number % ROWS)
            begun = time.perf_counter()
            told = await edge.barrier()
            barriers.append(time.perf_counter() - begun)
            assert f"main/tickets:id={number % ROWS}" in told["main"]["tags"]
        print(f"  pull {percentiles(pulls)}; commit to barrier {percentiles(barriers)}")
        await edge.close()
        await service.stop()


@contextlib.contextmanager
def on_sqlite() -> Iterator[tuple[Database, Path]]:
    with tempfile.TemporaryDirectory(prefix="mp-feed-") as directory:
        path = Path(directory) / "app.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = wal")
            db.execute(TABLE)
            rows = ((number, str(number), "") for number in range(ROWS))
            db.execute("BEGIN")
            db.executemany("INSERT INTO tickets VALUES (?, ?, ?)", rows)
            db.execute("COMMIT")
        yield Database("main", f"sqlite:///{path}"), path


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with running_postgres() as server:
        url = server.create("feed")
        database = Database("main", url)
        with psycopg.connect(url, autocommit=True) as db:
            version = db.execute("SHOW server_version").fetchone()
            print(f"PostgreSQL {version[0] if version else '?'}, fsync off in this cluster")
            db.execute(TABLE.encode())
            db.execute(f"INSERT INTO tickets SELECT n, n, '' FROM generate_series(0, {ROWS}) n")
            for clients in CLIENTS:
                costs(database, f"{clients} clients", lambda n=clients: rate(url, n, seconds))
            update = "UPDATE tickets SET title = 'y' WHERE id = %s"
            asyncio.run(freshness(database, lambda n: db.execute(update, (n,)) and None))
    with on_sqlite() as (database, path):
        print(f"SQLite {sqlite3.sqlite_version}, WAL, synchronous = normal")
        costs(database, "1 client", lambda: update_sqlite(path, seconds))
        with contextlib.closing(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        ) as db:
            update = "UPDATE tickets SET title = 'y' WHERE id = ?"
            asyncio.run(freshness(database, lambda n: db.execute(update, (n,)) and None))


if __name__ == "__main__":
    main()
