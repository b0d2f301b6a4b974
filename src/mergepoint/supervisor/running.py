"""What runs now: the pools, their processes, the edges and the listeners, in one place.

Place:  supervisor.run -> [supervisor.running] -> supervisor.workers, edge_process, publish, verbs
Rule:   pools change only through `change`, by pure functions of `pool`; one loop, no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.core.clock import Clock
from mergepoint.core.endpoints import Failure, SlotEndpoint, SlotGroup, SlotState
from mergepoint.supervisor.contract import AppSpec, EdgeConnector, EdgeDoor, SnapshotSource, Wanted
from mergepoint.supervisor.logs import Logs
from mergepoint.supervisor.pool import Phase, Pool
from mergepoint.supervisor.report import Progress, Reporter, Step
from mergepoint.supervisor.sockets import Listener
from mergepoint.supervisor.spawn import Child

EDGE = "@edge"
"""The edge is planned as a pool of one slot; no app can have this name."""
EDGE_BACKOFF_S = 0.1
EDGE_BACKOFF_S_MAX = 5.0
EDGE_KILL_S = 5.0
WATCHERS_MAX = 64


@dataclass(slots=True)
class Running:
    """The supervisor's memory; everything else acts on it."""

    wanted: Wanted
    compile: SnapshotSource
    connector: EdgeConnector
    reporter: Reporter
    clock: Clock
    logs: Logs
    pools: dict[str, Pool] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    doors: dict[int, EdgeDoor] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    started_s: float = 0.0
    keys: int = 0
    """The last key given to a process."""
    epochs: int = 0
    """Raised by every restart and reload, so that a release has a name of its own."""
    generation: int = 0
    adopted_digests: dict[str, str] = field(default_factory=dict)
    """Digests by release of what an earlier supervisor left."""
    rss_bytes: dict[int, int] = field(default_factory=dict)
    cpu_s: dict[int, float] = field(default_factory=dict)
    stopping: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _watchers: set[asyncio.Queue[Progress]] = field(default_factory=set)

    def change(self, name: str, how: Callable[[Pool], Pool]) -> Pool | None:
        """Apply a pure change to a pool and have the plan looked at again; None when it is gone."""
        before = self.pools.get(name)
        if before is None:
            return None
        after = how(before)
        self.pools[name] = after
        self.wake.set()
        self._tell_turns(before, after)
        return after

    def tell(self, step: Step, app: str = "", slot: int | None = None, detail: str = "",
             next: str = "") -> None:  # noqa: A002  # fmt: skip
        """Report a step to people and to every command that waits."""
        progress = Progress(step, app.lstrip("@"), slot, detail, next)
        self.reporter.progress(progress)
        where = progress.app or "site"
        self.logs.say(f"{where}{'' if slot is None else f'.{slot}'} {step} {detail}".rstrip())
        for queue in list(self._watchers):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(progress)

    def watch(self, queue: asyncio.Queue[Progress]) -> bool:
        """Send every later step to a queue as well; False when too many are watching."""
        if len(self._watchers) >= WATCHERS_MAX:
            return False
        self._watchers.add(queue)
        return True

    def unwatch(self, queue: asyncio.Queue[Progress]) -> None:
        """Send no more steps to a queue."""
        self._watchers.discard(queue)

    def spawn_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work beside the loop; it is cancelled when the supervisor ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def cancel_tasks(self) -> None:
        """Cancel everything started by `spawn_task` and wait for it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def new_key(self) -> int:
        """Return a key no process of this site has had."""
        self.keys += 1
        return self.keys

    def new_release(self, spec: AppSpec) -> str:
        """Return the name of a release of `spec`, different from every earlier one."""
        self.epochs += 1
        return f"{spec.digest}.{self.epochs}"

    @property
    def apps(self) -> dict[str, Pool]:
        """Return the pools of apps and services, without the edge."""
        return {name: pool for name, pool in self.pools.items() if name != EDGE}

    @property
    def routed(self) -> dict[str, Pool]:
        """Return the pools the edge sends requests to."""
        return {name: pool for name, pool in self.apps.items() if pool.spec.is_routed}

    @property
    def now(self) -> float:
        """Return monotonic seconds."""
        return self.clock.monotonic_s()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.logs.say(f"internal error: {error!r}")
            self.tell(Step.FAILED, "", None, f"internal error in {task.get_name()}: {error!r}")

    def _tell_turns(self, before: Pool, after: Pool) -> None:
        """Report a release that was refused or has rolled, whichever event brought it about."""
        if after.refused is not None and after.refused is not before.refused:
            self.tell(Step.REFUSED, after.name, None, after.refused.reason, after.refused.next)
        if after.accepted != before.accepted and before.accepted is not None:
            self.tell(Step.ROLLED, after.name, None, f"{after.count} of {after.count} slots")


def edge_spec(wanted: Wanted) -> AppSpec:
    """Return the edge as a spec of one slot, so that the same plan rolls and restarts it."""
    listeners = "|".join(f"{spec.name}={spec.address}" for spec in wanted.listeners)
    return AppSpec(
        EDGE, f"{wanted.edge.digest}|{listeners}", wanted.edge.argv, "unix", wanted.edge.env,
        wanted.run_dir, drain_s=wanted.edge.drain_s, kill_s=EDGE_KILL_S,
        backoff_s=EDGE_BACKOFF_S, backoff_s_max=EDGE_BACKOFF_S_MAX,
    )  # fmt: skip


def endpoints(pools: Mapping[str, Pool]) -> dict[str, list[SlotEndpoint]]:
    """Return what the edge should know of every app's slots; those without traffic are left out."""
    states = {Phase.READY: SlotState.READY, Phase.DRAINING: SlotState.DRAINING}
    return {
        name: [
            SlotEndpoint(p.slot, p.address, states[p.phase], p.group)
            for p in pool.processes
            if p.phase in states
        ]
        for name, pool in pools.items()
    }


def failures(pools: Mapping[str, Pool], cannot: Mapping[str, Failure]) -> dict[str, Failure]:
    """Return why apps without a ready process have none; those only restarting are left out."""
    shown = dict(cannot)
    for name, pool in pools.items():
        if any(p.phase is Phase.READY for p in pool.processes):
            shown.pop(name, None)
        elif pool.failure is not None:
            shown[name] = pool.failure
    return shown


def canary_share(pools: Mapping[str, Pool]) -> dict[str, float]:
    """Return the share of requests for each canary that is ready."""
    return {
        name: pool.canary.share
        for name, pool in pools.items()
        if pool.canary is not None
        and any(p.phase is Phase.READY and p.group is SlotGroup.CANARY for p in pool.processes)
    }
