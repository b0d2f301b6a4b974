"""How far tasks are: into the ledger and onto a topic of each, not more often than anybody looks.

Place:  tasks.runner.service -> [tasks.progressing] -> Ledger, Engine
Rule:   the newest counts; the last one of a run is never left out, and stands before its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mergepoint.bus.contract import Engine
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Ledger, Progress
from mergepoint.tasks.home import Codec
from mergepoint.tasks.identifiers import new_id
from mergepoint.wire.envelope import Message

PREFIX = "mp.tasks.progress."
PROGRESS_S = 0.25
"""Between two reports of one task; what its handler says in between is replaced."""


def topic_of(task: str) -> str:
    """Return where the progress of a task is published.

    A value has `task`, `name`, `done`, `total`, `note`, and `ended` (`completed`, `failed`, ...)
    once the run has.
    """
    return PREFIX + task


@dataclass
class _Run:
    """One run that reports."""

    token: str
    progress: Progress
    name: str = ""
    fresh: bool = True
    sending: asyncio.Task[None] | None = None


class Progressing:
    """Every run of a runner that has said how far it is."""

    def __init__(
        self, engine: Engine, ledger: Ledger, codec: Codec, clock: Clock, address: str,
        on_error: Callable[[BusError], None],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._ledger = ledger
        self._codec = codec
        self._clock = clock
        self._address = address
        self._on_error = on_error
        self._runs: dict[str, _Run] = {}

    def tell(self, task: str, token: str, name: str, progress: Progress) -> None:
        """Report soon; returns at once."""
        run = self._runs.setdefault(task, _Run(token, progress, name))
        run.token, run.progress, run.fresh = token, progress, True
        if run.sending is None:
            run.sending = asyncio.create_task(self._send(task, run))

    async def flush(self, task: str) -> None:
        """Report what was not reported yet; called before the end of a run is told."""
        run = self._runs.get(task)
        if run is not None:
            if run.sending is not None:
                run.sending.cancel()
                await asyncio.gather(run.sending, return_exceptions=True)
            await self._report(task, run)

    async def end(self, task: str, ending: str) -> None:
        """Publish how a run has ended that had reported; others are passed over."""
        run = self._runs.pop(task, None)
        if run is not None:
            await self._publish(task, {**self._value(task, run), "ended": ending})

    async def _send(self, task: str, run: _Run) -> None:
        while run.fresh:
            await self._report(task, run)
            await self._clock.sleep(PROGRESS_S)
        run.sending = None

    async def _report(self, task: str, run: _Run) -> None:
        if not run.fresh:
            return
        progress = run.progress
        try:
            # Reporting twice is harmless, losing the newest is not: it is fresh until it is told.
            await self._ledger.progress(task, run.token, progress)
            await self._publish(task, self._value(task, run))
        except BusError as error:
            self._on_error(error)
        if run.progress is progress:
            run.fresh = False

    def _value(self, task: str, run: _Run) -> dict[str, Any]:
        return {"task": task, "name": run.name, **asdict(run.progress)}

    async def _publish(self, task: str, value: dict[str, Any]) -> None:
        data, content_type = self._codec.encode(value)
        message = Message(
            id=new_id(self._clock.unix_s()), source=f"/{self._address}", type=topic_of(task),
            data=data, datacontenttype=content_type,
        )  # fmt: skip
        try:
            await self._engine.publish(topic_of(task), message)
        except BusError as error:
            self._on_error(error)
