"""The end of a task as a part of its handler's own transaction.

Place:  tasks.context -> [tasks.completing] -> tasks.outbox
Rule:   never begins, commits or rolls back; only where the ledger is in the same database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mergepoint.bus.errors import NotCapable
from mergepoint.tasks.errors import TaskInterrupted

if TYPE_CHECKING:
    from mergepoint.tasks.outbox.contract import Joined

Run = tuple[str, str]
"""Id and token of a run."""


def complete_in(connection: Any, run: Run, result: tuple[bytes, str]) -> None:
    """Complete the run in the connection's open transaction.

    Raises `NotCapable` where the ledger is elsewhere, `OutboxRefused` where no transaction is
    open, and `TaskInterrupted` when the run is somebody else's by now: then roll back.
    """
    from mergepoint.tasks.outbox.rows import COMPLETE

    if not _joined(connection).ask(COMPLETE, _parameters(run, result)):
        raise _lost(run)


async def acomplete_in(connection: Any, run: Run, result: tuple[bytes, str]) -> None:
    """Do the same from a coroutine."""
    from mergepoint.tasks.outbox.rows import COMPLETE

    if not await _joined(connection).aask(COMPLETE, _parameters(run, result)):
        raise _lost(run)


def _joined(connection: Any) -> Joined:
    from mergepoint.tasks.outbox import join

    joined = join(connection)
    if joined is None or not joined.holds_queue:
        where = "no transaction is open here" if joined is None else joined.where
        raise NotCapable(
            f"a task is completed in a transaction of the database its ledger is in; {where}",
            next="ctx.once(key, connection) marks an effect in any database",
        )
    return joined


def _parameters(run: Run, result: tuple[bytes, str]) -> Mapping[str, Any]:
    (task, token), (data, content_type) = run, result
    return {"task": task, "token": token, "result": data, "content_type": content_type}


def _lost(run: Run) -> TaskInterrupted:
    return TaskInterrupted(
        f"task {run[0]} is somebody else's by now",
        next="roll back; what this run has done is done by the other one",
    )
