"""Do what a command asks: the verbs of contracts.md section 4.

Place:  supervisor.control -> [supervisor.verbs] -> supervisor.change, supervisor.status
Rule:   a verb ends when its effect is there or refused, with the reason; every wait has a bound.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from mergepoint import __version__
from mergepoint.core.errors import MergepointError
from mergepoint.supervisor import change, figures
from mergepoint.supervisor.judge import canary_s_max
from mergepoint.supervisor.pool import Canary, Phase, Pool
from mergepoint.supervisor.publish import Publisher
from mergepoint.supervisor.report import Progress
from mergepoint.supervisor.running import EDGE, Running, edge_spec
from mergepoint.supervisor.services import meant, shown, together
from mergepoint.supervisor.status import status

Json = dict[str, Any]
Emit = Callable[[Json], Awaitable[None]]
Reload = Callable[[Sequence[str]], Awaitable[list[str]]]
Stop = Callable[[bool], None]

PROGRESS_MAX = 1000
LINES_MAX = 50_000
WATCH_S = 30.0
LOOK_S = 0.1
ROLL_MARGIN_S = 30.0
SETTLED_WAIT_S = 10.0


class VerbRefused(MergepointError):
    """The command is not known or its arguments are wrong."""

    code = "supervisor.verb_refused"


class ReleaseRefused(MergepointError):
    """A release did not prove itself; the old one keeps serving."""

    code = "supervisor.release_refused"


class Verbs:
    """Every verb by name; each takes the arguments of the command and a way to tell progress."""

    def __init__(self, running: Running, publisher: Publisher, reload: Reload, stop: Stop) -> None:
        self._running = running
        self._publisher = publisher
        self._reload = reload
        self._stop = stop
        self._by_name: dict[str, Callable[[Json, Emit], Coroutine[Any, Any, Json]]] = {
            "status": self.status, "reload": self.reload, "restart": self.restart,
            "scale": self.scale, "logs": self.logs, "inflight": self.inflight,
            "metrics": self.metrics, "figures": self.figures, "stop": self.stop, "ping": self.ping,
        }  # fmt: skip

    async def handle(self, verb: str, arguments: Json, emit: Emit) -> Json:
        """Run one verb and return its answer without ``ok``; raises `MergepointError` to refuse."""
        found = self._by_name.get(verb)
        if found is None:
            raise VerbRefused(f"no verb {verb!r}; there are: {', '.join(sorted(self._by_name))}")
        return await found(arguments, emit)

    async def ping(self, _arguments: Json, _emit: Emit) -> Json:
        """Say who we are."""
        return {"pid": os.getpid(), "version": __version__, "site": self._running.wanted.site}

    async def status(self, _arguments: Json, _emit: Emit) -> Json:
        """Describe the site."""
        return status(self._running)

    async def reload(self, arguments: Json, emit: Emit) -> Json:
        """Read the manifest again and roll what changed, or the named apps; end when it serves."""
        names = together(self._running.apps, self._meant(arguments))
        for name in names:
            change.known(self._running, name)
        canary = _canary(arguments)
        changed = await self._reload(names)
        if names or canary:
            chosen = names or [n for n in changed if n in self._running.wanted.apps]
            changed = sorted({*changed, *change.restart(self._running, chosen, canary)})
        await self._rolled(changed, emit, canary)
        removed = {name for name in changed if name not in self._running.wanted.apps}
        rolled = sorted(map(shown, set(changed) - removed))
        return {"rolled": rolled, "removed": sorted(map(shown, removed))}

    async def restart(self, arguments: Json, emit: Emit) -> Json:
        """Roll every slot of the named apps, or of all; with `edge`, replace the edge instead."""
        if arguments.get("edge"):
            change.aim(self._running, EDGE, edge_spec(self._running.wanted))
            await self._rolled([EDGE], emit, None)
            return {"rolled": ["edge"]}
        await change.look(self._running)
        names = change.restart(self._running, self._meant(arguments))
        await self._rolled(names, emit, None)
        return {"rolled": sorted(map(shown, names))}

    def _meant(self, arguments: Json) -> list[str]:
        """Return the pools a command names; `hub` is the service of that name."""
        return [meant(self._running.apps, name) for name in _names(arguments)]

    async def scale(self, arguments: Json, emit: Emit) -> Json:
        """Set the number of slots and wait until they serve."""
        name, count = arguments.get("app"), arguments.get("processes")
        if not isinstance(name, str) or not isinstance(count, int):
            raise VerbRefused("scale needs app and processes")
        change.scale(self._running, name, count)
        await self._rolled([name], emit, None)
        return {"app": name, "processes": count}

    async def logs(self, arguments: Json, emit: Emit) -> Json:
        """Send the last lines, then new ones for ever when asked to follow."""
        app = arguments.get("app")
        lines = min(int(arguments.get("lines", 50)), LINES_MAX)
        logs = self._running.logs
        if not arguments.get("follow"):
            for line in logs.recent(app, lines):
                await emit({"line": line.as_json()})
            return {}
        with logs.follow() as queue:
            for line in logs.recent(app, lines):
                await emit({"line": line.as_json()})
            while (following := await queue.get()) is not None:
                if app in (None, following.app):
                    await emit({"line": following.as_json()})
        raise VerbRefused("the reader was too slow; some lines are missing", next="mergepoint logs")

    async def inflight(self, _arguments: Json, _emit: Emit) -> Json:
        """Pass on what the edges work on now."""
        doors = list(self._running.doors.values())
        return {"requests": [request for door in doors for request in await door.inflight()]}

    async def metrics(self, _arguments: Json, _emit: Emit) -> Json:
        """Pass on the newest edge's metrics."""
        doors = list(self._running.doors.values())
        return {"text": await doors[-1].metrics() if doors else ""}

    async def figures(self, arguments: Json, _emit: Emit) -> Json:
        """Ask Python workers for the CPU and wall seconds of their routes."""
        names = _names(arguments)
        for name in names:
            change.known(self._running, name)
        return {"apps": await figures.collect(self._running, names)}

    async def stop(self, arguments: Json, emit: Emit) -> Json:
        """Stop the site and answer when everything has ended."""
        queue: asyncio.Queue[Progress] = asyncio.Queue(PROGRESS_MAX)
        self._running.watch(queue)
        try:
            self._stop(bool(arguments.get("now")))
            while not self._running.ended.is_set():
                await self._tell(queue, emit)
        finally:
            self._running.unwatch(queue)
        return {}

    async def _rolled(self, names: Iterable[str], emit: Emit, canary: Canary | None) -> None:
        """Wait until every named app serves what is wanted; raise when one was refused."""
        queue: asyncio.Queue[Progress] = asyncio.Queue(PROGRESS_MAX)
        if not self._running.watch(queue):
            raise VerbRefused("too many commands are waiting", next="wait for one of them to end")
        names = list(names)
        deadline = self._running.now + self._patience_s(names, canary)
        try:
            while not all(_is_done(self._running.pools.get(name)) for name in names):
                if self._running.now > deadline or self._running.stopping:
                    raise ReleaseRefused(
                        f"not finished: {', '.join(names)}", next="mergepoint status"
                    )
                await self._tell(queue, emit)
            # What was asked for is there only when the edge obeys it.
            self._publisher.notice()
            async with asyncio.timeout(SETTLED_WAIT_S):
                await self._publisher.settled()
            while not queue.empty():
                await self._tell(queue, emit)
        except TimeoutError as error:
            raise ReleaseRefused(
                "the edge did not take the new snapshot", next="mergepoint status"
            ) from error
        finally:
            self._running.unwatch(queue)
        self._raise_refusal(names)

    def _patience_s(self, names: list[str], canary: Canary | None) -> float:
        total = ROLL_MARGIN_S + (canary_s_max(canary.watch_s) if canary else 0.0)
        for name in names:
            spec, count = self._running.pools[name].spec, self._running.pools[name].count
            total += count * (spec.probe.timeout_s + spec.drain_s + spec.kill_s)
        return total

    async def _tell(self, queue: asyncio.Queue[Progress], emit: Emit) -> None:
        try:
            progress = await asyncio.wait_for(queue.get(), LOOK_S)
        except TimeoutError:
            return
        await emit({"progress": progress.as_json()})

    def _raise_refusal(self, names: list[str]) -> None:
        for name in names:
            pool = self._running.pools.get(name)
            failure = (pool.refused or (None if pool.complete else pool.failure)) if pool else None
            if pool is None or failure is None:
                continue
            where = f" ({failure.where})" if failure.where else ""
            kept = "; the old release keeps serving" if _is_serving(pool) else ""
            raise ReleaseRefused(f"{shown(name)}: {failure.reason}{where}{kept}", next=failure.next)


def _is_serving(pool: Pool) -> bool:
    return any(p.phase is Phase.READY for p in pool.processes)


def _is_done(pool: Pool | None) -> bool:
    if pool is None or pool.refused is not None:
        return True
    if pool.ending:
        return not pool.processes
    serving = [p for p in pool.processes if p.phase is Phase.READY]
    if pool.failure is not None and not serving:
        return True
    replaced = all(pool.is_good(p) and p.slot < pool.count for p in serving)
    return pool.complete and pool.canary is None and replaced


def _names(arguments: Json) -> list[str]:
    names = arguments.get("apps") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise VerbRefused("apps must be a list of names")
    if EDGE in names:
        raise VerbRefused("the edge is no app", next="restart with edge instead of apps")
    return names


def _canary(arguments: Json) -> Canary | None:
    share = arguments.get("canary")
    if share is None:
        return None
    if not isinstance(share, (int, float)) or not 0 < share < 1:
        raise VerbRefused(f"canary {share!r}; a share between 0 and 1 is needed, such as 0.1")
    watch_s = arguments.get("watch_s")
    return Canary(float(share), float(watch_s if watch_s is not None else WATCH_S))
