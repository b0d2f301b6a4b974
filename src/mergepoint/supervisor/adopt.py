"""Take over what an earlier supervisor left running, or end what nobody wants.

Place:  supervisor.record -> [supervisor.adopt] -> supervisor.run
Rule:   nothing is doubled and nothing that serves is stopped first: what differs is rolled later.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, replace

from mergepoint.core.endpoints import SlotGroup
from mergepoint.core.errors import MergepointError
from mergepoint.supervisor.contract import AppSpec
from mergepoint.supervisor.edge_process import EdgeProcesses
from mergepoint.supervisor.pool import Phase, Pool, Process
from mergepoint.supervisor.probe import answers
from mergepoint.supervisor.record import Record, Recorded, edges
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import EDGE, Running, edge_spec
from mergepoint.supervisor.spawn import Child, adopt
from mergepoint.supervisor.workers import Workers

PROBE_TIMEOUT_S = 2.0
END_S = 5.0


@dataclass(slots=True)
class Left:
    """A recorded process that is still the same process."""

    entry: Recorded
    child: Child


async def adopt_edge(running: Running, record: Record, processes: EdgeProcesses) -> dict[str, int]:
    """Connect to a surviving edge and return its listeners; empty when there is none."""
    for left in _alive(edges(record)):
        try:
            await processes.connected(left.entry.key)
            fds = await running.doors[left.entry.key].listeners()
        except (MergepointError, OSError, TimeoutError):
            running.doors.pop(left.entry.key, None)
            left.child.kill_group()
            await left.child.exited.wait()
            continue
        _take(running, EDGE, left)
        running.spawn_task(processes.watch(left.entry.key, left.child))
        return fds
    return {}


async def adopt_workers(running: Running, record: Record, workers: Workers) -> None:
    """Take over every recorded worker of a wanted app; end the others once no edge uses them.

    One that served but does not answer now may only be busy: it is adopted and replaced in turn.
    """
    lefts = _alive([entry for entry in record.processes if entry.app != EDGE])
    answering = await asyncio.gather(*(_answers(running, left) for left in lefts))
    for left, serves in zip(lefts, answering, strict=True):
        entry = left.entry
        served = entry.phase == Phase.READY
        if entry.app in running.wanted.apps and (
            served or (serves and entry.phase == Phase.STARTING)
        ):
            _take(running, entry.app, left, "" if serves else "does not answer")
            running.spawn_task(workers.watch(entry.app, entry.slot, entry.key, left.child))
        else:
            running.spawn_task(_end(running, workers, left))


def adopted_pool(name: str, spec: AppSpec, release: str, count: int, processes: list[Process],
                 digests: dict[str, str]) -> Pool:  # fmt: skip
    """Return a pool around adopted processes; those of another digest are an older release.

    The release of the adopted processes counts as accepted, so that replacing it is a transaction.
    Its program is no longer known exactly, so a refused release falls back on the present spec.
    """
    same = [p for p in processes if digests[p.release] == spec.digest]
    if same:
        kept = max(same, key=lambda p: p.key).release
        aligned = tuple(
            replace(p, release=kept) if digests[p.release] == spec.digest else p for p in processes
        )
        return Pool(name, spec, kept, count, kept, spec, proven=True, processes=aligned)
    if not processes:
        return Pool(name, spec, release, count)
    old = processes[0].release
    older = replace(spec, digest=digests[old])
    return Pool(name, spec, release, count, old, older, processes=tuple(processes))


def _alive(entries: list[Recorded]) -> list[Left]:
    found = ((entry, adopt(entry.pid, entry.started_at)) for entry in entries)
    return [Left(entry, child) for entry, child in found if child is not None]


async def _answers(running: Running, left: Left) -> bool:
    spec = running.wanted.apps.get(left.entry.app)
    if spec is None:
        return False
    if not spec.is_routed:
        return True  # it lives; that it can work it has said to who started it
    return await answers(left.entry.address, spec.probe, PROBE_TIMEOUT_S)


def _take(running: Running, app: str, left: Left, retire: str = "") -> None:
    entry = left.entry
    process = Process(
        entry.key, entry.slot, entry.release, Phase.READY, running.now, SlotGroup(entry.group),
        entry.address, ready_at_s=running.now, retire=retire,
    )  # fmt: skip
    running.children[entry.key] = left.child
    for stream, offset in (entry.offsets or {"output": 0}).items():
        with contextlib.suppress(OSError):
            running.logs.open(app, entry.slot, entry.key, stream, offset)
    pool = running.pools.get(app)
    others = list(pool.processes) if pool else []
    spec = edge_spec(running.wanted) if app == EDGE else running.wanted.apps[app]
    count = pool.count if pool else spec.processes
    spec = replace(spec, sources=_sources(entry, spec, pool))
    known = running.adopted_digests
    known[entry.release] = entry.digest
    release = running.new_release(spec)
    running.pools[app] = adopted_pool(app, spec, release, count, [*others, process], known)
    running.tell(Step.ADOPTED, app, entry.slot, f"pid {entry.pid}")


def _sources(entry: Recorded, spec: AppSpec, pool: Pool | None) -> str:
    """Return which files an adopted process runs; nothing is rolled for them before a reload.

    Processes that differ in them were left in the middle of a roll: they agree with no files.
    """
    its = entry.sources or spec.sources
    return its if pool is None or pool.spec.sources == its else "mixed"


async def _end(running: Running, workers: Workers, left: Left) -> None:
    """End a process nobody wants: when no edge sends to it, gently, then not."""
    await workers.unused(left.entry.address, END_S)
    left.child.signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await left.child.exited.wait()
    except TimeoutError:
        left.child.kill_group()
    running.tell(Step.STOPPED, left.entry.app, left.entry.slot, "left by an earlier supervisor")
