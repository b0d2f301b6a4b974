"""How many jobs there is room for, by queue and by where they run.

Place:  runner.service -> [runner.capacity]
Rule:   counts; whoever waits for room is woken when some is free.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.spec import RunsIn

THREADS_AUTO_FIRST = 4
"""What a runner begins with that is to find out for itself."""


class Capacity:
    """The slots of a runner.

    A queue whose tasks are all async is taken up to `loop_tasks`, any other up to `threads`.
    Queues with a limit of their own are taken apart from the rest.
    """

    def __init__(self, config: Config, declared: Mapping[str, Mapping[str, Any]]) -> None:
        self._config = config
        auto = min(THREADS_AUTO_FIRST, config.threads)
        self.threads = max(config.processes, auto) if config.threads_auto else config.threads
        """Blocking handlers at once, now."""
        self._limits = dict(config.concurrency or {})
        self.queues = list(config.queues) or sorted({str(t["queue"]) for t in declared.values()})
        self._loops = {
            queue
            for queue in self.queues
            if all(t["runs_in"] == RunsIn.LOOP for t in declared.values() if t["queue"] == queue)
            and any(t["queue"] == queue for t in declared.values())
        }
        self._busy: Counter[str] = Counter()
        self._freed = asyncio.Event()

    @property
    def lanes(self) -> list[list[str]]:
        """Return queues that are taken together."""
        alone = [queue for queue in self.queues if queue in self._limits]
        rest = [queue for queue in self.queues if queue not in self._limits]
        blocking = [queue for queue in rest if queue not in self._loops]
        loops = [queue for queue in rest if queue in self._loops]
        return [lane for lane in [blocking, loops, *([queue] for queue in alone)] if lane]

    async def freed(self) -> None:
        """Return when a job has ended since this was called."""
        self._freed.clear()
        await self._freed.wait()

    def slots(self, queues: Sequence[str]) -> int:
        """Return how many jobs of these may run at once."""
        most = self._config.loop_tasks if queues[0] in self._loops else self.threads
        return min([most, *(self._limits[q] for q in queues if q in self._limits)])

    def free(self, queues: Sequence[str]) -> int:
        """Return how many jobs of these may begin now."""
        loops = queues[0] in self._loops
        most = self._config.loop_tasks if loops else self.threads
        room = most - self._busy["loop" if loops else "thread"]
        limits = [self._limits[q] - self._busy[f"queue {q}"] for q in queues if q in self._limits]
        return min([room, *limits])

    def occupy(self, job: Job) -> Callable[[], None]:
        """Count a job in; call what is returned when it has ended."""
        queue = job.records[0].spec.queue
        kind = "loop" if queue in self._loops else "thread"
        self._busy[kind] += 1
        self._busy[f"queue {queue}"] += 1

        def free() -> None:
            self._busy[kind] -= 1
            self._busy[f"queue {queue}"] -= 1
            self._freed.set()

        return free

    def resize(self, threads: int) -> None:
        """Have this many from now on; what runs beyond that is left to end."""
        self.threads = threads
        self._freed.set()
