"""One job from its start to its answer: the time it has, and what is done when it will not end.

Place:  runner.service -> [runner.performing] -> runner.pool, runner.worker
Rule:   every way out is an ending for the ledger; a handler that does not stop costs its process.
"""

from __future__ import annotations

import asyncio

from mergepoint.tasks.contract import Ending, Finish
from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.pool import Pool
from mergepoint.tasks.runner.worker import Died, Worker
from mergepoint.tasks.spec import RunsIn

STARTED_GRACE_S = 0.05
"""Beyond `timeout_s`: the child's own deadline, which `Context` tells, comes first."""


class Performance:
    """One job under way."""

    def __init__(self, job: Job, pool: Pool, config: Config) -> None:
        self.job = job
        self._pool = pool
        self._config = config
        self._asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._worker: Worker | None = None
        self._returning = False

    def interrupt(self, why: str) -> None:
        """Tell its handler to stop; the first reason stays."""
        if not self._asked.done():
            self._asked.set_result(why)

    def give_back(self) -> None:
        """End it at once, uncounted: the runner stops."""
        self._returning = True
        self.interrupt("the runner stops")

    async def run(self) -> list[Finish]:
        """Return how it ended."""
        worker = self._worker = await self._pool.worker_for(self.job)
        if self._returning:
            return self._all(Ending.RETURNED, "the runner stopped")
        answer = worker.begin(self.job)
        try:
            return await self._watched(worker, answer)
        except Died as died:
            if self._returning:
                return self._all(Ending.RETURNED, "the runner stopped")
            return self._all(Ending.CRASHED, str(died))
        finally:
            self._pool.look_after(worker)

    async def _watched(self, worker: Worker, answer: asyncio.Future[list[Finish]]) -> list[Finish]:
        options = self.job.records[0].spec.options
        timeout_s = options.timeout_s + STARTED_GRACE_S
        waited: set[asyncio.Future[object]] = {answer, self._asked}  # type: ignore[arg-type]
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if self._returning:
            return self._abandon(worker, Ending.RETURNED, "the runner stopped")
        timed_out = f"ran longer than timeout_s = {options.timeout_s:g}"
        why = self._asked.result() if self._asked.done() else timed_out
        if options.runs_in is RunsIn.PROCESS and not self._asked.done():
            return self._abandon(worker, Ending.FAILED, why)
        worker.stop(self.job, why)
        await asyncio.wait([answer], timeout=self._config.stop_s)
        if answer.done():
            return answer.result()
        return self._abandon(worker, Ending.FAILED, f"{why}; it did not stop when it was told")

    def _abandon(self, worker: Worker, ending: Ending, why: str) -> list[Finish]:
        """Give up a handler that goes on; its process ends with the last other job in it."""
        worker.forget(self.job)
        self._pool.spoil(worker, f"{self.job.records[0].spec.name} {why}")
        return self._all(ending, why)

    def _all(self, ending: Ending, why: str) -> list[Finish]:
        return [
            Finish(id=record.id, token=record.token, ending=ending, error=why)
            for record in self.job.records
        ]
