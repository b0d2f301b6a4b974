"""Records to rows of PostgreSQL and back.

Place:  ledger.postgres* -> [postgres_rows]
Rule:   the only place of Python that knows the columns; decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergepoint.tasks.contract import Progress, TaskRecord
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.settling import holds_unique
from mergepoint.tasks.spec import Spec
from mergepoint.tasks.states import TaskState

_PLAIN = (
    "place", "generation", "attempt", "crashes", "token", "worker", "cancelling", "due_at",
    "created_at", "changed_at", "started_at", "touched_at", "keep_until", "permit_at", "error",
    "result_type",
)  # fmt: skip
"""Fields of a record that are columns of the same name and type."""
COLUMNS = ", ".join(
    ("own_end", "followed", "state", "spec", "progress", "payload", "result", *_PLAIN)
)
_SAVED: dict[str, tuple[str, Callable[[TaskRecord], Any]]] = {
    "id": ("text", lambda r: r.id),
    "state": ("text", lambda r: r.state.value),
    "generation": ("integer", lambda r: r.generation),
    "attempt": ("integer", lambda r: r.attempt),
    "crashes": ("integer", lambda r: r.crashes),
    "token": ("text", lambda r: r.token),
    "worker": ("text", lambda r: _storable(r.worker)),
    "cancelling": ("boolean", lambda r: r.cancelling),
    "due_at": ("float8", lambda r: r.due_at),
    "changed_at": ("float8", lambda r: r.changed_at),
    "started_at": ("float8", lambda r: r.started_at),
    "touched_at": ("float8", lambda r: r.touched_at),
    "keep_until": ("float8", lambda r: r.keep_until),
    "permit_at": ("float8", lambda r: r.permit_at),
    "error": ("text", lambda r: _storable(r.error)),
    "result_type": ("text", lambda r: r.result_type),
    "progress": ("text", lambda r: progress_text(r.progress)),
    "result": ("bytea", lambda r: r.result),
}
"""What changes of a record: column, its type in an array, its value."""
_ARRAYS = ", ".join(f"%s::{kind}[]" for kind, _ in _SAVED.values())
_SET = ", ".join(
    f"{name} = w.{name}" + ("::jsonb" if name == "progress" else "")
    for name in _SAVED
    if name != "id"
)
SAVE = (
    f"UPDATE mergepoint.task t SET {_SET}, own_end = '',"  # noqa: S608 - names of this file
    " unique_key = CASE WHEN w.holds THEN t.spec ->> 'unique_key' ELSE '' END"
    f" FROM unnest({_ARRAYS}, %s::boolean[]) AS w({', '.join(_SAVED)}, holds) WHERE t.id = w.id"
)
"""Writes the records of `columns`; they are held, and nobody waits for them after this."""
RELEASE = "SELECT mergepoint.release_tasks(%s::text[], %s, %s)"
ENQUEUE = (
    "SELECT id, duplicate, queue FROM mergepoint.record_tasks("
    "%s::text[]::jsonb[], %s::bytea[], %s, %s, coalesce(%s::float8, mergepoint.unix_now()))"
)
START_PLAIN = (
    f"SELECT {COLUMNS} FROM mergepoint.start_plain(%s::text[], %s::text[], %s::text[], %s,"  # noqa: S608
    " coalesce(%s::float8, mergepoint.unix_now()))"
)
FINISH_PLAIN = (
    "SELECT * FROM mergepoint.finish_plain(%s::text[], %s::text[], %s::bytea[], %s::text[],"
    " coalesce(%s::float8, mergepoint.unix_now()))"
)


def record_of(row: Sequence[Any]) -> tuple[TaskRecord, str, bool]:
    """Return the record of a row of `COLUMNS`, its `own_end`, and whether a task follows it."""
    own_end, followed, state, spec, progress, payload, result, *plain = row
    record = TaskRecord(
        spec=from_plain(Spec, spec, payload=bytes(payload)),
        state=TaskState(state),
        progress=from_plain(Progress, progress),
        result=bytes(result),
        **dict(zip(_PLAIN, plain, strict=True)),
    )
    return record, own_end, followed


def columns(records: Sequence[TaskRecord], now: float) -> list[list[Any]]:
    """Return the arrays that `SAVE` takes."""
    arrays = [[value(record) for record in records] for _, value in _SAVED.values()]
    holds = [bool(r.spec.unique_key) and holds_unique(r, now) for r in records]
    return [*arrays, holds]


def spec_text(spec: Spec) -> str:
    """Return the spec without its payload."""
    return json.dumps(to_plain(replace(spec, payload=b"")), separators=(",", ":"))


def enqueued(specs: Sequence[Spec], source: str, now: float | None) -> tuple[Any, ...]:
    """Return what `ENQUEUE` takes; without `now` it is the server's time."""
    texts = [spec_text(spec) for spec in specs]
    lined = any(spec.key or spec.unique_key for spec in specs)
    return texts, [spec.payload for spec in specs], lined, source, now


def progress_text(progress: Progress) -> str:
    """Return progress as JSON."""
    plain: Mapping[str, Any] = to_plain(replace(progress, note=_storable(progress.note)))
    return json.dumps(plain)


def _storable(text: str) -> str:
    """Replace what PostgreSQL takes in no text; a handler's exception may hold anything."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
