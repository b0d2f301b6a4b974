"""What a runner is told by its environment.

Place:  tasks.runner.__main__ -> [runner.config]
Rule:   pure: a mapping in, a checked value out; every wrong field is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mergepoint.tasks.errors import RunnerRefused

VARIABLE = "MERGEPOINT_TASKS"
CHILD_VARIABLE = "MERGEPOINT_TASKS_CHILD"
READY_VARIABLE = "MERGEPOINT_READY_FD"


@dataclass(frozen=True, kw_only=True)
class Config:
    """`MERGEPOINT_TASKS`: what to import, what to work on, and every bound of it."""

    modules: tuple[str, ...]
    """Imported in every child; their import declares the tasks. `module` names a single one."""
    app: str = ""
    """Whose tasks these are."""
    directory: str = "."
    """Where modules are imported from, first."""
    queues: tuple[str, ...] = ()
    """Empty: those of the declared tasks."""
    threads: int = 4
    """Blocking handlers at once; runs in processes of their own are among them."""
    threads_auto: bool = False
    """Whether `threads` is the most, and how many there are follows from what tasks cost."""
    loop_tasks: int = 100
    """Async handlers at once."""
    processes: int = 1
    """Children that share threads and loop tasks between them."""
    concurrency: Mapping[str, int] | None = None
    """How many of a queue may run here at once, by its name."""
    drain_s: float = 30.0
    """What runs when TERM comes has this long; the rest goes back, and no attempt counts."""
    stop_s: float = 2.0
    """What a handler that was told to stop has, before its process is replaced."""
    start_s: float = 60.0
    """How long a child may take to import its modules."""
    recycle_jobs: int = 10_000
    """Jobs of one child before it is replaced."""
    memory_bytes_max: int = 1024 * 1024 * 1024
    """Resident memory of a child above which it is replaced when its jobs are done."""
    schedules: tuple[Mapping[str, Any], ...] = ()
    """Of the manifest: `task`, `cron`, `timezone`, `missed`."""


def read(environment: Mapping[str, str]) -> Config:
    """Return the runner's settings; raise `RunnerRefused`."""
    try:
        plain = json.loads(environment.get(VARIABLE, ""))
    except ValueError as error:
        raise RunnerRefused(f"{VARIABLE} is no JSON: {error}") from None
    if not isinstance(plain, dict):
        raise RunnerRefused(f"{VARIABLE} is no object")
    if "module" in plain:
        plain["modules"] = [plain.pop("module"), *plain.get("modules", [])]
    known = {field.name for field in fields(Config)}
    given = {name: value for name, value in plain.items() if name in known and value is not None}
    if not given.get("modules"):
        raise RunnerRefused(f"{VARIABLE}: modules is missing: nothing declares tasks")
    for name in ("modules", "queues", "schedules"):
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    for name in ("threads", "processes", "loop_tasks", "recycle_jobs", "memory_bytes_max"):
        if name in given and not (isinstance(given[name], int) and given[name] >= 1):
            raise RunnerRefused(f"{VARIABLE}: {name} is {given[name]!r}; a number from 1")
    for name in ("drain_s", "stop_s", "start_s"):
        if name in given and not (isinstance(given[name], int | float) and given[name] >= 0):
            raise RunnerRefused(f"{VARIABLE}: {name} is {given[name]!r}; seconds from 0")
    return Config(**given)
