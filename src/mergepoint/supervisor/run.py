"""The supervisor: hold the listeners, follow the plan, answer commands and signals.

Place:  assembly.serve -> [supervisor.run] -> everything else in supervisor
Rule:   joins and loops; decisions are in `plan` and `judge`. No app's failure ends this loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mergepoint.core.clock import Clock
from mergepoint.core.errors import Exit, MergepointError
from mergepoint.supervisor import change, places, record
from mergepoint.supervisor.adopt import adopt_edge, adopt_workers
from mergepoint.supervisor.client import CONTROL_SOCKET
from mergepoint.supervisor.contract import EdgeConnector, WantedSource
from mergepoint.supervisor.control import Control
from mergepoint.supervisor.edge_process import EdgeProcesses
from mergepoint.supervisor.logs import POLL_S, Logs
from mergepoint.supervisor.notify import Notifier
from mergepoint.supervisor.observe import Observer
from mergepoint.supervisor.plan import (
    Drain,
    Kill,
    Start,
    Stop,
    decide,
    performed,
    wake_at_s,
    with_started,
)
from mergepoint.supervisor.pool import Phase, Pool
from mergepoint.supervisor.publish import Publisher
from mergepoint.supervisor.report import Reporter, Step
from mergepoint.supervisor.running import EDGE, Running, edge_spec
from mergepoint.supervisor.services import to_end, waits_for_hub
from mergepoint.supervisor.sockets import from_systemd, take
from mergepoint.supervisor.verbs import Verbs
from mergepoint.supervisor.watch import Watcher
from mergepoint.supervisor.workers import Workers

BOOTS_MAX = max(4, 2 * (os.cpu_count() or 1))
"""Processes starting at the same moment over the whole site; one of each app may always start."""
SLEEP_S_MAX = 5.0
SLEEP_S_MIN = 0.01


class Supervisor:
    """One running site; `run` is called once."""

    def __init__(
        self,
        source: WantedSource,
        connector: EdgeConnector,
        reporter: Reporter,
        clock: Clock,
        *,
        environment: Mapping[str, str],
        watch: bool = False,
    ) -> None:
        wanted, compiler = source()
        self._source = source
        self._watch = watch
        self._environment = environment
        run_dir = wanted.run_dir
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_dir.chmod(0o700)
        self._lock = record.lock(run_dir)
        places.sweep()
        self._spools = places.spool_dir(run_dir)
        logs = Logs(self._spools, wanted.log_dir, reporter, clock)
        self._running = Running(wanted, compiler, connector, reporter, clock, logs)
        self._publisher = Publisher(self._running)
        self._workers = Workers(self._running, self._publisher)
        self._edges = EdgeProcesses(self._running, self._publisher, self._workers)
        self._verbs = Verbs(self._running, self._publisher, self.reload, self.stop)
        self._control = Control(run_dir / CONTROL_SOCKET, self._verbs)
        self._notifier = Notifier(environment)
        self._watcher = Watcher(self._running)
        self._reloading = asyncio.Lock()
        self._now = False
        self._was_ready = False
        self._written: record.Record | None = None

    async def run(self) -> int:
        """Serve until stopped; return the exit code, or raise `MergepointError` at the start."""
        running = self._running
        running.started_s = running.now
        try:
            await self._begin()
            await self._loop()
        finally:
            await self._finish()
        return Exit.OK

    def stop(self, now: bool = False) -> None:
        """Begin to stop; a second call, or `now`, ends everything at once."""
        if self._running.stopping or now:
            self._now = True
        else:
            self._running.tell(Step.SITE_STOPPING, "", None, "finishing what is open")
            self._notifier.stopping()
        self._running.stopping = True
        self._running.wake.set()

    async def reload(self, named: Sequence[str] = ()) -> list[str]:
        """Read the manifest again and roll what changed; a broken one changes nothing.

        With `named` apps, changed files count for those alone.

        Raises what is wrong with it. Reloads follow one another, however many are asked for.
        """
        async with self._reloading:
            return await self._reload(named)

    async def _reload(self, named: Sequence[str]) -> list[str]:
        self._notifier.reloading()
        try:
            wanted, compiler = await asyncio.to_thread(self._source)
            changed = await change.take(self._running, self._publisher, wanted, compiler, named)
        except (MergepointError, TimeoutError) as error:
            self._running.tell(
                Step.CONFIG_REFUSED, "", None, f"nothing was changed: {error}",
                getattr(error, "next", ""),
            )  # fmt: skip
            raise
        else:
            self._watcher.again()
            return changed
        finally:
            self._notifier.ready()

    async def _begin(self) -> None:
        running = self._running
        old = record.load(running.wanted.run_dir / record.RECORD)
        fds = from_systemd(self._environment)
        if old is not None:
            running.keys, running.epochs, running.generation = old.keys, old.epochs, old.generation
            fds |= await adopt_edge(running, old, self._edges)
        running.listeners = take(running.wanted.listeners, fds)
        if old is not None:
            await adopt_workers(running, old, self._workers)
        self._clear_run_dir()
        self._make_pools(old)
        await self._control.start()
        self._install_signals()
        running.spawn_task(self._poll_logs())
        running.spawn_task(Observer(running).run())
        if self._watch:
            running.spawn_task(self._watcher.run())
        if self._notifier.watchdog_s:
            running.spawn_task(self._feed_watchdog(self._notifier.watchdog_s))

    def _make_pools(self, old: record.Record | None) -> None:
        running = self._running
        for name, spec in running.wanted.apps.items():
            if name not in running.pools:
                running.pools[name] = change.new_pool(running, name, spec)
            if old and name in old.counts and spec.processes_min <= old.counts[name]:
                running.pools[name] = replace(running.pools[name], count=old.counts[name])
        if EDGE not in running.pools:
            running.pools[EDGE] = change.new_pool(running, EDGE, edge_spec(running.wanted))

    def _clear_run_dir(self) -> None:
        """Remove sockets and spools of processes that are no more."""
        running = self._running
        live = {
            p.address.removeprefix("unix:")
            for pool in running.pools.values()
            for p in pool.processes
        }
        live |= {self._edges.control_path(key) for key in running.doors}
        kept = (pool.spec.sockets for pool in running.pools.values() if pool.processes)
        live |= {str(path) for paths in kept for path in paths}
        keys = {p.key for pool in running.pools.values() for p in pool.processes}
        for path in list(places.socket_files(running.wanted.run_dir)):
            if str(path) not in live:
                path.unlink(missing_ok=True)
        for path in [*self._spools.glob("*.log"), *self._spools.glob("*.access")]:
            key = path.name.split(".")[-2] if path.name.count(".") >= 3 else ""
            if not key.isdigit() or int(key) not in keys:
                path.unlink(missing_ok=True)

    async def _loop(self) -> None:
        running = self._running
        while True:
            running.wake.clear()
            if running.stopping and self._stopped():
                return
            for name in list(running.pools):
                self._step(name)
            self._publisher.notice()
            self._save()
            self._tell_ready()
            await self._sleep()

    def _step(self, name: str) -> None:
        """Carry out what the plan asks of one pool now."""
        running = self._running
        pool = running.pools[name]
        if pool.ending and not pool.processes and not running.stopping and name != EDGE:
            del running.pools[name]
            return
        for action in decide(pool, running.now, self._boots_left(name)):
            if isinstance(action, Start):
                self._start(name, action)
                continue
            running.change(name, partial(performed, action=action, now=running.now))
            match action:
                case Drain() if name == EDGE:
                    running.spawn_task(self._edges.drain(action))
                case Drain():
                    running.spawn_task(self._workers.drain(name, action, pool.spec.drain_s))
                case Stop() | Kill():
                    self._workers.signal(name, action)

    def _start(self, name: str, start: Start) -> None:
        running = self._running
        key = running.new_key()
        if name == EDGE:
            running.change(name, lambda p: with_started(p, start, key, "", running.now))
            running.spawn_task(self._edges.start(key))
            return
        spec = running.pools[name].spec_of(start.release)
        address = self._workers.address(spec, start.slot, key)
        running.change(name, lambda p: with_started(p, start, key, address, running.now))
        running.spawn_task(self._workers.start(name, start, key))

    def _boots_left(self, name: str) -> int:
        """Return how many processes of an app may be started now.

        Its first is never refused: processes that hang in their start would keep every other app
        from being repaired.
        """
        if name == EDGE:
            return 1
        if waits_for_hub(self._running.apps, name):
            return 0
        starting = {
            app: sum(p.phase is Phase.STARTING for p in pool.processes)
            for app, pool in self._running.apps.items()
        }
        return max(BOOTS_MAX - sum(starting.values()), 1 - starting[name])

    def _stopped(self) -> bool:
        """Let the edge finish first, then apps, then services; tell whether all have ended."""
        running = self._running
        if self._now:
            for child in running.children.values():
                child.kill_group()
        end = lambda pool: replace(pool, ending=True)  # noqa: E731 - one word for three lines
        if not running.pools[EDGE].ending:
            running.change(EDGE, end)
        if self._now or not running.pools[EDGE].processes:
            for name in to_end(running.apps, now=self._now):
                running.change(name, end)
        return not running.children and not any(p.processes for p in running.pools.values())

    async def _sleep(self) -> None:
        running = self._running
        times = [
            at
            for pool in running.pools.values()
            if (at := wake_at_s(pool, running.now)) is not None
        ]
        wait_s = min([SLEEP_S_MAX, *(at - running.now for at in times)])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(SLEEP_S_MIN, wait_s)):
                await running.wake.wait()

    def _tell_ready(self) -> None:
        """Say once that the site serves: the edge is up and every app is ready or has failed."""
        running = self._running
        if self._was_ready or running.stopping or not running.pools[EDGE].complete:
            return
        if all(_has_started(pool) for pool in running.apps.values()):
            self._was_ready = True
            where = " ".join(listener.bound for listener in running.listeners.values())
            for name, failure in running.wanted.failures.items():
                running.tell(Step.FAILED, name, None, failure.reason, failure.next)
            running.tell(Step.SITE_READY, "", None, where)
            self._notifier.ready()

    def _save(self) -> None:
        now = record.current(self._running)
        if now == self._written:
            return
        try:
            record.save(self._running.wanted.run_dir / record.RECORD, now)
            self._written = now
        except OSError as error:
            self._running.tell(Step.FAILED, "", None, f"processes.json is not written: {error}")
            self._written = now  # told once; the next change tries again

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGQUIT, partial(self.stop, now=True))
        loop.add_signal_handler(signal.SIGHUP, lambda: self._running.spawn_task(self._hang_up()))
        loop.add_signal_handler(signal.SIGUSR1, self._running.logs.reopen)
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            # One more or one fewer of what? A site has many pools; `scale` names one.
            loop.add_signal_handler(number, lambda: None)

    async def _hang_up(self) -> None:
        # What went wrong was told by `reload`; there is nobody here to answer.
        with contextlib.suppress(MergepointError, TimeoutError):
            await self.reload()

    async def _poll_logs(self) -> None:
        while True:
            self._running.logs.poll()
            await self._running.clock.sleep(POLL_S)

    async def _feed_watchdog(self, every_s: float) -> None:
        while True:
            self._notifier.watchdog()
            await self._running.clock.sleep(every_s)

    async def _finish(self) -> None:
        running = self._running
        running.ended.set()
        await self._control.close()
        await running.cancel_tasks()
        running.logs.poll()
        running.logs.close()
        for child in running.children.values():
            child.forget()
        for listener in running.listeners.values():
            _close(listener.bound, listener)
        if running.stopping:
            (running.wanted.run_dir / record.RECORD).unlink(missing_ok=True)
            places.tidy(running.wanted.run_dir, self._spools)
            running.tell(Step.SITE_STOPPED)
        os.close(self._lock)


def _close(bound: str, listener: object) -> None:
    close = getattr(listener, "close")  # noqa: B009
    close()
    if bound.startswith("unix:"):
        Path(bound.removeprefix("unix:")).unlink(missing_ok=True)


def _has_started(pool: Pool) -> bool:
    return pool.complete or pool.failure is not None or pool.ending
