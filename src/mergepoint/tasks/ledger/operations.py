"""Every operation of the ledger once: what it is given, what it answers, what does it.

Place:  ledger.local, ledger.extension, ledger.hub -> [ledger.operations]
Rule:   a table; each runs inside one transaction, and says what must go into queues.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mergepoint.tasks import contract as c
from mergepoint.tasks.cron import times_of
from mergepoint.tasks.ledger import operating, recording, releasing, running, scheduling
from mergepoint.tasks.ledger.documents import from_plain
from mergepoint.tasks.ledger.rows import load
from mergepoint.tasks.spec import Schedule, Spec
from mergepoint.tasks.states import TaskState
from mergepoint.tasks.ticking import plan

Run = Callable[[sqlite3.Connection, float, Mapping[str, Any]], tuple[Any, tuple[c.Release, ...]]]
"""Any: each operation has its own arguments and answer, named beside it in the table."""


@dataclass(frozen=True)
class Operation:
    """One method of `contract.Ledger`; Any: types are read at run time, generics among them."""

    takes: Mapping[str, Any]
    answers: Any
    run: Run
    grows: bool = False

    def arguments(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a document; raise `ValueError` for what is none."""
        missing = self.takes.keys() - plain.keys()
        if missing:
            raise ValueError(f"{', '.join(sorted(missing))} missing")
        return {name: from_plain(kind, plain[name]) for name, kind in self.takes.items()}


def _enqueue(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return _apart(recording.enqueue(db, now, a["specs"]))


def _confirm(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    running.confirm(db, now, a["released"])
    return None, ()


def _start(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    answers, releases = running.start(db, now, a["starts"])
    return answers, tuple(releases)


def _finish(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return _apart(running.finish(db, now, a["finishes"]))


def _touch(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return running.touch(db, now, a["tokens"]), ()


def _progress(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    made = running.progress(db, now, a["task"], a["token"], a["progress"])
    return made is not None, ()


def _once(db: sqlite3.Connection, _now: float, a: Mapping[str, Any]) -> Any:
    return running.once(db, a["task"], a["key"], done=a["done"]), ()


def _due(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return _apart(releasing.due(db, now, a["limit"]))


def _register(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return (), tuple(operating.register(db, now, a["names"]))


def _record(db: sqlite3.Connection, _now: float, a: Mapping[str, Any]) -> Any:
    return load(db, a["task"]), ()


def _records(db: sqlite3.Connection, _now: float, a: Mapping[str, Any]) -> Any:
    return operating.records(db, **a), ()


def _counts(db: sqlite3.Connection, _now: float, _a: Mapping[str, Any]) -> Any:
    return operating.counts(db), ()


def _cancel(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return _apart(operating.cancel_task(db, now, a["task"], a["reason"]))


def _replay(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return (), operating.replay(db, now, a["task"], a["payload"], a["content_type"])


def _discard(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    gone, releases = operating.discard(db, now, a["ids"])
    return gone, tuple(releases)


def _schedule(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    return scheduling.schedule(db, now, a["schedules"], a["app"]), ()


def _plan(_db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    schedule: Schedule = a["schedule"]
    return plan(schedule, times_of(schedule), a["last"], now), ()


def _fire(db: sqlite3.Connection, now: float, a: Mapping[str, Any]) -> Any:
    claim = (a["name"], a["previous"], a["tick"], a["spec"])
    return _apart(scheduling.fire(db, now, *claim))


def _apart(answer: Any) -> tuple[Any, tuple[c.Release, ...]]:
    return replace(answer, releases=()), answer.releases


_LOOK = {"queue": str, "name": str, "group": str, "states": tuple[TaskState, ...]}
_RELEASES = tuple[c.Release, ...]
OPERATIONS: Mapping[str, Operation] = {
    "enqueue": Operation({"specs": tuple[Spec, ...]}, c.Enqueued, _enqueue, grows=True),
    "confirm": Operation({"released": tuple[tuple[str, int], ...]}, None, _confirm),
    "start": Operation({"starts": tuple[c.Start, ...]}, list[c.Started], _start),
    "finish": Operation({"finishes": tuple[c.Finish, ...]}, c.Finished, _finish),
    "touch": Operation({"tokens": Mapping[str, str]}, c.Touched, _touch),
    "progress": Operation({"task": str, "token": str, "progress": c.Progress}, bool, _progress),
    "once": Operation({"task": str, "key": str, "done": bool}, bool, _once),
    "due": Operation({"limit": int}, c.Due, _due),
    "register": Operation({"names": tuple[str, ...]}, _RELEASES, _register),
    "record": Operation({"task": str}, c.TaskRecord | None, _record),
    "records": Operation({**_LOOK, "limit": int, "after": str}, list[c.TaskRecord], _records),
    "counts": Operation({}, list[c.QueueCount], _counts),
    "cancel": Operation({"task": str, "reason": str}, c.Finished, _cancel),
    "replay": Operation(
        {"task": str, "payload": bytes | None, "content_type": str}, _RELEASES, _replay, grows=True
    ),
    "discard": Operation({"ids": tuple[str, ...]}, int, _discard),
    "schedule": Operation(
        {"schedules": tuple[Schedule, ...], "app": str}, list[c.ScheduleRow], _schedule
    ),
    "plan": Operation({"schedule": Schedule, "last": float}, c.Plan, _plan),
    "fire": Operation(
        {"name": str, "previous": float, "tick": float, "spec": Spec | None},
        c.Enqueued,
        _fire,
        grows=True,
    ),
}
"""What the hub offers as `ledger.<name>`."""


def released(answer: Any, releases: tuple[c.Release, ...]) -> Any:
    """Return the answer with its releases in it, where it has room for them."""
    if isinstance(answer, c.Enqueued | c.Finished | c.Due):
        return replace(answer, releases=releases)
    return releases if answer == () else answer
