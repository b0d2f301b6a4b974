"""Call a handler with what was enqueued, and say how that ended.

Place:  tasks.runner.child, tasks.testing -> [tasks.executing]
Rule:   the doorway of user code: here, and only here, any exception of a handler is caught.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mergepoint.bus.errors import Undecodable
from mergepoint.tasks.arguments import decode
from mergepoint.tasks.context import Context, Office, running
from mergepoint.tasks.contract import Ending, Finish, TaskRecord
from mergepoint.tasks.declare import Task
from mergepoint.tasks.errors import TaskInterrupted
from mergepoint.tasks.home import Codec
from mergepoint.tasks.spec import ERROR_CHARACTERS_MAX, Cancel, Dead, Snooze

Around = Callable[[Context], Any]
"""Makes a context manager that is open while a handler runs: language, identity, trace."""


@dataclass(frozen=True)
class Job:
    """One run, or (`records` of several) one call of a batch handler."""

    records: tuple[TaskRecord, ...]
    inputs: tuple[tuple[tuple[bytes, str], ...], ...]

    @property
    def id(self) -> str:
        """The first task's id and token: no two jobs have the same."""
        return f"{self.records[0].id}/{self.records[0].token}"


def context_of(record: TaskRecord, office: Office | None) -> Context:
    """Return what the handler of this run is told."""
    options = record.spec.options
    return Context(
        id=record.id,
        name=record.spec.name,
        attempt=record.attempt,
        attempts_max=options.retries + 1,
        deadline_s=record.started_at + options.timeout_s,
        extensions=record.spec.context,
        office=office,
        token="" if options.batch > 1 else record.token,
    )


def prepare(
    task: Task[..., Any], job: Job, codec: Codec, context: Context
) -> tuple[list[Any], dict[str, Any]]:
    """Return what the handler is called with; raise `Undecodable`."""
    args: list[Any]
    kwargs: dict[str, Any]
    context.codec = codec
    several = [_arguments(codec, *each) for each in zip(job.records, job.inputs, strict=True)]
    if task.declaration.options.batch > 1:
        args, kwargs = [[_only(*each) for each in several]], {}
    else:
        args, kwargs = several[0]
    return args, {**kwargs, "ctx": context} if task.wants_context else kwargs


def run(task: Task[..., Any], job: Job, codec: Codec, context: Context) -> list[Finish]:
    """Call a blocking handler."""
    try:
        args, kwargs = prepare(task, job, codec, context)
        with running(context):
            return ended(job, task.function(*args, **kwargs), codec)
    except (Exception, SystemExit) as error:
        return failed(job, error)


async def arun(task: Task[..., Any], job: Job, codec: Codec, context: Context) -> list[Finish]:
    """Await an async handler."""
    try:
        args, kwargs = prepare(task, job, codec, context)
        with running(context):
            awaited: Awaitable[Any] = task.function(*args, **kwargs)
            return ended(job, await awaited, codec)
    except (Exception, SystemExit) as error:
        return failed(job, error)


def ended(job: Job, value: Any, codec: Codec) -> list[Finish]:
    """Return what a handler's answer means; a batch may answer for each of its tasks."""
    count = len(job.records)
    each = value if count > 1 and isinstance(value, list) and len(value) == count else None
    values = each if each is not None else [value] * count
    return [_finish(record, one, codec) for record, one in zip(job.records, values, strict=True)]


def failed(job: Job, error: BaseException) -> list[Finish]:
    """Return what a handler's exception means; undecodable arguments can never succeed."""
    if isinstance(error, Undecodable):
        ending, text = Ending.GIVEN_UP, f"undecodable: {error.message}"
    elif isinstance(error, TaskInterrupted):
        ending, text = Ending.FAILED, f"interrupted: {error.message}"
    else:
        lines = traceback.format_exception(error)
        ending, text = Ending.FAILED, "".join(lines)[-ERROR_CHARACTERS_MAX:].strip()
    return [
        Finish(id=record.id, token=record.token, ending=ending, error=text)
        for record in job.records
    ]


def unknown(record: TaskRecord) -> Finish:
    """Return the end of a run whose name nobody here knows."""
    reason = f"no runner of queue {record.spec.queue} knows {record.spec.name}"
    return Finish(id=record.id, token=record.token, ending=Ending.PARKED, error=reason)


def batched(
    started: Sequence[tuple[TaskRecord, tuple[tuple[bytes, str], ...]]],
) -> list[Job]:
    """Return the jobs for what was started: tasks of one batch handler together."""
    jobs: list[Job] = []
    open_batches: dict[str, list[tuple[TaskRecord, Any]]] = {}
    for record, inputs in started:
        size = record.spec.options.batch
        if size <= 1:
            jobs.append(Job((record,), (inputs,)))
            continue
        batch = open_batches.setdefault(record.spec.name, [])
        batch.append((record, inputs))
        if len(batch) == size:
            jobs.append(_together(open_batches.pop(record.spec.name)))
    return jobs + [_together(batch) for batch in open_batches.values()]


def _together(batch: Sequence[tuple[TaskRecord, Any]]) -> Job:
    return Job(tuple(record for record, _ in batch), tuple(inputs for _, inputs in batch))


def _arguments(
    codec: Codec, record: TaskRecord, inputs: Sequence[tuple[bytes, str]]
) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = decode(codec, record.spec.payload, record.spec.content_type)
    results = [codec.decode(data, kind) if data else None for data, kind in inputs]
    if results and record.spec.group:
        return [results, *args], kwargs  # a join is given one list, however long
    return [*results, *args], kwargs


def _only(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    values = [*args, *kwargs.values()]
    if len(values) != 1:
        raise Undecodable(f"a batch handler takes one argument for each task, not {len(values)}")
    return values[0]


def _finish(record: TaskRecord, value: Any, codec: Codec) -> Finish:
    done = Finish(id=record.id, token=record.token, ending=Ending.COMPLETED)
    match value:
        case Snooze():
            return replace(done, ending=Ending.SNOOZED, delay_s=value.seconds)
        case Cancel():
            return replace(done, ending=Ending.CANCELLED, error=value.reason)
        case Dead():
            return replace(done, ending=Ending.GIVEN_UP, error=value.reason)
        case None:
            return done
    try:
        data, content_type = codec.encode(value)
    except Undecodable as error:
        # The work is done; doing it again would not make its result writable.
        reason = f"done, but its result cannot be kept: {error.message}"
        return replace(done, ending=Ending.GIVEN_UP, error=reason)
    return replace(done, result=data, result_type=content_type)
