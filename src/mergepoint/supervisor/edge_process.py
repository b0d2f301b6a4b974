"""Carry out the plan for the edge: start it on the listeners, connect, drain, replace.

Place:  supervisor.run -> [supervisor.edge_process] -> the edge binary
Rule:   the listeners stay open here whatever the edge does: a crash costs what was in flight.
"""

from __future__ import annotations

import contextlib
import os
import resource
from functools import partial

from mergepoint.core.endpoints import Failure
from mergepoint.core.errors import MergepointError
from mergepoint.supervisor import pool as pools
from mergepoint.supervisor.contract import EdgeDoor, Json
from mergepoint.supervisor.plan import Drain
from mergepoint.supervisor.publish import Publisher
from mergepoint.supervisor.ready import VARIABLE, read_ready
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import EDGE, Running
from mergepoint.supervisor.spawn import Child, Launch, SpawnRefused, spawn
from mergepoint.supervisor.workers import Workers

READY_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0


class EdgeProcesses:
    """Starts edges and keeps their control channels."""

    def __init__(self, running: Running, publisher: Publisher, workers: Workers) -> None:
        self._running = running
        self._publisher = publisher
        self._workers = workers

    def control_path(self, key: int) -> str:
        """Return the control socket of an edge."""
        return str(self._running.wanted.run_dir / f"edge.{key}.sock")

    async def start(self, key: int) -> None:
        """Start an edge; it serves once it has written READY and its control channel is open."""
        running = self._running
        running.tell(Step.STARTING, EDGE, 0)
        ready_read, ready_write = os.pipe()
        try:
            child = await spawn(self._launch(key, ready_write))
        except (SpawnRefused, OSError) as error:
            os.close(ready_read)
            self._failed_to_start(key, error)
            return
        finally:
            os.close(ready_write)
        running.children[key] = child
        running.spawn_task(self.watch(key, child))
        try:
            await read_ready(ready_read, READY_TIMEOUT_S)
            await self.connected(key)
        except (MergepointError, OSError, TimeoutError, EOFError) as error:
            # An edge that ended says why on its own; one that hangs is told about here.
            if not child.exited.is_set():
                await running.clock.sleep(0.1)
            if not child.exited.is_set():
                failure = Failure(f"the edge did not become ready: {error or 'timeout'}")
                running.tell(Step.FAILED, EDGE, 0, failure.reason)
                running.change(
                    EDGE, partial(pools.unready, key=key, now=running.now, failure=failure)
                )
            return
        running.change(EDGE, partial(pools.ready, key=key, now=running.now))
        running.tell(Step.READY, EDGE, 0)

    async def connected(self, key: int) -> None:
        """Open the control channel of an edge and listen to its events."""
        door = await self._running.connector(
            self._running.wanted.run_dir / f"edge.{key}.sock", CONNECT_TIMEOUT_S
        )
        self._running.doors[key] = door
        # Between its start and now this edge may have missed a snapshot.
        self._publisher.force()
        self._running.spawn_task(self._listen(door))

    async def watch(self, key: int, child: Child) -> None:
        """Wait for the end of an edge; its control channel ends with it."""
        await child.exited.wait()
        door = self._running.doors.pop(key, None)
        if door is not None:
            with contextlib.suppress(MergepointError, OSError):
                await door.close()
        with contextlib.suppress(OSError):
            os.unlink(self.control_path(key))  # noqa: PTH108
        await self._workers.watch(EDGE, 0, key, child)

    async def drain(self, action: Drain) -> None:
        """Tell an edge to stop accepting and to end when it has finished."""
        self._running.tell(Step.DRAINING, EDGE, 0)
        door = self._running.doors.get(action.key)
        if door is not None:
            with contextlib.suppress(MergepointError, OSError, TimeoutError):
                await door.drain(self._running.wanted.edge.drain_s)
                return
        # Without an answer TERM says the same.
        self._running.change(EDGE, partial(pools.changed, key=action.key, drained=True))

    async def _listen(self, door: EdgeDoor) -> None:
        with contextlib.suppress(MergepointError, OSError):
            async for event in door.events():
                self._noticed(event)

    def _noticed(self, event: Json) -> None:
        if event.get("event") != "request_timeout":
            return
        running = self._running
        pool = running.apps.get(str(event.get("app")))
        address = event.get("address")
        process = next((p for p in pool.processes if p.address == address), None) if pool else None
        if pool is None or process is None or process.retire:
            return
        what = f"{event.get('method')} {event.get('path')}"
        reason = f"{what} took longer than {event.get('after_s')} s"
        running.tell(Step.RECYCLED, pool.name, process.slot, reason)
        running.change(pool.name, partial(pools.retired, key=process.key, reason=reason))

    def _launch(self, key: int, ready_fd: int) -> Launch:
        running = self._running
        names = [spec.name for spec in running.wanted.listeners]
        fds = [running.listeners[name].socket.fileno() for name in names]
        env = dict(running.wanted.environment) | dict(running.wanted.edge.env)
        env |= {
            "LISTEN_FDS": str(len(fds)),
            "LISTEN_FDNAMES": ":".join(names),
            "MERGEPOINT_EDGE_SNAPSHOT": str(self._publisher.write()),
            "MERGEPOINT_EDGE_CONTROL": self.control_path(key),
            VARIABLE: str(3 + len(fds)),
        }
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return Launch(
            running.wanted.edge.argv, env, running.wanted.run_dir,
            running.logs.open(EDGE, 0, key), running.logs.open(EDGE, 0, key, "access"),
            rlimits={"RLIMIT_NOFILE": hard} if hard > 0 else {}, fds=[*fds, ready_fd],
        )  # fmt: skip

    def _failed_to_start(self, key: int, error: Exception) -> None:
        running = self._running
        running.logs.finish(key)
        failure = Failure(str(error), "", "mergepoint doctor")
        running.tell(Step.FAILED, EDGE, 0, failure.reason, failure.next)
        running.change(EDGE, partial(pools.exited, key=key, now=running.now, failure=failure))
