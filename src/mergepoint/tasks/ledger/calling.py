"""The contract's `Ledger` out of one function that does an operation by name.

Place:  ledger.local, ledger.hub -> [ledger.calling] -> ledger.operations
Rule:   adds nothing to an operation but its signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mergepoint.tasks import contract as c
from mergepoint.tasks.spec import Schedule, Spec
from mergepoint.tasks.states import TaskState


class CallingLedger:
    """Every method of `contract.Ledger`, by `do`; Any: `operations` names what each answers."""

    @property
    def is_queue(self) -> bool:
        """Whether it puts by itself what it releases."""
        raise NotImplementedError

    @property
    def keeps_time(self) -> bool:
        """Whether it releases by itself what is due: where it is the queue."""
        return self.is_queue

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Do one operation of the table."""
        raise NotImplementedError

    async def enqueue(self, specs: Sequence[Spec]) -> c.Enqueued:
        """Record all or none."""
        return c.Enqueued(placed=()) if not specs else await self.do("enqueue", specs=tuple(specs))

    async def confirm(self, released: Sequence[tuple[str, int]]) -> None:
        """Note that these (id, generation) are in their queues."""
        if released:
            await self.do("confirm", released=tuple(released))

    async def start(self, starts: Sequence[c.Start]) -> list[c.Started]:
        """Decide for every message taken whether it runs."""
        return await self.do("start", starts=tuple(starts)) if starts else []

    async def finish(self, finishes: Sequence[c.Finish]) -> c.Finished:
        """Settle runs."""
        answer: c.Finished = await self.do("finish", finishes=tuple(finishes))
        return answer

    async def touch(self, tokens: Mapping[str, str]) -> c.Touched:
        """Note that these tasks are alive here."""
        return await self.do("touch", tokens=dict(tokens)) if tokens else c.Touched()

    async def progress(self, task: str, token: str, progress: c.Progress) -> bool:
        """Say how far a run is."""
        return bool(await self.do("progress", task=task, token=token, progress=progress))

    async def once(self, task: str, key: str, *, done: bool) -> bool:
        """Ask for, or set, the mark of an effect."""
        return bool(await self.do("once", task=task, key=key, done=done))

    async def due(self, limit: int = 500) -> c.Due:
        """Release what is due."""
        answer: c.Due = await self.do("due", limit=limit)
        return answer

    async def register(self, names: Sequence[str]) -> tuple[c.Release, ...]:
        """Release what was parked for want of these names."""
        return tuple(await self.do("register", names=tuple(names)))

    async def record(self, task: str) -> c.TaskRecord | None:
        """Return one record."""
        answer: c.TaskRecord | None = await self.do("record", task=task)
        return answer

    async def records(
        self,
        *,
        queue: str = "",
        name: str = "",
        group: str = "",
        states: Sequence[TaskState] = (),
        limit: int = 100,
        after: str = "",
    ) -> list[c.TaskRecord]:
        """Return records by id."""
        look = {"queue": queue, "name": name, "group": group, "states": tuple(states)}
        answer: list[c.TaskRecord] = await self.do("records", **look, limit=limit, after=after)
        return answer

    async def counts(self) -> list[c.QueueCount]:
        """Return how many tasks each queue has in each state."""
        answer: list[c.QueueCount] = await self.do("counts")
        return answer

    async def cancel(self, task: str, reason: str = "") -> c.Finished:
        """End a task, or ask it to end."""
        answer: c.Finished = await self.do("cancel", task=task, reason=reason)
        return answer

    async def replay(
        self, task: str, payload: bytes | None = None, content_type: str = ""
    ) -> tuple[c.Release, ...]:
        """Run an ended task anew."""
        arguments = {"task": task, "payload": payload, "content_type": content_type}
        return tuple(await self.do("replay", **arguments))

    async def discard(self, ids: Sequence[str]) -> int:
        """Forget final tasks."""
        return int(await self.do("discard", ids=tuple(ids)))

    async def schedule(self, schedules: Sequence[Schedule], app: str) -> list[c.ScheduleRow]:
        """Make these the schedules of the app."""
        answer: list[c.ScheduleRow] = await self.do("schedule", schedules=tuple(schedules), app=app)
        return answer

    async def plan(self, schedule: Schedule, last: float) -> c.Plan:
        """Decide what is due of a schedule now."""
        answer: c.Plan = await self.do("plan", schedule=schedule, last=last)
        return answer

    async def fire(self, name: str, previous: float, tick: float, spec: Spec | None) -> c.Enqueued:
        """Claim a tick and record its task."""
        answer: c.Enqueued = await self.do(
            "fire", name=name, previous=previous, tick=tick, spec=spec
        )
        return answer
