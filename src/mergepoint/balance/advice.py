"""What figures of CPU and waiting say about threads, processes and the loop.

Place:  balance.measure -> [balance.advice] -> cli, supervisor
Rule:   pure; every sentence names the figure it rests on and the setting to change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CALLS_MIN = 20
"""Below this many calls nothing is advised: chance would speak."""
STEP_S_LONG = 0.05
"""Holding the loop longer than this is felt by everybody on it."""
CPU_SHARE_HIGH = 0.7
CPU_SHARE_LOW = 0.3
CALL_S_LONG = 0.2
"""Of CPU in one call: worth a process of its own."""
THREADS_MAX = 64


@dataclass(frozen=True)
class Figures:
    """What `Meter.told` says about one name."""

    name: str
    kind: str
    calls: int
    cpu_s: float
    wall_s: float
    step_s_max: float = 0.0

    @property
    def cpu_share(self) -> float:
        """Return which part of its time it computes, 0 to 1."""
        return min(1.0, self.cpu_s / self.wall_s) if self.wall_s > 0 else 0.0


@dataclass(frozen=True)
class Advice:
    """One thing to change: about what, which setting or call, and why."""

    name: str
    change: str
    why: str


@dataclass(frozen=True)
class Sizing:
    """How many threads in each process, and how many processes."""

    threads: int
    processes: int


def figures(told: Iterable[Mapping[str, Any]]) -> list[Figures]:
    """Return the figures of what a meter told; names told by several processes are added up."""
    summed: dict[str, Figures] = {}
    for one in told:
        name = str(one["name"])
        before = summed.get(name, Figures(name, str(one["kind"]), 0, 0.0, 0.0))
        summed[name] = Figures(
            name,
            str(one["kind"]),
            before.calls + int(one["calls"]),
            before.cpu_s + float(one["cpu_s"]),
            before.wall_s + float(one["wall_s"]),
            max(before.step_s_max, float(one["step_s_max"])),
        )
    return sorted(summed.values(), key=lambda of: -of.cpu_s)


def advise(found: Iterable[Figures], *, threads: int = 0) -> list[Advice]:
    """Return what to change, the costliest first; `threads` of each process, 0 for unknown."""
    enough = [of for of in found if of.calls >= CALLS_MIN]
    told = [advice for of in enough if (advice := _for_one(of)) is not None]
    in_threads = [of for of in enough if of.kind == "thread"]
    if threads and in_threads:
        told += _for_threads(in_threads, threads)
    return told


def _for_one(of: Figures) -> Advice | None:
    each_s = of.cpu_s / of.calls
    if of.kind == "loop" and of.step_s_max > STEP_S_LONG:
        return Advice(
            of.name,
            "offload() the work, or cooperate() in its loop",
            f"it held the event loop for {of.step_s_max * 1000:.0f} ms at once",
        )
    if each_s > CALL_S_LONG and of.cpu_share > CPU_SHARE_HIGH:
        return Advice(
            of.name,
            "offload() it, or make it a task",
            f"{each_s * 1000:.0f} ms of CPU in each call, {of.cpu_share:.0%} of its time",
        )
    return None


def _for_threads(found: list[Figures], threads: int) -> list[Advice]:
    wanted = sizing(found, cpus=1).threads
    cpu_s, wall_s = sum(of.cpu_s for of in found), sum(of.wall_s for of in found)
    share = cpu_s / wall_s if wall_s else 0.0
    if share > CPU_SHARE_HIGH and threads > 2 * wanted:
        why = f"requests compute {share:.0%} of their time; threads only share one interpreter"
        return [Advice("(all)", f"threads = {wanted}, and more processes", why)]
    if share < CPU_SHARE_LOW and wanted > threads:
        why = f"requests compute {share:.0%} of their time and wait for the rest"
        return [Advice("(all)", f"threads = {wanted}", why)]
    return []


def sizing(found: Iterable[Figures], *, cpus: int, busy_cpus: float | None = None) -> Sizing:
    """Return a size that keeps the CPUs busy and no more.

    Threads keep one interpreter at work while others wait: wall over CPU seconds. Processes cover
    the CPUs that are asked for: `busy_cpus` of load (CPU seconds each second), all of them if it
    is not known. After Little's law and Goetz, Java Concurrency in Practice, 8.2.
    """
    listed = list(found)
    cpu_s, wall_s = sum(of.cpu_s for of in listed), sum(of.wall_s for of in listed)
    threads = THREADS_MAX if cpu_s <= 0 else math.ceil(wall_s / cpu_s)
    load = float(cpus) if busy_cpus is None else busy_cpus / CPU_SHARE_HIGH
    return Sizing(
        threads=max(1, min(THREADS_MAX, threads)), processes=max(1, min(cpus, math.ceil(load)))
    )
