"""Carry out the plan for the processes of an app: start and prove, drain, stop, kill.

Place:  supervisor.run -> [supervisor.workers] -> supervisor.spawn, supervisor.probe
Rule:   decides nothing; each action ends in an event that changes the pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from mergepoint.core.endpoints import Failure
from mergepoint.core.errors import MergepointError
from mergepoint.supervisor import pool as pools
from mergepoint.supervisor.cgroup import Groups, find
from mergepoint.supervisor.contract import AppSpec, Role
from mergepoint.supervisor.launch import FD_FIRST
from mergepoint.supervisor.limits import OOM_SCORE_ADJ, niceness, rlimits
from mergepoint.supervisor.places import socket_dir
from mergepoint.supervisor.plan import Drain, Kill, Start, Stop
from mergepoint.supervisor.probe import prove
from mergepoint.supervisor.publish import Publisher
from mergepoint.supervisor.ready import VARIABLE, read_ready
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import Running
from mergepoint.supervisor.services import shown
from mergepoint.supervisor.sockets import free_tcp_port
from mergepoint.supervisor.spawn import Child, Launch, SpawnRefused, spawn

SPOOL_WAIT_S = 0.05
LATE_LOOKS_MAX = 100
END_S = 2.0
"""How long a process may take to end after it closed its readiness pipe."""
PERSONAL = {"HOME", "TMPDIR"}
"""Variables of ours that mean nothing to an app with its own user; it gets its own HOME."""


class Workers:
    """Starts and ends workers."""

    def __init__(self, running: Running, publisher: Publisher) -> None:
        self._running = running
        self._publisher = publisher
        self._groups: Groups | None = None

    def address(self, spec: AppSpec, slot: int, key: int) -> str:
        """Return the address of a new process; new for every process, so that none is mistaken.

        Empty for a process without a route.
        """
        if not spec.is_routed:
            return ""
        if spec.endpoint == "tcp":
            return f"tcp:127.0.0.1:{free_tcp_port()}"
        return f"unix:{self._socket_dir(spec)}/{spec.name}.{slot}.g{key}.sock"

    async def start(self, app: str, start: Start, key: int) -> None:
        """Start a process, wait until it proves itself, and watch it until its end."""
        running = self._running
        process = self._process(app, key)
        if process is None:
            return
        spec = running.pools[app].spec_of(start.release)
        began = running.now
        running.tell(Step.STARTING, app, start.slot)
        pipe = None if spec.is_routed else os.pipe()
        try:
            fds = (pipe[1],) if pipe else ()
            child = await spawn(self._launch(spec, start.slot, key, process.address, fds))
        except (SpawnRefused, OSError) as error:
            if pipe:
                os.close(pipe[0])
            self._not_started(spec, start.slot, key, error)
            return
        finally:
            if pipe:
                os.close(pipe[1])
        if self._process(app, key) is None:
            # It was given up while it was on its way.
            child.kill_group()
            if pipe:
                os.close(pipe[0])
            return
        running.children[key] = child
        running.wake.set()
        running.spawn_task(self.watch(app, start.slot, key, child))
        settle_s = spec.probe.settle_s if start.pilot else 0.0
        if pipe:
            failure = await self._said_ready(child, pipe[0], spec, settle_s)
        else:
            failure = await self._proven(child, process.address, spec, settle_s)
        if child.exited.is_set():
            return
        if failure is None:
            # Told first: the last process that becomes ready is what rolls the app.
            running.tell(Step.READY, app, start.slot, f"{running.now - began:.1f} s")
            running.change(app, partial(pools.ready, key=key, now=running.now))
        else:
            failure = self._with_words(failure, spec.name, start.slot, key)
            running.tell(Step.FAILED, app, start.slot, failure.reason, failure.next)
            running.change(app, partial(pools.unready, key=key, now=running.now, failure=failure))

    async def watch(self, app: str, slot: int, key: int, child: Child) -> None:
        """Wait for the end of a process and let the pool know how it ended."""
        await child.exited.wait()
        running = self._running
        await running.clock.sleep(SPOOL_WAIT_S)
        running.logs.finish(key)
        running.children.pop(key, None)
        running.rss_bytes.pop(key, None)
        running.cpu_s.pop(key, None)
        before = self._process(app, key)
        if before is None:
            return
        self._remove_socket(before.address)
        failure = self._why(app, slot, key, child)
        if before.phase is pools.Phase.READY:
            running.tell(Step.CRASHED, app, slot, failure.reason, failure.next)
        elif before.phase is pools.Phase.STARTING and not before.doomed:
            running.tell(Step.FAILED, app, slot, failure.reason, failure.next)
        elif before.phase is pools.Phase.STOPPING and not before.doomed:
            running.tell(Step.KILLED if before.killed else Step.STOPPED, app, slot)
        running.change(app, partial(pools.exited, key=key, now=running.now, failure=failure))

    async def drain(self, app: str, action: Drain, drain_s: float) -> None:
        """Wait until no edge has a request on the process any more."""
        running = self._running
        process = self._process(app, action.key)
        if process is None:
            return
        running.tell(Step.DRAINING, app, process.slot, process.retire)
        await self.unused(process.address, drain_s)
        running.change(app, partial(pools.changed, key=action.key, drained=True))

    async def unused(self, address: str, drain_s: float) -> None:
        """Return when every edge has the present snapshot and holds no request on the address."""
        if not address:
            return
        await self._publisher.settled()
        doors = list(self._running.doors)
        await asyncio.gather(*(self._await_drained(key, address, drain_s) for key in doors))

    def signal(self, app: str, action: Stop | Kill) -> None:
        """Ask a process to end, or end it; one only just being started ends at its start."""
        child = self._running.children.get(action.key)
        if child is None:
            self._running.spawn_task(self._signal_late(app, action))
        elif isinstance(action, Kill):
            child.kill_group()
        else:
            child.signal(signal.SIGTERM)

    async def _signal_late(self, app: str, action: Stop | Kill) -> None:
        """Wait for a process on its way; one that never comes has ended for its pool."""
        running = self._running
        for _ in range(LATE_LOOKS_MAX):
            await running.clock.sleep(SPOOL_WAIT_S)
            if self._process(app, action.key) is None:
                return
            if action.key in running.children:
                self.signal(app, action)
                return
        failure = Failure("it never came to run")
        running.change(app, partial(pools.exited, key=action.key, now=running.now, failure=failure))

    def _process(self, app: str, key: int) -> pools.Process | None:
        pool = self._running.pools.get(app)
        return pool.process(key) if pool else None

    async def _await_drained(self, edge: int, address: str, drain_s: float) -> None:
        # An edge that has gone holds no request; the plan has its own deadline for one that stalls.
        with contextlib.suppress(MergepointError, OSError, TimeoutError, KeyError):
            await self._running.doors[edge].await_drained(address, drain_s)

    async def _proven(
        self, child: Child, address: str, spec: AppSpec, settle_s: float
    ) -> Failure | None:
        probing = asyncio.ensure_future(
            prove(address, spec.probe, self._running.clock, settle_s=settle_s)
        )
        exiting = asyncio.ensure_future(child.exited.wait())
        try:
            await asyncio.wait({probing, exiting}, return_when=asyncio.FIRST_COMPLETED)
            return probing.result() if probing.done() else None
        finally:
            probing.cancel()
            exiting.cancel()

    async def _said_ready(
        self, child: Child, fd: int, spec: AppSpec, settle_s: float
    ) -> Failure | None:
        """Wait for the word of a process without a route; it must still live `settle_s` later."""
        try:
            await read_ready(fd, spec.probe.timeout_s)
        except TimeoutError:
            return Failure(f"it was not ready within {spec.probe.timeout_s:g} s")
        except EOFError:
            # Its end says more than the end of its pipe, and is on its way.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await child.exited.wait()
            return Failure("it closed its pipe without being ready")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settle_s):
                await child.exited.wait()
        return None

    def _launch(
        self, spec: AppSpec, slot: int, key: int, address: str, fds: Sequence[int] = ()
    ) -> Launch:
        kind, _, where = address.partition(":")
        port = where.rpartition(":")[2] if kind == "tcp" else ""
        places = {"{socket}": where if kind == "unix" else "", "{port}": port, "{slot}": str(slot)}
        env = inherited(self._running.wanted.environment, spec.user)
        env |= {name: filled(value, places) for name, value in spec.env.items()}
        env |= {"MERGEPOINT_APP": spec.of or shown(spec.name), "MERGEPOINT_SLOT": str(slot)}
        if kind == "unix":
            env["MERGEPOINT_SOCKET"] = where
        elif kind == "tcp":
            env |= {"PORT": port, "HOST": "127.0.0.1"}
        if fds:
            env[VARIABLE] = str(FD_FIRST)
        group = self._group(spec, slot)
        # What serves every other process goes before them, on the CPU and when memory runs out.
        serves = spec.role in {Role.HUB, Role.GATEWAY}
        return Launch(
            tuple(filled(value, places) for value in spec.argv), env, spec.cwd,
            self._running.logs.open(spec.name, slot, key), user=spec.user, group=spec.group,
            rlimits=rlimits(spec.limits), cgroup=group,
            nice=0 if group else niceness(spec.limits.cpu_share),
            batch=not serves, oom_score_adj=0 if serves else OOM_SCORE_ADJ, fds=fds,
        )  # fmt: skip

    def _group(self, spec: AppSpec, slot: int) -> str:
        """Return the control group of a slot; groups are looked for once an app needs one."""
        if spec.limits.cpu_share is None and spec.limits.memory_bytes_max is None:
            return ""
        self._groups = self._groups or find()
        return self._groups.group_for(spec.name, slot, spec.limits)

    def _socket_dir(self, spec: AppSpec) -> Path:
        """Return where this app's sockets lie: apart and owned by its user when it has one."""
        run_dir = self._running.wanted.run_dir
        try:
            return socket_dir(run_dir, spec.user)
        except KeyError:
            return run_dir  # the launch shim tells that there is no such user
        except OSError as error:
            self._running.tell(Step.FAILED, spec.name, None, f"no place for its socket: {error}")
            return run_dir

    def _remove_socket(self, address: str) -> None:
        if address.startswith("unix:"):
            Path(address.removeprefix("unix:")).unlink(missing_ok=True)

    def _not_started(self, spec: AppSpec, slot: int, key: int, error: Exception) -> None:
        running = self._running
        running.logs.finish(key)
        failure = Failure(str(error), "", f"mergepoint config show apps.{spec.of or spec.name}")
        running.tell(Step.FAILED, spec.name, slot, failure.reason, failure.next)
        running.change(spec.name, partial(pools.exited, key=key, now=running.now, failure=failure))

    def _why(self, app: str, slot: int, key: int, child: Child) -> Failure:
        """Return why a process ended: its own words if it had any, else how and its last line."""
        next_step = f"mergepoint logs {shown(app)}"
        if told := self._running.logs.failure_line(app, slot, key):
            return Failure(
                told.get("reason", child.status),
                told.get("where", ""),
                told.get("next") or next_step,
            )
        words = self._running.logs.last_words(app, slot, key)
        return Failure(f"{child.status}: {words}" if words else child.status, "", next_step)

    def _with_words(self, failure: Failure, app: str, slot: int, key: int) -> Failure:
        words = self._running.logs.last_words(app, slot, key)
        reason = f"{failure.reason}; it last said: {words}" if words else failure.reason
        return Failure(reason, failure.where, failure.next or f"mergepoint logs {shown(app)}")


def inherited(environment: Mapping[str, str], user: str | None) -> dict[str, str]:
    """Return what a worker gets of our environment; our home is not that of another user."""
    return {
        name: value for name, value in environment.items() if user is None or name not in PERSONAL
    }


def filled(text: str, places: dict[str, str]) -> str:
    """Return the text with ``{socket}``, ``{port}`` and ``{slot}`` filled in; other braces stay."""
    for name, value in places.items():
        text = text.replace(name, value)
    return text
