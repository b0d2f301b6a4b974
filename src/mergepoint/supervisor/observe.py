"""Look at the site every second: recycle, scale, and follow canaries.

Place:  supervisor.run -> [supervisor.observe] -> supervisor.judge, supervisor.pool
Rule:   measures and applies; every judgement is made in `judge`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mergepoint.core.endpoints import Failure, SlotGroup
from mergepoint.core.errors import MergepointError
from mergepoint.supervisor import judge
from mergepoint.supervisor.canary import Watched
from mergepoint.supervisor.judge import Load, Tally, Trend, Verdict
from mergepoint.supervisor.pool import Phase, Pool, Process, promoted, refused, retired
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import Running
from mergepoint.supervisor.sample import usage

EVERY_S = 1.0
STATS_TIMEOUT_S = 3.0

Json = dict[str, Any]


@dataclass(slots=True)
class Observer:
    """Remembers what one sample alone cannot tell."""

    running: Running
    _trends: dict[str, Trend] = field(default_factory=dict)
    _dropped: dict[str, int] = field(default_factory=dict)
    _canaries: dict[str, Watched] = field(default_factory=dict)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.running.clock.sleep(EVERY_S)
            stats = await self._stats()
            self._measure()
            for pool in list(self.running.apps.values()):
                if not pool.ending:
                    self._look(pool, stats.get("apps", {}).get(pool.name, {}))

    async def _stats(self) -> Json:
        """Return the newest edge's counters; nothing when it does not answer."""
        doors = list(self.running.doors.values())
        if not doors:
            return {}
        try:
            async with asyncio.timeout(STATS_TIMEOUT_S):
                return await doors[-1].stats()
        except (MergepointError, OSError, TimeoutError):
            return {}

    def _measure(self) -> None:
        running = self.running
        keys = {child.pid: key for key, child in list(running.children.items())}
        for pid, used in usage(keys).items():
            running.rss_bytes[keys[pid]] = used.rss_bytes
            running.cpu_s[keys[pid]] = round(used.cpu_s, 2)

    def _look(self, pool: Pool, stats: Json) -> None:
        slots = {entry.get("address"): entry for entry in stats.get("slots", {}).values()}
        for process in pool.processes:
            if process.phase is Phase.READY and not process.retire:
                self._recycle(pool, process, slots.get(process.address, {}))
        room = self._room(pool)
        if pool.tight is room:
            self.running.change(pool.name, lambda p: replace(p, tight=not room))
        if stats:
            self._scale(pool, stats, room=room)
            self._follow_canary(pool, slots)

    def _recycle(self, pool: Pool, process: Process, slot: Json) -> None:
        running = self.running
        age_s = running.now - (process.ready_at_s or running.now)
        spec = pool.spec_of(process.release)
        if process.group is SlotGroup.CANARY:
            # Its watch is short; only what is wrong with it may end it.
            spec = replace(spec, requests_max=0, lifetime_s=0.0)
        reason = judge.outlived(
            spec, process.key, int(slot.get("requests", 0)), age_s,
            running.rss_bytes.get(process.key, 0),
        )  # fmt: skip
        if reason:
            running.tell(Step.RECYCLED, pool.name, process.slot, reason)
            running.change(pool.name, partial(retired, key=process.key, reason=reason))

    def _room(self, pool: Pool) -> bool:
        budget = self.running.wanted.memory_bytes_max
        mine = [self.running.rss_bytes.get(p.key, 0) for p in pool.processes]
        workers = [p.key for other in self.running.apps.values() for p in other.processes]
        used = sum(self.running.rss_bytes.get(key, 0) for key in workers)
        return judge.has_room(budget, used, max(mine, default=0))

    def _scale(self, pool: Pool, stats: Json, *, room: bool) -> None:
        dropped = int(stats.get("queue_dropped", 0))
        load = Load(
            int(stats.get("queue", 0)), int(stats.get("in_flight", 0)),
            max(0, dropped - self._dropped.get(pool.name, dropped)),
        )  # fmt: skip
        self._dropped[pool.name] = dropped
        if not pool.complete or pool.pinned:
            return
        trend = self._trends.get(pool.name, Trend())
        count, self._trends[pool.name] = judge.scaled(
            pool.spec, pool.count, load, trend, self.running.now, room=room
        )
        if count != pool.count:
            detail = f"{pool.count} to {count} processes, {load.queue} requests waiting"
            self.running.tell(Step.SCALED, pool.name, None, detail)
            self.running.change(pool.name, lambda p: replace(p, count=count))

    def _follow_canary(self, pool: Pool, slots: dict[Any, Json]) -> None:
        process = next((p for p in pool.processes if p.group is SlotGroup.CANARY), None)
        if pool.canary is None or process is None or process.phase is not Phase.READY:
            self._canaries.pop(pool.name, None)
            return
        now, asked = self.running.now, pool.canary
        watched = self._canaries.get(pool.name)
        if watched is None or watched.key != process.key:
            self._canaries[pool.name] = watched = Watched(process.key, now)
            watched.begin(pool, slots)
            detail = f"{asked.share:.0%} of the requests for {asked.watch_s:g} s"
            self.running.tell(Step.CANARY, pool.name, process.slot, detail)
            return
        watched.count(pool, slots)
        canary, stable = watched.total(SlotGroup.CANARY), watched.total(SlotGroup.STABLE)
        watched_s = now - watched.since_s
        verdict = judge.canary_verdict(canary, stable, watched_s, asked.watch_s)
        if verdict is Verdict.STEP_BACK:
            failure = _stepped_back(pool.name, canary, stable, watched_s)
            self.running.change(pool.name, lambda p: refused(p, failure))
        elif verdict is Verdict.PROMOTE:
            detail = f"passed: {_counts(canary)}"
            self.running.tell(Step.CANARY, pool.name, process.slot, detail)
            self.running.change(pool.name, promoted)


def _counts(canary: Tally) -> str:
    return f"{canary.failures} of {canary.requests} requests failed"


def _stepped_back(app: str, canary: Tally, stable: Tally, watched_s: float) -> Failure:
    """Return why a canary is taken back: it failed, or nobody asked it anything."""
    if not canary.requests and not canary.failures:
        reason = f"canary: no request of its share was finished in {watched_s:.0f} s"
        return Failure(reason, "", f"a larger --canary or --watch, or mergepoint reload {app}")
    beside = f"{stable.failures} of {stable.requests} beside it"
    return Failure(f"canary: {_counts(canary)}, {beside}", "", f"mergepoint logs {app}")
