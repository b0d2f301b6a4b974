"""Which declared task a name in the manifest means.

Place:  runner.errands -> [runner.named]
Rule:   pure; a name that fits two tasks, or none, is refused with what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mergepoint.tasks.errors import ScheduleRefused
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.spec import Missed, Schedule


def schedules_of(
    config: Config, declared: Mapping[str, Mapping[str, Any]], own: Iterable[Schedule]
) -> tuple[list[Schedule], dict[str, str]]:
    """Return the schedules of the code and those of the manifest, which win by name.

    Beside them: the names of those of the manifest whose task nobody declares, and why.
    """
    found = {schedule.name: schedule for schedule in own}
    failed: dict[str, str] = {}
    for given in config.schedules:
        cron, every_s = str(given.get("cron", "")), float(given.get("every_s", 0.0))
        name = str(given.get("name") or f"{given['task']}:{cron or every_s}")
        try:
            task = meant(str(given["task"]), config.app, list(declared))
        except ScheduleRefused as error:
            failed[name] = str(error)
            continue
        found[name] = Schedule(
            name=name,
            task=task,
            queue=str(declared[task]["queue"]),
            cron=cron,
            every_s=every_s,
            timezone=str(given.get("timezone", "UTC")),
            missed=Missed(given.get("missed", "one")),
        )
    return list(found.values()), failed


def meant(name: str, app: str, declared: Sequence[str]) -> str:
    """Return the task called `name`, `app.name`, or `module.name`."""
    if name in declared:
        return name
    short = name.removeprefix(f"{app}.") if app else name
    fitting = [each for each in declared if each == short or each.endswith(f".{short}")]
    if len(fitting) != 1:
        told = ", ".join(sorted(fitting or declared))
        what = "fits several tasks" if fitting else "is no task of this app"
        raise ScheduleRefused(f"{name} {what}: {told}")
    return fitting[0]
