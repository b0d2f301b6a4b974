"""What every queue is given to do: count, and hold; each leaves its mark in a file.

Place:  bench/programs/queues/* -> [work] -> files that bench.queues reads
Rule:   one write for one run, appended, so that runs are counted the same for everybody.
"""

import os
import sys
import time
from pathlib import Path


def count() -> None:
    """Mark one run."""
    _mark("BENCH_COUNT", b".")


def hold(name: str, seconds: float) -> None:
    """Mark the start of a run with its time, then wait like a job that works."""
    # The worker's, though it may run its jobs in processes of groups of their own.
    group = os.environ["BENCH_GROUP"]
    _mark("BENCH_STARTS", f"{name} {time.monotonic()} {group}\n".encode())
    time.sleep(seconds)
    _mark("BENCH_ENDS", f"{name} {time.monotonic()} {group}\n".encode())


def become(argv: list[str]) -> None:
    """Become one of the programs of this environment."""
    os.execv(Path(sys.executable).with_name(argv[0]), argv)


def _mark(variable: str, mark: bytes) -> None:
    descriptor = os.open(os.environ[variable], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, mark)
    os.close(descriptor)
