"""Procrastinate on PostgreSQL.

Place:  bench.queues -> [peer_procrastinate] -> a database
Rule:   the blocking connector enqueues, its own worker works.
"""

import os

import procrastinate
import work

URL = os.environ["BENCH_BROKER"]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))
blocking = app.with_connector(procrastinate.SyncPsycopgConnector(conninfo=URL))


@app.task(name="count")
def count() -> None:
    """Count."""
    work.count()


@app.task(name="hold")
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def setup() -> None:
    """Make the tables."""
    with blocking.open():
        blocking.schema_manager.apply_schema()


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    with (
        app.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=URL)) as used,
        used.open(),
    ):
        for _ in range(number):
            count.defer()


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    with (
        app.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=URL)) as used,
        used.open(),
    ):
        hold.defer(name=name, seconds=seconds)


def worker() -> None:
    """Run the worker until it is killed."""
    argv = [
        "procrastinate",
        "-a",
        "peer_procrastinate.app",
        "worker",
        "-c",
        os.environ["BENCH_CONCURRENCY"],
    ]
    work.become(argv)
