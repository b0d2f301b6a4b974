"""What the tasks of a runner cost, and how many threads they get for it.

Place:  runner.service -> [runner.tuning] -> balance.measure, balance.threads, runner.capacity
Rule:   changes a number that the next take looks at; no process is started anew for it.
"""

from __future__ import annotations

from typing import Any

from mergepoint.balance.measure import Meter
from mergepoint.balance.threads import Window, decide
from mergepoint.bus.exposition import Sample
from mergepoint.core.clock import Clock
from mergepoint.tasks.runner.capacity import Capacity
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.log import Log

WINDOW_S = 5.0
"""Between two decisions."""
FAMILIES = (("calls", "calls"), ("cpu_s", "cpu_seconds"), ("wall_s", "wall_seconds"))


class Tuning:
    """Looks at the meter of a runner, and has a hand on its threads."""

    def __init__(
        self, config: Config, capacity: Capacity, meter: Meter, clock: Clock, log: Log
    ) -> None:
        self.meter = meter
        self._config = config
        self._capacity = capacity
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Decide for ever; returns at once where the manifest says a number."""
        if not self._config.threads_auto:
            return
        before, since_s = self._sums(), self._clock.monotonic_s()
        while True:
            await self._clock.sleep(WINDOW_S)
            sums, now_s = self._sums(), self._clock.monotonic_s()
            window = Window(
                elapsed_s=now_s - since_s, calls=int(sums[0] - before[0]),
                cpu_s=sums[1] - before[1], wall_s=sums[2] - before[2],
                interpreters=self._config.processes,
            )  # fmt: skip
            before, since_s = sums, now_s
            threads = self._capacity.threads
            wanted = decide(
                threads, window, least=self._config.processes, most=self._config.threads
            )
            if wanted != threads:
                self._log.write("threads", threads=wanted, before=threads)
                self._capacity.resize(wanted)

    async def say(self, process: str) -> dict[str, Any]:
        """Return figures and samples for whoever asks."""
        names = self.meter.told()
        samples: list[Sample] = [
            (f"mergepoint_task_{word}_total", {"process": process, "task": one["name"]}, one[key])
            for key, word in FAMILIES
            for one in names
        ]
        threads = self._capacity.threads
        samples.append(("mergepoint_task_threads", {"process": process}, threads))
        return {
            "samples": samples,
            "tasks": {
                "app": self._config.app,
                "names": names,
                "threads": threads,
                "threads_max": self._config.threads,
                "auto": self._config.threads_auto,
            },
        }

    def _sums(self) -> tuple[float, float, float]:
        told = [one for one in self.meter.told() if one["kind"] == "thread"]
        return (
            sum(one["calls"] for one in told),
            sum(one["cpu_s"] for one in told),
            sum(one["wall_s"] for one in told),
        )
