"""CPU seconds against wall seconds, for each route and each task.

Place:  host.wsgi, host.asgi, tasks.runner -> [balance.measure] -> balance.advice
Rule:   standard library alone and Python 3.8 or newer: the worker's shim loads this in any venv.
"""

from __future__ import annotations

import threading
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

NAMES_MAX = 500
"""More names than this are counted together under `OTHER`."""
OTHER = "(other)"


class Measured:
    """What was measured under one name since the process began; seconds are sums."""

    __slots__ = ("calls", "cpu_s", "kind", "name", "step_s_max", "wall_s", "wall_s_max")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.calls = 0
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.wall_s_max = 0.0
        self.step_s_max = 0.0

    def add(self, cpu_s: float, wall_s: float, step_s: float = 0.0) -> None:
        """Count one call; `step_s` is the longest time it held the loop without a pause."""
        self.calls += 1
        self.cpu_s += cpu_s
        self.wall_s += wall_s
        self.wall_s_max = max(self.wall_s_max, wall_s)
        self.step_s_max = max(self.step_s_max, step_s)

    def told(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {slot: getattr(self, slot) for slot in self.__slots__}


class Meter:
    """The figures of one process; `kind` of a name is "thread" or "loop"."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: dict[str, Measured] = {}

    def add(self, name: str, kind: str, cpu_s: float, wall_s: float, step_s: float = 0.0) -> None:
        """Count one call under `name`."""
        with self._lock:
            measured = self._measured.get(name)
            if measured is None:
                if len(self._measured) >= NAMES_MAX:
                    name = OTHER
                measured = self._measured.setdefault(name, Measured(name, kind))
            measured.add(cpu_s, wall_s, step_s)

    def told(self) -> list[dict[str, Any]]:
        """Return the figures of every name, the one that took most CPU first."""
        with self._lock:
            found = [measured.told() for measured in self._measured.values()]
        return sorted(found, key=lambda figures: -float(figures["cpu_s"]))


class Watch:
    """Measures what the calling thread does from its making to `stop`."""

    __slots__ = ("_cpu_s", "_wall_s")

    def __init__(self) -> None:
        self._cpu_s = thread_time()
        self._wall_s = perf_counter()

    def stop(self, meter: Meter, name: str) -> None:
        """Count what was done under `name`; in the thread that made the watch."""
        meter.add(name, "thread", thread_time() - self._cpu_s, perf_counter() - self._wall_s)


class Steps:
    """An awaitable that measures how long another one runs and how long it waits."""

    __slots__ = ("_inner", "cpu_s", "step_s_max", "wall_s")

    def __init__(self, inner: Awaitable[Any]) -> None:
        self._inner = inner
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.step_s_max = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        """Run the inner one step by step; its value, errors and cancelling pass through."""
        began_s = perf_counter()
        steps: Any = self._inner.__await__()
        send, given = steps.send, None
        try:
            while True:
                cpu_s, wall_s = thread_time(), perf_counter()
                try:
                    waits_for = send(given)
                except StopIteration as end:
                    return end.value
                finally:
                    self.cpu_s += thread_time() - cpu_s
                    self.step_s_max = max(self.step_s_max, perf_counter() - wall_s)
                try:
                    given, send = (yield waits_for), steps.send
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # cancelled: the inner one is to know
                    given, send = error, steps.throw
        finally:
            self.wall_s = perf_counter() - began_s

    def stop(self, meter: Meter, name: str) -> None:
        """Count what was measured under `name`."""
        meter.add(name, "loop", self.cpu_s, self.wall_s, self.step_s_max)
