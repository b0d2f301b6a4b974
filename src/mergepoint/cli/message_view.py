"""Messages, entries and tasks as people and programs read them.

Place:  cli.commands.{bus,tasks,deadletters,presence} -> [cli.message_view]
Rule:   pure; data that is no text is told by its size, never dumped on a terminal.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mergepoint.cli.output import seconds, size

if TYPE_CHECKING:
    from mergepoint.bus.contract import Entry, QueueStats
    from mergepoint.tasks.contract import TaskRecord
    from mergepoint.wire.envelope import Message

SHOWN_CHARACTERS_MAX = 60

Json = dict[str, Any]


def data_text(data: bytes, content_type: str, limit: int = SHOWN_CHARACTERS_MAX) -> str:
    """Return data on one line, cut at `limit` characters (0: whole)."""
    if not data:
        return ""
    try:
        text = " ".join(data.decode().split())
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        return f"({size(len(data))} of {content_type or 'bytes'})"
    return text if not limit or len(text) <= limit else text[: limit - 3] + "..."


def data_json(data: bytes, content_type: str) -> Json:
    """Return data for a document: a value where it is JSON, else text, else base64."""
    if content_type.partition(";")[0].strip().endswith("json"):
        try:
            return {"data": json.loads(data)} if data else {"data": None}
        except ValueError:
            pass
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def message_json(message: Message) -> Json:
    """Return a message with its attributes by their CloudEvents names."""
    from mergepoint.wire.envelope import to_attributes

    return {
        **to_attributes(message),
        **data_json(message.data, message.datacontenttype),
    }


def entry_json(entry: Entry) -> Json:
    """Return one message of a queue."""
    return {
        "queue": entry.queue,
        "id": entry.message.id,
        "state": str(entry.state),
        "attempt": entry.attempt,
        "priority": entry.priority,
        "key": entry.key,
        "worker": entry.worker,
        "reason": entry.reason,
        "not_before": entry.not_before,
        "at": entry.at,
        "message": message_json(entry.message),
    }


def entry_row(entry: Entry, now_s: float) -> tuple[str, ...]:
    """Return the cells of one message of a queue."""
    return (
        entry.message.id,
        str(entry.state),
        str(entry.attempt),
        ago(entry.at, now_s),
        entry.reason or data_text(entry.message.data, entry.message.datacontenttype),
    )


def queue_json(stats: QueueStats) -> Json:
    """Return how a queue stands; null for what its engine cannot count."""
    return {
        "name": stats.name,
        "ready": stats.ready,
        "delayed": stats.delayed,
        "leased": stats.leased,
        "dead": stats.dead,
        "oldest_s": stats.oldest_s,
        "bytes": stats.bytes,
    }


def queue_row(stats: QueueStats) -> tuple[str, ...]:
    """Return the cells of one queue."""
    counts = (stats.ready, stats.delayed, stats.leased, stats.dead)
    return (
        stats.name,
        *("-" if count is None else str(count) for count in counts),
        "-" if stats.oldest_s is None else seconds(stats.oldest_s),
        "-" if stats.bytes is None else size(stats.bytes),
    )


def task_json(record: TaskRecord) -> Json:
    """Return all that is known of a task."""
    spec = record.spec
    return {
        "id": record.id,
        "name": spec.name,
        "queue": spec.queue,
        "app": spec.app,
        "state": str(record.state),
        "attempt": record.attempt,
        "attempts_max": spec.options.retries + 1,
        "crashes": record.crashes,
        "worker": record.worker,
        "priority": spec.priority,
        "key": spec.key,
        "group": spec.group,
        "due_at": record.due_at,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "changed_at": record.changed_at,
        "error": record.error,
        "cancelling": record.cancelling,
        "progress": {
            "done": record.progress.done,
            "total": record.progress.total,
            "note": record.progress.note,
        },
        "arguments": data_json(spec.payload, spec.content_type),
        "result": data_json(record.result, record.result_type) if record.result else None,
    }


def task_row(record: TaskRecord, now_s: float) -> tuple[str, ...]:
    """Return the cells of one task."""
    progress = record.progress
    share = f"{progress.done / progress.total:.0%} " if progress.total else ""
    why = record.error.strip().rpartition("\n")[2]  # of a traceback, what was raised
    told = f"{share}{progress.note}" if record.state == "running" else why
    return (
        record.id,
        record.spec.name,
        str(record.state),
        str(record.attempt),
        ago(record.changed_at or record.created_at, now_s),
        " ".join(told.split())[:SHOWN_CHARACTERS_MAX]
        or data_text(record.spec.payload, record.spec.content_type),
    )


def ago(at_s: float, now_s: float) -> str:
    """Return how long ago a time was, or in how long it is; ``-`` when it is not known."""
    if not at_s:
        return "-"
    return f"in {seconds(at_s - now_s)}" if at_s > now_s else seconds(now_s - at_s)


def time_text(at_s: float) -> str:
    """Return a time as RFC 3339 in UTC; ``-`` when it is not known."""
    if not at_s:
        return "-"
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def info_text(info: Mapping[str, str]) -> str:
    """Return what a member says about itself."""
    return " ".join(f"{name}={value}" for name, value in sorted(info.items()))
