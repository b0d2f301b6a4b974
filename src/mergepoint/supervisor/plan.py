"""Decide what to do next with an app's processes, from what is wanted and what runs.

Place:  supervisor.pool -> [supervisor.plan] -> supervisor.run
Rule:   pure: the same pool and time give the same actions. At most two live processes per slot;
        nothing that serves is drained before something else serves, except when chained or ending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mergepoint.core.endpoints import SlotGroup
from mergepoint.supervisor.pool import CANARY_SLOT, Phase, Pool, Process, moved

SURGE_MAX = 2
"""Processes alive beyond the size of the pool while it rolls."""
LIVE_PER_SLOT_MAX = 2
DRAIN_GRACE_S = 1.0
"""How much later than the edge the plan gives up waiting for a drained process."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process of `release` in `slot`; `pilot` when it is the first of its release."""

    slot: int
    release: str
    group: SlotGroup = SlotGroup.STABLE
    pilot: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """Give the process no new requests and tell when it holds none."""

    key: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the process to end (TERM)."""

    key: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process and everything it started (KILL)."""

    key: int


Action = Start | Drain | Stop | Kill


def decide(pool: Pool, now: float, boots_max: int) -> list[Action]:
    """Return what to do now; nothing when all is as wanted or only time can help.

    `boots_max` bounds the starts in this answer, so that a big site does not boot all at once.
    """
    return [*_ends(pool, now), *_starts(pool, now)[: max(0, boots_max)]]


def performed(pool: Pool, action: Drain | Stop | Kill, now: float) -> Pool:
    """Return the pool with an ending action under way."""
    match action:
        case Drain(key):
            return moved(pool, key, "drain", now)
        case Stop(key):
            return moved(pool, key, "stop", now)
        case Kill(key):
            process = pool.process(key)
            since = process.since_s if process else now
            return moved(pool, key, "kill", since, killed=True)


def wake_at_s(pool: Pool, now: float) -> float | None:
    """Return the next moment at which time alone may ask for an action; None when only events can.

    What was due by `now` has been decided already: a slot past its back-off waits for an event.
    """
    times = [slot.retry_at_s for n, slot in pool.slots.items() if _is_waiting(pool, n)]
    for process in pool.processes:
        if process.phase is Phase.DRAINING:
            times.append(process.since_s + pool.spec.drain_s + DRAIN_GRACE_S)
        elif process.phase is Phase.STOPPING and not process.killed:
            times.append(process.since_s + pool.spec.kill_s)
    return min((at for at in times if at > now), default=None)


def _is_waiting(pool: Pool, number: int) -> bool:
    return number < pool.count and not any(
        p.slot == number and (pool.is_good(p) or _is_coming(pool, p)) for p in pool.processes
    )


def _is_coming(pool: Pool, process: Process) -> bool:
    return (
        process.phase is Phase.STARTING
        and not process.doomed
        and process.group is SlotGroup.STABLE
        and process.release == pool.slot_release
    )


def _is_canary(pool: Pool, process: Process) -> bool:
    return (
        pool.canary is not None
        and process.group is SlotGroup.CANARY
        and process.release == pool.release
        and not process.doomed
    )


def _ends(pool: Pool, now: float) -> Iterator[Action]:
    turn = _chained_turn(pool, now)
    for process in pool.processes:
        match process.phase:
            case Phase.STARTING if pool.ending or not _has_place(pool, process):
                yield Stop(process.key)
            case Phase.READY if process.key == turn or _is_over(pool, process):
                yield Drain(process.key)
            case Phase.DRAINING if process.drained or now >= (
                process.since_s + pool.spec.drain_s + DRAIN_GRACE_S
            ):
                yield Stop(process.key)
            case Phase.STOPPING if not process.killed and now >= (
                process.since_s + pool.spec.kill_s
            ):
                yield Kill(process.key)


def _has_place(pool: Pool, process: Process) -> bool:
    if _is_canary(pool, process):
        return True
    return _is_coming(pool, process) and process.slot < pool.count


def _is_over(pool: Pool, process: Process) -> bool:
    """Tell whether a serving process has been replaced or has no place any more."""
    if pool.ending:
        return True
    if _is_canary(pool, process):
        return False
    if process.group is SlotGroup.CANARY:
        return any(p.phase is Phase.READY and p.key != process.key for p in pool.processes)
    if process.slot >= pool.count:
        serving = {p.slot for p in pool.processes if p.phase is Phase.READY}
        return serving.issuperset(range(pool.count))
    rank = (pool.is_good(process), process.key)
    return any(
        p.slot == process.slot and p.phase is Phase.READY and (pool.is_good(p), p.key) > rank
        for p in pool.processes
    )


def _chained_turn(pool: Pool, now: float) -> int | None:
    """Return the process to drain before its replacement starts: one, while all others serve."""
    if not pool.chained or pool.ending or pool.canary is not None:
        return None
    if any(p.phase is not Phase.READY for p in pool.processes):
        return None
    if {p.slot for p in pool.processes if p.slot < pool.count} != set(range(pool.count)):
        return None
    for process in pool.processes:
        wrong = process.slot < pool.count and not pool.is_good(process)
        if wrong and now >= pool.slot(process.slot).retry_at_s:
            return process.key
    return None


def _starts(pool: Pool, now: float) -> list[Start]:
    if pool.ending:
        return []
    starts = list(_canary_start(pool, now))
    gated = _is_gated(pool)
    pilot_out = any(_is_coming(pool, p) for p in pool.processes)
    extra = _extra(pool)
    for slot in _by_need(pool):
        if gated and (pilot_out or starts):
            break
        if not _may_start(pool, slot, now):
            continue
        occupied = any(p.slot == slot for p in pool.processes)
        if occupied and extra >= SURGE_MAX:
            continue
        extra += occupied
        starts.append(Start(slot, pool.slot_release, pilot=gated))
    return starts


def _is_gated(pool: Pool) -> bool:
    """Tell whether the release must first prove itself in one slot because another one serves."""
    return (
        pool.canary is None
        and not pool.proven
        and pool.accepted not in (None, pool.release)
        and any(p.phase is Phase.READY for p in pool.processes)
    )


def _canary_start(pool: Pool, now: float) -> Iterator[Start]:
    if pool.canary is None or any(_is_canary(pool, p) for p in pool.processes):
        return
    if now >= pool.slot(CANARY_SLOT).retry_at_s and not any(
        p.slot == CANARY_SLOT for p in pool.processes
    ):
        yield Start(CANARY_SLOT, pool.release, SlotGroup.CANARY, pilot=True)


def _by_need(pool: Pool) -> list[int]:
    """Return the slots, those that serve nothing first."""
    serving = {p.slot for p in pool.processes if p.phase is Phase.READY}
    return sorted(range(pool.count), key=lambda slot: (slot in serving, slot))


def _extra(pool: Pool) -> int:
    return len(pool.processes) - len({p.slot for p in pool.processes if p.slot < pool.count})


def _may_start(pool: Pool, slot: int, now: float) -> bool:
    here = [p for p in pool.processes if p.slot == slot]
    if any(pool.is_good(p) or _is_coming(pool, p) for p in here):
        return False
    if now < pool.slot(slot).retry_at_s or len(here) >= LIVE_PER_SLOT_MAX:
        return False
    return not (pool.chained and here)


def with_started(pool: Pool, start: Start, key: int, address: str, now: float) -> Pool:
    """Return the pool with a process of this start on its way."""
    process = Process(
        key, start.slot, start.release, Phase.STARTING, now, group=start.group, address=address
    )
    return replace(pool, processes=(*pool.processes, process))
