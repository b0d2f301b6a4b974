"""Keep every edge obeying the newest snapshot, and say when it does.

Place:  supervisor.running -> [supervisor.publish] -> edge
Rule:   one snapshot at a time; changes that come meanwhile are joined into the next; a stalled edge
        delays nothing but the draining that depends on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

from mergepoint.core.errors import MergepointError
from mergepoint.supervisor.contract import EdgeDoor, Json
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import Running, canary_share, endpoints, failures

APPLY_TIMEOUT_S = 5.0
RETRY_S = 0.5
DUE_S_MIN = 0.05
"""Shortest pause before a snapshot that is due: two clocks never agree to the millisecond."""


class Publisher:
    """Compiles, writes and applies snapshots; `settled` waits for what was asked so far."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._asked = 0
        self._done = 0
        self._turn = asyncio.Condition()
        self._last: str = ""
        self._due: asyncio.Task[None] | None = None

    def notice(self) -> None:
        """Publish when what the edge should know differs from what it was told."""
        if self._essence() != self._last:
            self.force()

    def force(self) -> None:
        """Publish also without a change: a new edge or a new compiler."""
        self._last = self._essence()
        self._asked += 1
        self._running.spawn_task(self._publish())

    async def settled(self) -> None:
        """Return when every edge has what was asked for until now."""
        asked = self._asked
        async with self._turn:
            await self._turn.wait_for(lambda: self._done >= asked)

    def write(self) -> Path:
        """Write the snapshot of this moment for an edge that starts, and return its path."""
        path = self._running.wanted.run_dir / "snapshot.json"
        write_atomically(path, json.dumps(self._compile()).encode())
        return path

    def _essence(self) -> str:
        running = self._running
        return repr((
            endpoints(running.routed), failures(running.routed, running.wanted.failures),
            canary_share(running.routed),
        ))  # fmt: skip

    def _compile(self) -> Json:
        running = self._running
        running.generation += 1
        known = {name: pool for name, pool in running.routed.items() if not pool.ending}
        return running.compile(
            endpoints(known), failures(known, running.wanted.failures), running.generation,
            canary_share(known),
        )  # fmt: skip

    async def apply_now(self) -> None:
        """Apply a snapshot at once and raise `EdgeRefused` when an edge finds it invalid."""
        async with self._turn:
            snapshot = self._compile()
            for door in list(self._running.doors.values()):
                async with asyncio.timeout(APPLY_TIMEOUT_S):
                    await door.apply(snapshot)

    async def _publish(self) -> None:
        async with self._turn:
            while self._done < self._asked:
                asked = self._asked
                if await self._publish_once():
                    self._done = asked
                    self._turn.notify_all()
                    self._come_again()
                else:
                    # The lock is kept: what is asked for meanwhile joins this snapshot.
                    await self._running.clock.sleep(RETRY_S)

    def _come_again(self) -> None:
        """Publish once more when time alone will have changed the snapshot: a key is of age."""
        if self._due is not None:
            self._due.cancel()
        due_s = self._running.compile.due_s()
        self._due = None if due_s is None else self._running.spawn_task(self._later(due_s))

    async def _later(self, due_s: float) -> None:
        await self._running.clock.sleep(max(due_s, DUE_S_MIN))
        self._due = None
        self.force()

    async def _publish_once(self) -> bool:
        snapshot = self._compile()
        path = self._running.wanted.run_dir / "snapshot.json"
        try:
            write_atomically(path, json.dumps(snapshot).encode())
        except OSError as error:
            self._running.tell(Step.FAILED, "", None, f"{path}: {error}")
        doors = list(self._running.doors.values())
        results = await asyncio.gather(*(self._apply(door, snapshot) for door in doors))
        return all(results)

    async def _apply(self, door: EdgeDoor, snapshot: Json) -> bool:
        """Apply at one edge; one that has gone is no obstacle, one that stalls is asked again."""
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S):
                await door.apply(snapshot)
        except (MergepointError, OSError, TimeoutError) as error:
            if door not in self._running.doors.values():
                return True
            self._running.tell(Step.FAILED, "edge", None, f"snapshot not applied: {error}")
            return False
        return True


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file whole or not at all; mode 0600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
