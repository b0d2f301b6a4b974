"""Functions that run outside the request: tried again, in order, on time, and never lost."""

from mergepoint.tasks.compose import achain, agroup, chain, group
from mergepoint.tasks.context import Context, current
from mergepoint.tasks.declare import Task, Tasks
from mergepoint.tasks.spec import Backoff, Cancel, Dead, Rate, Snooze, Unique

__all__ = [
    "Backoff",
    "Cancel",
    "Context",
    "Dead",
    "Rate",
    "Snooze",
    "Task",
    "Tasks",
    "Unique",
    "achain",
    "agroup",
    "chain",
    "current",
    "group",
]
