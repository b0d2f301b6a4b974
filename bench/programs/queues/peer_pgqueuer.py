"""pgqueuer on PostgreSQL.

Place:  bench.queues -> [peer_pgqueuer] -> a database
Rule:   its psycopg driver, as ours; its own worker.
"""

import asyncio
import os

import psycopg
import work
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import PsycopgDriver, SyncPsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import SyncQueries

URL = os.environ["BENCH_BROKER"]


async def main() -> PgQueuer:
    """Return the worker."""
    connection = await psycopg.AsyncConnection.connect(URL, autocommit=True)
    queuer = PgQueuer(PsycopgDriver(connection))

    @queuer.entrypoint("count")
    async def count(_job: Job) -> None:
        work.count()

    @queuer.entrypoint("hold")
    async def hold(job: Job) -> None:
        name, seconds = (job.payload or b"").decode().split()
        await asyncio.to_thread(work.hold, name, float(seconds))

    return queuer


def setup() -> None:
    """Make the tables."""

    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(URL, autocommit=True) as connection:
            await Queries(PsycopgDriver(connection)).install()

    asyncio.run(run())


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    with psycopg.connect(URL, autocommit=True) as connection:
        queries = SyncQueries(SyncPsycopgDriver(connection))
        for _ in range(number):
            queries.enqueue("count", None)


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    with psycopg.connect(URL, autocommit=True) as connection:
        queries = SyncQueries(SyncPsycopgDriver(connection))
        queries.enqueue("hold", f"{name} {seconds}".encode())


def worker() -> None:
    """Run the worker until it is killed; its command line fails with the typer that pip finds."""

    async def run() -> None:
        await (await main()).run()

    asyncio.run(run())
