"""The children of a runner: who gets a job, who is replaced, and when.

Place:  runner.performing -> [runner.pool] -> runner.worker
Rule:   a job that killed a process, or may be killed itself, is alone in one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from mergepoint.balance.measure import Meter
from mergepoint.tasks.errors import RunnerRefused
from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.worker import OnHead, Worker
from mergepoint.tasks.spec import RunsIn

SUSPECT_CRASHES = 2
"""Deaths after which a task is alone. The first is mostly a runner's, and a process that is there
runs its tasks again at once."""
WEIGH_S = 0.1
"""The shortest time between two looks at the memory of a child."""
RESTART_S, RESTART_S_MAX = 0.1, 10.0
"""The pause before a child is started again that could not be, doubled each time."""


class Pool:
    """Shared children for threads and loop tasks, and children that hold one job."""

    def __init__(self, argv: Sequence[str], config: Config, log: Log, on_head: OnHead) -> None:
        self._argv = argv
        self._config = config
        self._log = log
        self._on_head = on_head
        self.meter = Meter()
        """What the jobs of its children have cost."""
        self._shared: list[Worker] = []
        self._alone: list[Worker] = []
        self._closing = False
        self._lock = asyncio.Lock()

    async def open(self) -> dict[str, Any]:
        """Start the shared children; return what they declare. Raises `RunnerRefused`."""
        hello: dict[str, Any] = {}
        for _ in range(self._config.processes):
            worker, hello = await self._start()
            self._shared.append(worker)
        return hello

    async def worker_for(self, job: Job) -> Worker:
        """Return a child for the job; a new one where none is right."""
        async with self._lock:
            alone = needs_own_process(job)
            workers = self._alone if alone else self._shared
            await self._replace(workers)
            free = [w for w in workers if w.usable and (not alone or w.busy == 0)]
            if not free:
                worker = await self._start_in_time()
                workers.append(worker)
                return worker
            return min(free, key=lambda w: w.busy)

    def look_after(self, worker: Worker) -> None:
        """Decide after a job whether the child goes on."""
        if worker.given >= self._config.recycle_jobs:
            self.spoil(worker, f"had {worker.given} jobs")
        else:
            self._weigh(worker)
        if worker.spoiled and worker.busy == 0:
            worker.kill()

    def _weigh(self, worker: Worker) -> None:
        """Look at its memory, now or soon: not after each of a thousand jobs a second."""
        loop = asyncio.get_running_loop()
        if loop.time() >= worker.weigh_s:
            worker.weigh_s = loop.time() + WEIGH_S
            held = worker.resident_bytes()
            if held > self._config.memory_bytes_max:
                self.spoil(worker, f"holds {held} bytes")
        elif not worker.weighing:
            worker.weighing = True
            loop.call_at(worker.weigh_s, self._weigh_later, worker)

    def _weigh_later(self, worker: Worker) -> None:
        worker.weighing = False
        if worker.usable:
            self._weigh(worker)

    def spoil(self, worker: Worker, why: str) -> None:
        """Give it no more jobs, and end it when it has none."""
        if not worker.spoiled and not worker.gone.is_set():
            worker.spoiled = why
            self._log.write("child replaced", child=worker.pid, why=why)
        if worker.busy == 0:
            worker.kill()

    async def close(self) -> None:
        """Kill them all and wait."""
        self._closing = True
        workers = self._shared + self._alone
        for worker in workers:
            worker.kill()
        for worker in workers:
            await worker.wait()

    async def _replace(self, workers: list[Worker]) -> None:
        for worker in [w for w in workers if w.gone.is_set()]:
            workers.remove(worker)
            self._log.write("child gone", child=worker.pid, code=await worker.wait())

    async def _start(self) -> tuple[Worker, dict[str, Any]]:
        worker = Worker(self._argv, self._on_head, self.meter)
        hello = await worker.start(self._config.start_s)
        self._log.write("child started", child=worker.pid)
        return worker, hello

    async def _start_in_time(self) -> Worker:
        pause_s = RESTART_S
        while True:
            # A release that does not import any more must not lose what is taken: it waits.
            with contextlib.suppress(RunnerRefused):
                worker, _ = await self._start()
                return worker
            self._log.write("child does not start", again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RESTART_S_MAX)


def needs_own_process(job: Job) -> bool:
    """Tell whether a job must not share its process."""
    first = job.records[0]
    suspect = any(record.crashes >= SUSPECT_CRASHES for record in job.records)
    return first.spec.options.runs_in is RunsIn.PROCESS or suspect
