"""What can be asked about a task that was enqueued, and about all of them.

Place:  apps, commands -> [tasks.handles] -> Ledger
Rule:   every blocking method has an async twin with the same name and an `a` before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.tasks.arguments import decode, encode
from mergepoint.tasks.contract import Release, TaskRecord
from mergepoint.tasks.errors import NoSuchTask, TaskFailed, TaskNotDone
from mergepoint.tasks.home import Home
from mergepoint.tasks.progressing import topic_of
from mergepoint.tasks.sending import put_releases
from mergepoint.tasks.states import FINAL, TaskState

POLL_S, POLL_S_MAX = 0.02, 1.0


@dataclass(frozen=True)
class Handle:
    """One task; `duplicate`: it was there before, found by its id or its unique key."""

    home: Home
    id: str
    duplicate: bool = False

    @property
    def progress_topic(self) -> str:
        """Where its progress is published while it runs: `site.bus.subscribe(progress_topic)`."""
        return topic_of(self.id)

    async def arecord(self) -> TaskRecord:
        """Return what the ledger knows of it; raise `NoSuchTask` (also before the commit)."""

        async def look() -> TaskRecord:
            record = await (await self.home.ledger()).record(self.id)
            if record is None:
                raise NoSuchTask(f"no task {self.id} is recorded (yet, or any more)")
            return record

        return await self.home.join(look)

    def record(self) -> TaskRecord:
        """Return what the ledger knows of it."""
        return self.home.wait(self.arecord)

    async def aresult(self, *, wait_s: float = 0.0) -> Any:
        """Return its result, waiting up to `wait_s`.

        Raises `TaskNotDone`, `TaskFailed` when it is dead or cancelled, `NoSuchTask`.
        """
        end = self.home.clock.monotonic_s() + wait_s
        pause_s = POLL_S
        while True:
            record = await self.arecord()
            if record.state in FINAL:
                return self._result(record)
            left_s = end - self.home.clock.monotonic_s()
            if left_s <= 0:
                raise TaskNotDone(f"{record.spec.name} {self.id} is {record.state}")
            await self.home.clock.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    def result(self, *, wait_s: float = 0.0) -> Any:
        """Return its result."""
        return self.home.wait(lambda: self.aresult(wait_s=wait_s))

    async def acancel(self, reason: str = "") -> TaskState | None:
        """End it: at once when it waits, by telling its handler when it runs."""

        async def end() -> TaskState | None:
            ledger = await self.home.ledger()
            made = await ledger.cancel(self.id, reason)
            await _put(self.home, made.releases)
            return made.settled[0].state

        return await self.home.join(end)

    def cancel(self, reason: str = "") -> TaskState | None:
        """End it."""
        return self.home.wait(lambda: self.acancel(reason))

    def _result(self, record: TaskRecord) -> Any:
        if record.state is not TaskState.COMPLETED:
            raise TaskFailed(f"{record.spec.name} {self.id} is {record.state}: {record.error}")
        return self.home.codec.decode(record.result, record.result_type) if record.result else None


class Overview:
    """What can be asked about all tasks: a part of `site.tasks`."""

    home: Home

    def handle(self, id: str) -> Handle:  # noqa: A002 - reads well at the call
        """Return a handle of a task by its id."""
        return Handle(self.home, id)

    async def arecords(self, **look: Any) -> list[TaskRecord]:
        """Return records: `queue`, `name`, `group`, `states`, `limit`, `after`."""
        return await self.home.join(lambda: self._records(look))

    def records(self, **look: Any) -> list[TaskRecord]:
        """Return records."""
        return self.home.wait(lambda: self._records(look))

    def dead(self, **look: Any) -> list[TaskRecord]:
        """Return dead tasks, oldest first."""
        return self.records(states=[TaskState.DEAD], **look)

    async def areplay(self, id: str, *args: Any, **kwargs: Any) -> Handle:  # noqa: A002
        """Run a dead or cancelled task anew, with other arguments if any are given."""

        async def again() -> Handle:
            ledger = await self.home.ledger()
            data, content_type = (
                encode(id, self.home.codec, args, kwargs) if args or kwargs else (None, "")
            )
            await _put(self.home, await ledger.replay(id, data, content_type))
            return Handle(self.home, id)

        return await self.home.join(again)

    def replay(self, id: str, *args: Any, **kwargs: Any) -> Handle:  # noqa: A002
        """Run a dead or cancelled task anew."""
        return self.home.wait(lambda: self.areplay(id, *args, **kwargs))

    async def adiscard(self, ids: Sequence[str]) -> int:
        """Forget ended tasks; what waited for them is cancelled."""

        async def gone() -> int:
            return await (await self.home.ledger()).discard(ids)

        return await self.home.join(gone)

    def discard(self, ids: Sequence[str]) -> int:
        """Forget ended tasks."""
        return self.home.wait(lambda: self.adiscard(ids))

    def arguments(self, record: TaskRecord) -> tuple[list[Any], dict[str, Any]]:
        """Return what a task was enqueued with, to be looked at or edited."""
        return decode(self.home.codec, record.spec.payload, record.spec.content_type)

    async def _records(self, look: dict[str, Any]) -> list[TaskRecord]:
        return await (await self.home.ledger()).records(**look)


async def _put(home: Home, releases: Sequence[Release]) -> None:
    if releases:
        now = home.clock.unix_s()
        await put_releases(await home.engine(), await home.ledger(), releases, home.address, now)
