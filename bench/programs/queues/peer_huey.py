"""Huey on SQLite.

Place:  bench.queues -> [peer_huey] -> a file
Rule:   BENCH_FSYNC=1 matches the durability of the hub; without it its own pragmas.
"""

import os

import work
from huey import SqliteHuey

PATH = os.environ["BENCH_BROKER"].removeprefix("sqlite://")
huey = SqliteHuey("bench", filename=PATH, fsync=os.environ.get("BENCH_FSYNC") == "1")


@huey.task()
def count() -> None:
    """Count."""
    work.count()


@huey.task(retries=3)
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    for _ in range(number):
        count()


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    hold(name, seconds)


def worker() -> None:
    """Run the consumer until it is killed."""
    argv = ["huey_consumer", "peer_huey.huey", "-w", os.environ["BENCH_CONCURRENCY"], "-q"]
    work.become(argv)
