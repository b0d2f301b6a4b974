"""Declare a function as a task, and ask for it.

Place:  apps -> [tasks.declare] -> tasks.asking, tasks.sending
Rule:   a declared function stays a function; nothing is sent at import.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from mergepoint.bus.contract import PRIORITY_MAX, PRIORITY_MIN
from mergepoint.tasks.arguments import signature_of
from mergepoint.tasks.asking import Asking, Call
from mergepoint.tasks.errors import DeclarationRefused
from mergepoint.tasks.handles import Handle, Overview
from mergepoint.tasks.home import Codec, Home
from mergepoint.tasks.spec import (
    NAME_CHARACTERS_MAX,
    Backoff,
    Missed,
    Options,
    Rate,
    RunsIn,
    Schedule,
    Unique,
)

P = ParamSpec("P")
R = TypeVar("R")
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


class Task(Generic[P, R]):
    """A function that can be called as before, or asked for with `enqueue`."""

    def __init__(self, home: Home, app: str, function: Callable[P, R], what: Declaration) -> None:
        self._asking = Asking(home=home, app=app, declaration=what, signature=inspect.Signature())
        self.function = function
        self.declaration = what
        signature, self.wants_context = signature_of(function)
        self._asking = replace(self._asking, signature=signature)
        self.__name__ = getattr(function, "__name__", what.name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    @property
    def name(self) -> str:
        """What it is called in the ledger."""
        return self.declaration.name

    @property
    def codec(self) -> Codec:
        """How its arguments and results are written."""
        return self._asking.home.codec

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now, as if it were no task."""
        return self.function(*args, **kwargs)

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Ask for it from blocking code; inside an open transaction it is part of that.

        Raises `ArgumentsRefused`, `BusFull`, `BusLost`.
        """
        return self._asking.enqueue(*args, **kwargs)

    async def aenqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Do the same from a coroutine."""
        return await self._asking.aenqueue(*args, **kwargs)

    def delay(self, when: Any, *args: Any, **kwargs: Any) -> Handle:
        """Ask for it at a time: seconds from now, a timedelta, or an aware datetime."""
        return self._asking.at(when).enqueue(*args, **kwargs)

    async def adelay(self, when: Any, *args: Any, **kwargs: Any) -> Handle:
        """Do the same from a coroutine."""
        return await self._asking.at(when).aenqueue(*args, **kwargs)

    def once(self, key: str) -> Asking:
        """Ask for it only if none of this key is open: `task.once("nightly").enqueue()`."""
        return self._asking.once(key)

    def with_options(self, **changes: Any) -> Asking:
        """Ask for it otherwise this time: `at`, `queue`, `priority`, `key`, `connection`, ..."""
        return self._asking.with_options(**changes)

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return a call for `chain` and `group`, without asking for it."""
        return Call(self._asking, args, kwargs)


@dataclass
class Tasks(Overview):
    """The tasks of a site, as one process declares and asks for them: `site.tasks`."""

    home: Home
    app: str = ""
    declared: dict[str, Task[..., Any]] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declare a task: `@site.tasks.task` or `@site.tasks.task(retries=5, key="url")`.

        `name`: of module and function unless given. `queue`, `retries` (after the first attempt),
        `backoff` (a `Backoff`), `timeout_s`, `priority` (0 to 9), `key` (an argument's name, or a
        function of the arguments), `unique` (True or a `Unique`), `rate` ("10/s", "100/5m", a
        `Rate`), `batch`, `runs_in` ("thread", "loop", "process"), `keep_result_s`,
        `crashes_max`. Raises `DeclarationRefused`.
        """
        if function is not None:
            return self._declare(function, {})
        return lambda given: self._declare(given, options)

    def every(
        self, *, cron: str = "", every_s: float = 0.0, timezone: str = "UTC",
        missed: str | Missed = Missed.ONE, name: str = "",
    ) -> Callable[[Task[P, R]], Task[P, R]]:  # fmt: skip
        """Start a task by the clock: `@site.tasks.every(cron="15 3 * * *")` above `task`."""

        def scheduled(task: Task[P, R]) -> Task[P, R]:
            if not isinstance(task, Task):
                raise DeclarationRefused("every() stands above task(), on what that returns")
            what = task.declaration
            self.schedules.append(
                Schedule(
                    name=name or f"{what.name}:{cron or every_s}", task=what.name,
                    queue=what.queue, cron=cron, every_s=every_s, timezone=timezone,
                    missed=Missed(missed), options=what.options, priority=what.priority,
                    app=self.app,
                )
            )  # fmt: skip
            return task

        return scheduled

    def _declare(self, function: Callable[..., Any], given: dict[str, Any]) -> Task[..., Any]:
        what = declaration_of(function, given)
        if what.name in self.declared and self.declared[what.name].function is not function:
            raise DeclarationRefused(
                f"two tasks are called {what.name}", next="give one a name: task(name=...)"
            )
        task = Task(self.home, self.app, function, what)
        self.declared[what.name] = task
        return task


def declaration_of(function: Callable[..., Any], given: dict[str, Any]) -> Declaration:
    """Check what was written and return it; raise `DeclarationRefused` with the name."""
    given = dict(given)
    name = given.pop("name", "") or f"{function.__module__}.{function.__qualname__}"
    what = Declaration(
        name=name,
        queue=given.pop("queue", "default"),
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
