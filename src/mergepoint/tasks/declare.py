"""Declare a function as a task, and ask for it.

Place:  apps -> [tasks.declare] -> tasks.asking, tasks.sending
Rule:   a declared function stays a function; nothing is sent at import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mergepoint.tasks.arguments import signature_of
from mergepoint.tasks.asking import Asking, Call
from mergepoint.tasks.declaration import Declaration, declaration_of
from mergepoint.tasks.errors import DeclarationRefused
from mergepoint.tasks.handles import Handle, Overview
from mergepoint.tasks.home import Codec, Home
from mergepoint.tasks.spec import Missed, Schedule

P = ParamSpec("P")
R = TypeVar("R")


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

        `name`: of module and function unless given. `queue`: the app's own, which has its name,
        unless given. `retries` (after the first attempt),
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
        what = declaration_of(function, given, self.app or "default")
        if what.name in self.declared and self.declared[what.name].function is not function:
            raise DeclarationRefused(
                f"two tasks are called {what.name}", next="give one a name: task(name=...)"
            )
        task = Task(self.home, self.app, function, what)
        self.declared[what.name] = task
        return task
