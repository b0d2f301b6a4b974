"""One task as people read it, and arguments as people write them.

Place:  cli.commands.tasks -> [cli.task_view]
Rule:   pure but for the usage errors of what was written on the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mergepoint.cli.message_view import data_text, time_text
from mergepoint.cli.output import paint

if TYPE_CHECKING:
    from mergepoint.tasks.contract import TaskRecord

TRY_AGAIN = frozenset({"dead", "cancelled"})

Json = dict[str, Any]


def lines_of(record: TaskRecord) -> Iterator[str]:
    """Yield everything that is known of a task, one thing a line."""
    spec, progress = record.spec, record.progress
    share = f"{progress.done:g} of {progress.total:g}" if progress.total else ""
    told = {
        "task": record.id,
        "name": spec.name,
        "state": str(record.state) + (", asked to end" if record.cancelling else ""),
        "queue": spec.queue,
        "app": spec.app,
        "attempts": f"{record.attempt} of {spec.options.retries + 1}",
        "crashes": str(record.crashes or ""),
        "worker": record.worker,
        "key": spec.key,
        "group": spec.group,
        "waits for": ", ".join(spec.after),
        "asked for": time_text(record.created_at),
        "due": time_text(record.due_at) if record.due_at else "",
        "started": time_text(record.started_at) if record.started_at else "",
        "changed": time_text(record.changed_at),
        "progress": " ".join(part for part in (share, progress.note) if part),
        "arguments": data_text(spec.payload, spec.content_type, 0),
        "result": data_text(record.result, record.result_type, 0),
        "error": record.error,
    }
    for name, text in told.items():
        if text:
            yield f"{paint(f'{name:<10}', 'dim')} {text}"


def next_of(record: TaskRecord) -> str:
    """Return the command a person probably wants now; empty when there is none."""
    if record.state in TRY_AGAIN:
        return f"mergepoint tasks retry {record.id}"
    if record.state == "parked":
        return "mergepoint status   (no process that runs tasks knows this name)"
    return ""


def arguments_of(text: str) -> tuple[list[Any], Json]:
    """Return positional and named arguments of a JSON list or object; raise `UsageError`."""
    import click

    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"ARGUMENTS are no JSON: {error}") from None
    if isinstance(value, dict):
        return [], value
    if isinstance(value, list):
        return value, {}
    raise click.UsageError("""ARGUMENTS are a JSON object, such as '{"url": "x"}', or a list""")
