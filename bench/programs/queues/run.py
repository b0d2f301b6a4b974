"""Run one step of one queue: setup, enqueue N, hold NAME SECONDS, worker.

Place:  bench.queues -> [run] -> peer_*
Rule:   prints the seconds that enqueueing took, start of the interpreter left out.
"""

import importlib
import sys
import time


def main(peer: str, step: str, *values: str) -> None:
    """Do the step."""
    module = importlib.import_module(f"peer_{peer}")
    if step == "enqueue":
        module.enqueue(int(values[0]) // 10 or 1)  # connections, caches
        began = time.perf_counter()
        module.enqueue(int(values[0]))
        print(time.perf_counter() - began)
    elif step == "hold":
        module.enqueue_hold(values[0], float(values[1]))
    elif step == "setup":
        getattr(module, "setup", lambda: None)()
    else:
        module.worker()


main(*sys.argv[1:])
