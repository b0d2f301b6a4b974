"""The life of an app's processes: what is remembered, and how each event changes it.

Place:  supervisor.run -> [supervisor.pool] -> supervisor.plan
Rule:   pure; every function takes a `Pool` and returns a new one; no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mergepoint.core.endpoints import Failure, SlotGroup
from mergepoint.supervisor.contract import AppSpec

STABLE_S = 3.0
"""A process that served this long and then died starts a new count of crashes."""
ATTEMPTS_MAX = 3
"""Failed starts in one slot after which a release that had proven itself is taken back."""
CRASHES_SHOWN = 3
"""Crashes in a row after which callers see the reason instead of waiting for the next start."""
CANARY_SLOT = 999
"""The slot of a canary, apart from every slot of the pool."""
SLOTS_MAX = 512


class Phase(StrEnum):
    """What a live process is doing."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


LIFE: Mapping[Phase, Mapping[str, Phase | None]] = {
    Phase.STARTING: {"ready": Phase.READY, "stop": Phase.STOPPING, "exited": None},
    Phase.READY: {"drain": Phase.DRAINING, "exited": None},
    Phase.DRAINING: {"stop": Phase.STOPPING, "exited": None},
    Phase.STOPPING: {"kill": Phase.STOPPING, "exited": None},
}
"""Every change of phase there is; None is the end. Drawn into docs/reference/processes.md."""


@dataclass(frozen=True, slots=True)
class Process:
    """One live process; `key` is unique in a site for ever, so it also names files and sockets."""

    key: int
    slot: int
    release: str
    phase: Phase
    since_s: float
    group: SlotGroup = SlotGroup.STABLE
    address: str = ""
    ready_at_s: float | None = None
    retire: str = ""
    """Why it should be replaced although it serves; empty when it should not."""
    doomed: bool = False
    """It failed its readiness check and only has to go."""
    drained: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot remembers between processes."""

    crashes: int = 0
    """Ends that nobody asked for, in a row."""
    attempts: int = 0
    """Failed starts of the release now wanted."""
    retry_at_s: float = 0.0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Canary:
    """A release that takes `share` of the requests for `watch_s` before it may have them all."""

    share: float
    watch_s: float


@dataclass(frozen=True, slots=True)
class Pool:
    """The processes of one app and the release they should run.

    `release` is wanted; `accepted` is the last one that filled every slot, kept with its spec so
    that a refused release can be undone. `proven` says a process of `release` has been ready.
    """

    name: str
    spec: AppSpec
    release: str
    count: int
    accepted: str | None = None
    accepted_spec: AppSpec | None = None
    proven: bool = False
    processes: tuple[Process, ...] = ()
    slots: Mapping[int, Slot] = field(default_factory=dict)
    failure: Failure | None = None
    """Why nothing serves; shown to callers when no process is ready."""
    refused: Failure | None = None
    """Why the last release was taken back."""
    canary: Canary | None = None
    tight: bool = False
    """Memory allows no extra process: replace by stopping first."""
    ending: bool = False
    pinned: bool = False
    """A command set the number of slots: load does not change it until the next reload."""

    @property
    def chained(self) -> bool:
        """Tell whether an old process must be gone before its replacement starts."""
        return self.spec.chained or self.tight

    @property
    def slot_release(self) -> str:
        """Return the release the slots of the pool should run; a canary runs beside them."""
        if self.canary is not None and self.accepted is not None:
            return self.accepted
        return self.release

    def spec_of(self, release: str) -> AppSpec:
        """Return how a process of `release` is started."""
        if release == self.accepted and self.accepted_spec is not None:
            return self.accepted_spec
        return self.spec

    def process(self, key: int) -> Process | None:
        """Return the live process with this key, or None."""
        return next((p for p in self.processes if p.key == key), None)

    def slot(self, number: int) -> Slot:
        """Return what the slot remembers."""
        return self.slots.get(number, Slot())

    def is_good(self, process: Process) -> bool:
        """Tell whether a process is exactly what its slot wants."""
        return (
            process.phase is Phase.READY
            and process.release == self.slot_release
            and process.group is SlotGroup.STABLE
            and not process.retire
        )

    @property
    def complete(self) -> bool:
        """Tell whether every slot has a process that is exactly what is wanted."""
        good = {p.slot for p in self.processes if self.is_good(p)}
        return all(slot in good for slot in range(self.count))

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to do: complete, and nothing beyond it alive."""
        if self.ending:
            return not self.processes
        return self.complete and len(self.processes) == self.count and self.canary is None


def changed(pool: Pool, key: int, **changes: object) -> Pool:
    """Return the pool with one process changed; unchanged when the process is gone."""
    processes = tuple(
        replace(p, **changes) if p.key == key else p  # type: ignore[arg-type]
        for p in pool.processes
    )
    return replace(pool, processes=processes)


def moved(pool: Pool, key: int, event: str, now: float, **changes: object) -> Pool:
    """Return the pool after an event of `LIFE`; events out of turn change nothing."""
    process = pool.process(key)
    phase = LIFE[process.phase].get(event) if process else None
    if phase is None:
        return pool
    return changed(pool, key, phase=phase, since_s=now, **changes)


def remembered(pool: Pool, number: int, slot: Slot) -> Pool:
    """Return the pool with a slot's memory replaced."""
    return replace(pool, slots={**pool.slots, number: slot})


def aimed(pool: Pool, spec: AppSpec, release: str, canary: Canary | None = None) -> Pool:
    """Return the pool with a new release wanted; what was accepted stays until it is replaced.

    A pool that serves nothing has nothing to protect: a canary is then an ordinary start.
    """
    slots = {n: replace(s, attempts=0, crashes=0, retry_at_s=0.0) for n, s in pool.slots.items()}
    proven = any(
        p.release == release and p.phase is Phase.READY and p.group is SlotGroup.STABLE
        for p in pool.processes
    )
    serving = any(p.phase is Phase.READY for p in pool.processes)
    return replace(
        pool, spec=spec, release=release, slots=slots, proven=proven, refused=None, failure=None,
        canary=canary if serving and pool.accepted not in (None, release) else None,
    )  # fmt: skip


def ready(pool: Pool, key: int, now: float) -> Pool:
    """Return the pool after a process proved that it serves."""
    process = pool.process(key)
    if process is None or process.phase is not Phase.STARTING or process.doomed:
        return pool
    pool = moved(pool, key, "ready", now, ready_at_s=now)
    pool = remembered(pool, process.slot, replace(pool.slot(process.slot), attempts=0))
    pool = replace(pool, failure=None)
    if process.release == pool.release and process.group is SlotGroup.STABLE:
        pool = replace(pool, proven=True)
    return accepted(pool)


def accepted(pool: Pool) -> Pool:
    """Return the pool with its release accepted if it fills every slot or is the first."""
    if not pool.proven or pool.accepted == pool.release:
        return pool
    if pool.accepted is None or pool.complete:
        return replace(pool, accepted=pool.release, accepted_spec=pool.spec)
    return pool


def unready(pool: Pool, key: int, now: float, failure: Failure) -> Pool:
    """Return the pool after a starting process failed its check; it still has to be stopped."""
    process = pool.process(key)
    if process is None or process.phase is not Phase.STARTING or process.doomed:
        return pool
    return start_failed(changed(pool, key, doomed=True), process, now, failure)


def exited(pool: Pool, key: int, now: float, failure: Failure) -> Pool:
    """Return the pool after a process ended; unasked that is a crash or a failed start."""
    process = pool.process(key)
    if process is None:
        return pool
    pool = replace(pool, processes=tuple(p for p in pool.processes if p.key != key))
    if process.doomed or pool.ending or process.phase in {Phase.DRAINING, Phase.STOPPING}:
        return pool
    if process.phase is Phase.STARTING:
        return start_failed(pool, process, now, failure)
    return crashed(pool, process, now, failure)


def start_failed(pool: Pool, process: Process, now: float, failure: Failure) -> Pool:
    """Return the pool after a start that never served."""
    slot = pool.slot(process.slot)
    slot = replace(slot, crashes=slot.crashes + 1, attempts=slot.attempts + 1)
    slot = replace(slot, retry_at_s=now + delay_s(pool.spec, slot.crashes))
    pool = replace(remembered(pool, process.slot, slot), failure=failure)
    candidate = process.release == pool.release and pool.accepted not in (None, pool.release)
    if candidate and (not pool.proven or slot.attempts >= ATTEMPTS_MAX):
        return refused(pool, failure)
    return pool


def crashed(pool: Pool, process: Process, now: float, failure: Failure) -> Pool:
    """Return the pool after a serving process died: the first time it is started again at once."""
    served_s = now - (process.ready_at_s if process.ready_at_s is not None else process.since_s)
    slot = pool.slot(process.slot)
    crashes = 1 if served_s >= STABLE_S else slot.crashes + 1
    wait_s = 0.0 if crashes == 1 else delay_s(pool.spec, crashes - 1)
    attempts = slot.attempts + (1 if served_s < STABLE_S else 0)
    slot = replace(slot, crashes=crashes, attempts=attempts, retry_at_s=now + wait_s)
    pool = remembered(pool, process.slot, replace(slot, restarts=slot.restarts + 1))
    if crashes >= CRASHES_SHOWN:
        pool = replace(pool, failure=failure)
    candidate = process.release == pool.release and pool.accepted not in (None, pool.release)
    canary = process.group is SlotGroup.CANARY
    if candidate and (canary or attempts >= ATTEMPTS_MAX):
        return refused(pool, failure)
    return pool


def delay_s(spec: AppSpec, crashes: int) -> float:
    """Return the back-off before the next start: doubled for every crash in a row, with a bound."""
    return float(min(spec.backoff_s_max, spec.backoff_s * 2 ** min(max(crashes, 1) - 1, 16)))


def refused(pool: Pool, failure: Failure) -> Pool:
    """Return the pool with its release taken back; what was accepted is wanted again."""
    if pool.accepted is None or pool.accepted_spec is None:
        return replace(pool, failure=failure)
    slots = {n: replace(s, attempts=0, retry_at_s=0.0) for n, s in pool.slots.items()}
    return replace(
        pool, release=pool.accepted, spec=pool.accepted_spec, proven=True, refused=failure,
        canary=None, slots=slots,
    )  # fmt: skip


def promoted(pool: Pool) -> Pool:
    """Return the pool after its canary passed: the release now rolls through the slots."""
    processes = tuple(
        replace(p, group=SlotGroup.STABLE) if p.group is SlotGroup.CANARY else p
        for p in pool.processes
    )
    return replace(pool, canary=None, proven=True, processes=processes)


def retired(pool: Pool, key: int, reason: str) -> Pool:
    """Return the pool with a serving process marked for replacement; the first reason stays.

    A canary is not replaced: that it would have to be is reason enough to take its release back.
    """
    process = pool.process(key)
    if process is None or process.phase is not Phase.READY or process.retire:
        return pool
    if process.group is SlotGroup.CANARY and pool.canary is not None:
        pool = refused(pool, Failure(f"canary: {reason}", "", f"mergepoint logs {pool.name}"))
    return changed(pool, key, retire=reason)
