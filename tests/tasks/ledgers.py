"""What the suites of tasks share: a ledger in memory, a clock that is moved, short specs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

from mergepoint.tasks.contract import Ending, Finish, Ledger, Release, Start, TaskRecord
from mergepoint.tasks.ledger.local import LocalLedger
from mergepoint.tasks.spec import Options, Spec


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def monotonic_s(self) -> float:
        return self.at

    def unix_s(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(0.0, seconds)


class Desk:
    """A ledger and the simplest queue there can be: a list of releases."""

    def __init__(self, ledger: Ledger, clock: HandClock) -> None:
        self.clock = clock
        self.ledger = ledger
        self.queue: list[Release] = []
        self._numbers = itertools.count(1)

    def spec(self, name: str = "m.work", **fields: Any) -> Spec:
        options = fields.pop("options", Options())
        return Spec(id=f"0190-{next(self._numbers):06d}", name=name, options=options, **fields)

    async def add(self, *specs: Spec) -> list[str]:
        made = await self.ledger.enqueue(specs)
        await self.carry(made.releases)
        return [placed.id for placed in made.placed]

    async def carry(self, releases: Any) -> None:
        self.queue += releases
        await self.ledger.confirm([(each.id, each.generation) for each in releases])

    async def due(self) -> None:
        await self.carry((await self.ledger.due()).releases)

    async def take(self, token: str = "t1", worker: str = "w1") -> TaskRecord | None:
        """Start the oldest message; None when the ledger says that it must not run."""
        release = self.queue.pop(0)
        return await self.begin(release, token, worker)

    async def begin(self, release: Release, token: str, worker: str = "w1") -> TaskRecord | None:
        message = f"{release.id}.{release.generation}" if release.generation else release.id
        (answer,) = await self.ledger.start([Start(message_id=message, token=token, worker=worker)])
        return answer.record

    async def end(self, task: str, ending: Ending, token: str = "t1", **fields: Any) -> bool:
        """Finish a run; False when it was lost."""
        made = await self.ledger.finish([Finish(id=task, token=token, ending=ending, **fields)])
        await self.carry(made.releases)
        return not made.settled[0].lost

    async def state(self, task: str) -> str:
        record = await self.ledger.record(task)
        return "forgotten" if record is None else record.state.value


def local_desk() -> Desk:
    """Return a desk on a ledger in memory."""
    clock = HandClock()
    return Desk(LocalLedger(":memory:", clock), clock)


Story = Callable[[Desk], Coroutine[Any, Any, None]]
Tell = Callable[[Story], None]
"""Runs a story at a new desk; each suite has a fixture `tell` for its own ledger."""
