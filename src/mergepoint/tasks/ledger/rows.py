"""Records to rows of SQLite and back.

Place:  ledger.* -> [ledger.rows]
Rule:   the only place that knows the columns; decides nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mergepoint.tasks.contract import Progress, TaskRecord
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.settling import holds_unique
from mergepoint.tasks.spec import Spec
from mergepoint.tasks.states import TaskState

_PLAIN = (
    "generation", "attempt", "crashes", "token", "worker", "due_at", "created_at", "changed_at",
    "started_at", "touched_at", "keep_until", "permit_at", "error", "result", "result_type",
)  # fmt: skip
"""Fields of a record that are columns of the same name."""
_COLUMNS = ("place", "state", "cancelling", "spec", "payload", "progress", *_PLAIN)
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM ledger_tasks"  # noqa: S608 - names of this file
_WRITTEN = ("state", "cancelling", "progress", "unique_key", *_PLAIN)
_INSERTED = ("id", "name", "queue", "key", "grp", "spec", "payload", *_WRITTEN)
_INSERT = (
    f"INSERT INTO ledger_tasks ({', '.join(_INSERTED)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_INSERTED))})"
)


def load(db: sqlite3.Connection, task: str) -> TaskRecord | None:
    """Return one record."""
    row = db.execute(f"{SELECT} WHERE id = ?", (task,)).fetchone()
    return None if row is None else record_of(row)


def load_where(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[TaskRecord]:
    """Return the records of a condition written in this package, never by a caller."""
    return [record_of(row) for row in db.execute(f"{SELECT} WHERE {where}", tuple(values))]


def record_of(row: Sequence[Any]) -> TaskRecord:
    """Return the record of a row of `SELECT`."""
    place, state, cancelling, spec, payload, progress, *plain = row
    return TaskRecord(
        spec=from_plain(Spec, json.loads(spec), payload=payload),
        state=TaskState(state),
        place=place,
        cancelling=bool(cancelling),
        progress=from_plain(Progress, json.loads(progress)) if progress else Progress(),
        **dict(zip(_PLAIN, plain, strict=True)),
    )


def insert(db: sqlite3.Connection, record: TaskRecord) -> None:
    """Add a record; its place is the next one. `IntegrityError` when id or unique key is taken."""
    spec = record.spec
    fixed = (spec.id, spec.name, spec.queue, spec.key, spec.group)
    db.execute(
        _INSERT,
        (*fixed, _spec_text(spec), spec.payload, *_values(record, spec.unique_key)),
    )


def save(db: sqlite3.Connection, before: TaskRecord, after: TaskRecord, now: float) -> None:
    """Write what has changed of a record: an index that need not be touched is not."""
    old, new = _values(before, ""), _values(after, "")
    changed = [n for n in range(len(_WRITTEN)) if old[n] != new[n]]
    names, values = [_WRITTEN[n] for n in changed], [new[n] for n in changed]
    if after.spec.unique_key:
        names.append("unique_key")
        values.append(after.spec.unique_key if holds_unique(after, now) else "")
    if names:
        columns = ", ".join(f"{name} = ?" for name in names)
        db.execute(f"UPDATE ledger_tasks SET {columns} WHERE id = ?", (*values, after.id))  # noqa: S608


def save_replayed(db: sqlite3.Connection, record: TaskRecord) -> None:
    """Write a record with a new spec, at the end of every line."""
    db.execute(
        "UPDATE ledger_tasks SET place = (SELECT max(place) + 1 FROM ledger_tasks), "
        "spec = ?, payload = ?, result = x'' WHERE id = ?",
        (_spec_text(record.spec), record.spec.payload, record.id),
    )


def _values(record: TaskRecord, unique_key: str) -> tuple[Any, ...]:
    progress = to_plain(record.progress)
    return (
        record.state.value,
        int(record.cancelling),
        json.dumps(progress) if progress else "",
        unique_key,
        *(getattr(record, name) for name in _PLAIN),
    )


def _spec_text(spec: Spec) -> str:
    return json.dumps(to_plain(replace(spec, payload=b"")), separators=(",", ":"))
