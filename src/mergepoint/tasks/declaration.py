"""What is written above a function, checked.

Place:  tasks.declare -> [tasks.declaration] -> tasks.asking
Rule:   pure; what cannot work is refused where it is written, with the name of the task.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from mergepoint.bus.contract import PRIORITY_MAX, PRIORITY_MIN
from mergepoint.tasks.errors import DeclarationRefused
from mergepoint.tasks.spec import (
    NAME_CHARACTERS_MAX,
    Backoff,
    Options,
    Rate,
    RunsIn,
    Unique,
)

QUEUE = re.compile(r"[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*")
RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|h|d)")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
QUEUE_CHARACTERS_MAX = 100


@dataclass(frozen=True)
class Declaration:
    """What a task is, beside its function."""

    name: str
    queue: str
    options: Options
    priority: int
    key: str | Callable[..., Any]
    unique: Unique | None


def declaration_of(
    function: Callable[..., Any], given: dict[str, Any], queue: str = "default"
) -> Declaration:
    """Check what was written and return it; raise `DeclarationRefused` with the name.

    `queue` is where a task goes that names none.
    """
    given = dict(given)
    name = given.pop("name", "") or f"{function.__module__}.{function.__qualname__}"
    what = Declaration(
        name=name,
        queue=given.pop("queue", "") or queue,
        priority=given.pop("priority", 4),
        key=given.pop("key", ""),
        unique=_unique(given.pop("unique", None)),
        options=Options(
            rate=_rate(name, given.pop("rate", None)),
            runs_in=_place(name, function, given.pop("runs_in", None)),
            backoff=given.pop("backoff", None) or Backoff(),
            **{key: given.pop(key) for key in _NUMBERS.keys() & given.keys()},
        ),
    )
    if given:
        raise DeclarationRefused(f"{name}: task() knows no {', '.join(sorted(given))}")
    _check(what)
    return what


_NUMBERS: dict[str, tuple[float, float]] = {
    "retries": (0, 1000),
    "timeout_s": (0.01, 30 * 86400.0),
    "crashes_max": (1, 1000),
    "batch": (1, 10_000),
    "keep_result_s": (0, 366 * 86400.0),
}
"""Options that are numbers, with their bounds."""


def _check(what: Declaration) -> None:
    for name, (least, most) in _NUMBERS.items():
        value = getattr(what.options, name)
        if not isinstance(value, int | float) or not least <= value <= most:
            raise DeclarationRefused(f"{what.name}: {name}={value!r}; {least} to {most}")
    if not PRIORITY_MIN <= what.priority <= PRIORITY_MAX:
        raise DeclarationRefused(f"{what.name}: priority={what.priority}; 0 to 9")
    if QUEUE.fullmatch(what.queue) is None or len(what.queue) > QUEUE_CHARACTERS_MAX:
        raise DeclarationRefused(
            f"{what.name}: queue={what.queue!r}; letters, digits, - and _, joined by dots"
        )
    if len(what.name) > NAME_CHARACTERS_MAX:
        raise DeclarationRefused(
            f"{what.name}: a name has {NAME_CHARACTERS_MAX} characters at most"
        )


def _place(name: str, function: Callable[..., Any], wanted: Any) -> RunsIn:
    is_async = inspect.iscoroutinefunction(function)
    place = RunsIn(wanted) if wanted else (RunsIn.LOOP if is_async else RunsIn.THREAD)
    if place is RunsIn.LOOP and not is_async:
        raise DeclarationRefused(f"{name}: only async functions run in the loop")
    if place is RunsIn.THREAD and is_async:
        raise DeclarationRefused(f"{name}: an async function runs in the loop or a process")
    return place


def _rate(name: str, given: Any) -> Rate | None:
    if given is None or isinstance(given, Rate):
        return given
    found = RATE.fullmatch(str(given))
    if found is None or int(found[1]) < 1:
        raise DeclarationRefused(f'{name}: rate={given!r}; write "10/s", "100/5m" or a Rate')
    return Rate(count=int(found[1]), per_s=float(found[2] or 1) * SECONDS[found[3]])


def _unique(given: Any) -> Unique | None:
    return Unique() if given is True else cast("Unique | None", given or None)
