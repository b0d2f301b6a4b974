"""Schedulers that a test kills. Not a test itself.

Reads lines of its standard input: `start` forks a scheduler and prints its process id, `wait PID`
prints the exit code. A forked process has everything imported, so that a kill costs milliseconds.
The first argument is MERGEPOINT_BUS's document, the second the seconds between two ticks.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mergepoint.assembly.connect import Site, document_of
from mergepoint.core.clock import SystemClock
from mergepoint.tasks.scheduler import Scheduler
from mergepoint.tasks.spec import Missed, Schedule


def work(document: str, every_s: float) -> None:
    """Fire until killed."""
    schedule = Schedule(name="tick", task="tick", every_s=every_s, missed=Missed.ALL)
    site = Site(document_of(document), SystemClock())

    async def fire() -> None:
        engine, ledger = await site.engine(), await site.ledger()
        await Scheduler(engine, ledger, SystemClock(), f"clock/{os.getpid()}").run([schedule], "")

    asyncio.run(site.join(fire))


def main() -> None:
    document, every_s = sys.argv[1], float(sys.argv[2])
    for line in sys.stdin:
        words = line.split()
        if words[0] == "wait":
            _, status = os.waitpid(int(words[1]), 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        try:
            work(document, every_s)
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
