"""Run one step of one queue: setup, enqueue N, enqueue_for SECONDS, hold NAME SECONDS, worker.

Place:  bench.queues -> [run] -> peer_*
Rule:   prints the seconds that enqueueing took, or how many it enqueued once all were let go; start
        of the interpreter left out.
"""

import importlib
import os
import sys
import time
from pathlib import Path

import work


def main(peer: str, step: str, *values: str) -> None:
    """Do the step."""
    module = importlib.import_module(f"peer_{peer}")
    if step == "enqueue":
        module.enqueue(int(values[0]) // 10 or 1)  # connections, caches
        began = time.perf_counter()
        module.enqueue(int(values[0]))
        print(time.perf_counter() - began)
    elif step == "enqueue_for":
        print(enqueued(module, float(values[0])))
    elif step == "hold":
        module.enqueue_hold(values[0], float(values[1]))
    elif step == "setup":
        getattr(module, "setup", lambda: None)()
    else:
        os.environ["BENCH_GROUP"] = str(os.getpgid(0))
        module.worker()


def enqueued(module, seconds: float) -> int:
    """Say that it is ready, wait for the others, enqueue one by one; return how many."""
    module.enqueue(1)  # connections, caches
    work.count()
    go = Path(os.environ["BENCH_DIRECTORY"]) / "go"
    while not go.exists():
        time.sleep(0.001)
    count, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        module.enqueue(1)
        count += 1
    return count


main(*sys.argv[1:])
