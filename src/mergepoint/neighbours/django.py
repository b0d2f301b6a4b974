"""A backend for Django's tasks: `django.tasks` of Django 6, `django_tasks` before.

Place:  an app's settings.TASKS -> [neighbours.django] -> mergepoint.connect().tasks
Rule:   Django's vocabulary outside, ours inside; what Django does not have a word for is an option.

    TASKS = {"default": {"BACKEND": "mergepoint.neighbours.django.MergepointBackend"}}

`OPTIONS`: `retries` (0: as Django, a task that raised has failed), `timeout_s`, `keep_result_s`.
A task that is enqueued inside `transaction.atomic()` exists if and only if that commits.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import mergepoint
from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.context import current
from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.errors import NoSuchTask
from mergepoint.tasks.states import FINAL, TaskState

if TYPE_CHECKING:
    from mergepoint.tasks.declare import Task as Declared

# Any: Django publishes no types, and its two packages have the same names in different places.
try:
    from django.tasks import base
    from django.tasks import exceptions as refusals
    from django.tasks.backends.base import BaseTaskBackend
    from django.utils.json import normalize_json
except ImportError:  # Django before 6 with the package that its tasks were grown in
    from django_tasks import base
    from django_tasks import exceptions as refusals
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.utils import normalize_json
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

DEFAULT = "default"
"""What Django calls the queue of tasks that name none."""
KEEP_RESULT_S = 86_400.0
OPTIONS = {"retries": 0, "timeout_s": 3600.0, "keep_result_s": KEEP_RESULT_S}
RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
STATUS = {
    TaskState.RUNNING: base.TaskResultStatus.RUNNING,
    TaskState.COMPLETED: base.TaskResultStatus.SUCCESSFUL,
    TaskState.CANCELLED: base.TaskResultStatus.FAILED,
    TaskState.DEAD: base.TaskResultStatus.FAILED,
}
"""Whatever is not here is still to be done: READY."""


class MergepointBackend(BaseTaskBackend):  # type: ignore[misc]
    """Django's tasks on the site's queue: delays, priorities, results, blocking and async."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        unknown = set(self.options) - set(OPTIONS)
        if unknown:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}] has the options {', '.join(sorted(unknown))}; "
                f"there are {', '.join(OPTIONS)}"
            )
        self._how = {**OPTIONS, **self.options}

    def validate_task(self, task: Any) -> None:
        """Check as Django does, and declare the task where a runner may look for it."""
        super().validate_task(task)
        # Outside of a site, as in `manage.py migrate`, a task may be defined and not enqueued.
        try:
            self._declared(task)
        except BusRefused:
            return

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Ask for a run; raises `BusRefused` outside of a site, and what `Task.enqueue` does."""
        self.validate_task(task)
        args, kwargs = normalize_json(args), normalize_json(kwargs)
        handle = self._asking(task).enqueue(*args, **kwargs)
        return self._fresh(task, handle.id, args, kwargs)

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Do the same from a coroutine, without a thread."""
        self.validate_task(task)
        args, kwargs = normalize_json(args), normalize_json(kwargs)
        handle = await self._asking(task).aenqueue(*args, **kwargs)
        return self._fresh(task, handle.id, args, kwargs)

    def get_result(self, result_id: str) -> Any:
        """Return what is known of a run; raise Django's `TaskResultDoesNotExist`."""
        tasks = mergepoint.connect().tasks
        try:
            return self._result(tasks.handle(result_id).record())
        except NoSuchTask:
            raise refusals.TaskResultDoesNotExist(result_id) from None

    async def aget_result(self, result_id: str) -> Any:
        """Do the same from a coroutine."""
        tasks = mergepoint.connect().tasks
        try:
            return self._result(await tasks.handle(result_id).arecord())
        except NoSuchTask:
            raise refusals.TaskResultDoesNotExist(result_id) from None

    def _declared(self, task: Any) -> Declared[..., Any]:
        tasks = mergepoint.connect().tasks
        declared = tasks.declared.get(task.module_path)
        if declared is not None:
            return declared
        function = self._with_context(task) if task.takes_context else task.func
        made: Declared[..., Any] = tasks.task(
            name=task.module_path,
            queue=own_queue(task.queue_name),
            priority=priority(task.priority),
            **self._how,
        )(function)
        return made

    def _asking(self, task: Any) -> Any:
        return self._declared(task).with_options(
            at=task.run_after, queue=own_queue(task.queue_name), priority=priority(task.priority)
        )

    def _with_context(self, task: Any) -> Any:
        """Return the function without its first parameter, which is Django's context."""
        function = task.func
        if inspect.iscoroutinefunction(function):

            async def run_async(*args: Any, **kwargs: Any) -> Any:
                result = await self.aget_result(_running())
                return await function(base.TaskContext(task_result=result), *args, **kwargs)

            return _named(run_async, function)

        def run(*args: Any, **kwargs: Any) -> Any:
            result = self.get_result(_running())
            return function(base.TaskContext(task_result=result), *args, **kwargs)

        return _named(run, function)

    def _fresh(self, task: Any, identifier: str, args: Any, kwargs: Any) -> Any:
        return base.TaskResult(
            task=task, id=identifier, status=base.TaskResultStatus.READY,
            enqueued_at=datetime.now(UTC), started_at=None, finished_at=None,
            last_attempted_at=None, args=args, kwargs=kwargs, backend=self.alias, errors=[],
            worker_ids=[],
        )  # fmt: skip

    def _result(self, record: TaskRecord) -> Any:
        site = mergepoint.connect()
        args, kwargs = site.tasks.arguments(record)
        started = moment(record.started_at)
        result = base.TaskResult(
            task=self._task(record), id=record.id,
            status=STATUS.get(record.state, base.TaskResultStatus.READY),
            enqueued_at=moment(record.created_at), started_at=started,
            finished_at=moment(record.changed_at) if record.state in FINAL else None,
            last_attempted_at=started, args=args, kwargs=kwargs, backend=self.alias,
            errors=errors(record), worker_ids=[record.worker or "unknown"] * record.attempt,
        )  # fmt: skip
        if record.state is TaskState.COMPLETED and record.result:
            value = site.codec.decode(record.result, record.result_type)
            object.__setattr__(result, "_return_value", value)
        return result

    def _task(self, record: TaskRecord) -> Any:
        try:
            task = import_string(record.spec.name)
        except ImportError:
            raise refusals.TaskResultDoesNotExist(record.id) from None
        if not isinstance(task, base.Task):
            raise refusals.TaskResultDoesNotExist(record.id)
        queue = record.spec.queue
        return dataclasses.replace(task, queue_name=DEFAULT if queue == own_queue() else queue)


def _running() -> str:
    """Return the id of the task that runs here."""
    context = current()
    if context is None:
        raise RuntimeError("a task that takes its context runs in a worker; call its function")
    return context.id


def _named(function: Any, like: Any) -> Any:
    """Return `function` under the name of `like`, but with its own parameters."""
    functools.update_wrapper(function, like)
    parameters = list(inspect.signature(like).parameters.values())[1:]
    function.__signature__ = inspect.Signature(parameters)
    del function.__wrapped__
    return function


def own_queue(name: str = DEFAULT) -> str:
    """Return our queue for Django's: its default is the app's own, which other apps have not."""
    app: str = mergepoint.connect().tasks.app
    return app if name == DEFAULT and app else name


def priority(django: int) -> int:
    """Return our priority, 0 to 9, for Django's -100 to 100; its default 0 is our 4. Pure."""
    return (django + 100) * 9 // 200


def moment(unix_s: float) -> datetime | None:
    """Return an aware datetime, None for not yet. Pure."""
    return datetime.fromtimestamp(unix_s, UTC) if unix_s else None


def errors(record: TaskRecord) -> list[Any]:
    """Return the last error in Django's form: the class's path and the traceback."""
    if not record.error:
        return []
    raised = RAISED.findall(record.error)
    name = raised[-1] if raised else "RuntimeError"
    path = name if "." in name else f"builtins.{name}"
    return [base.TaskError(exception_class_path=path, traceback=record.error)]
