"""What can go wrong with tasks, each with a code that programs may compare.

Place:  [tasks.errors] -> everybody in tasks
Rule:   standard library and core alone; losing a lease is `bus.errors.LeaseLost`, everywhere.
"""

from __future__ import annotations

from mergepoint.core.errors import Exit, MergepointError


class TaskError(MergepointError):
    """The root of them all."""

    code = "tasks.error"


class ImpossibleStep(TaskError):
    """The table of states has no such step."""

    code = "tasks.impossible_step"


class DeclarationRefused(TaskError):
    """A task was declared in a way that cannot work; raised at import, never later."""

    code = "tasks.declaration"


class ArgumentsRefused(TaskError):
    """The arguments do not fit the function, or the serializer cannot write them."""

    code = "tasks.arguments"


class NoSuchTask(TaskError):
    """No task of this id is recorded (any more)."""

    code = "tasks.no_such_task"


class TaskFailed(TaskError):
    """A result was asked for of a task that ended without one; the message says why."""

    code = "tasks.failed"


class TaskNotDone(TaskError):
    """The result did not come within the time that was waited; the task goes on."""

    code = "tasks.not_done"


class TaskInterrupted(TaskError):
    """The handler is told to stop: cancelled, its lease lost, or its runner stopping."""

    code = "tasks.interrupted"


class ScheduleRefused(TaskError):
    """A cron line, time zone, interval or policy that means nothing."""

    code = "tasks.schedule"


class CronUnreadable(ScheduleRefused):
    """There is nothing in this environment that reads cron lines; the ledger is asked instead."""

    code = "tasks.cron_unreadable"


class RunnerRefused(TaskError):
    """The runner cannot start: its environment or a module of tasks is wrong."""

    code = "tasks.runner"
    exit = Exit.CONFIG
