"""Mergepoint's tasks, on the hub or on an engine beside it.

Place:  bench.queues -> [peer_mergepoint] -> MERGEPOINT_BUS
Rule:   what a site tells its processes, told here; defaults but for the number of threads.
"""

import json
import os
import sys
from pathlib import Path

import work

import mergepoint

os.environ["MERGEPOINT_BUS"] = os.environ["BENCH_BROKER"]
site = mergepoint.connect()


@site.tasks.task(name="count", keep_result_s=0)
def count() -> None:
    """Count."""
    work.count()


@site.tasks.task(name="hold")
def hold(name: str, seconds: float) -> None:
    """Hold."""
    work.hold(name, seconds)


def enqueue(number: int) -> None:
    """Enqueue one by one."""
    for _ in range(number):
        count.enqueue()


def enqueue_hold(name: str, seconds: float) -> None:
    """Enqueue one job that holds."""
    hold.enqueue(name, seconds)
    site.close()


def worker() -> None:
    """Run the worker until it is killed."""
    told = {
        "module": "peer_mergepoint", "app": "bench", "directory": str(Path.cwd()),
        "threads": int(os.environ["BENCH_CONCURRENCY"]),
    }  # fmt: skip
    os.environ["MERGEPOINT_TASKS"] = json.dumps(told)
    os.execv(sys.executable, [sys.executable, "-m", "mergepoint.tasks.runner"])
