"""Keep the leases of this process alive while their jobs are worked on.

Place:  bus.doorway_queues -> [bus.keeping] -> bus.calls
Rule:   runs on the engine's loop, so a handler that computes or waits elsewhere keeps its lease;
        a job that nobody holds any more (its object is gone) is given back, not kept for ever.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Protocol

from mergepoint.bus.calls import Calls
from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import BusError, LeaseLost

log = logging.getLogger("mergepoint.bus")

BEATS_PER_LEASE = 3
"""Two beats may fail before a lease ends."""


class Held(Protocol):
    """A job in somebody's hands."""

    lease_s: float

    @property
    def lease(self) -> Lease:
        """What is held."""
        ...

    def mark_lost(self) -> None:
        """Be told that somebody else has it by now."""
        ...


class Keeper:
    """Extends every lease three times in its length."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._held: dict[str, tuple[weakref.ref[Held], Lease, float]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def keep(self, job: Held) -> None:
        """Extend this one from now on."""
        self._held[job.lease.token] = (weakref.ref(job), job.lease, job.lease_s)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def release(self, lease: Lease) -> None:
        """Extend it no more; unknown ones do nothing."""
        self._held.pop(lease.token, None)

    def drop(self) -> None:
        """Extend nothing any more, and give nothing back: as a process that died."""
        self._held.clear()

    async def stop(self) -> None:
        """Extend nothing any more."""
        self._held.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._held:
            self._changed.clear()
            shortest_s = min(lease_s for _, _, lease_s in self._held.values())
            sleeping = asyncio.ensure_future(self._calls.clock.sleep(shortest_s / BEATS_PER_LEASE))
            changed = asyncio.ensure_future(self._changed.wait())
            # A new job may have a shorter lease than what is slept for.
            await asyncio.wait({sleeping, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if sleeping.done():
                await self._beat()
            sleeping.cancel()

    async def _beat(self) -> None:
        await self._give_back_abandoned()
        by_length: dict[float, list[Lease]] = {}
        for _, lease, lease_s in self._held.values():
            by_length.setdefault(lease_s, []).append(lease)
        for lease_s, leases in by_length.items():
            try:
                async with self._calls.call("extend") as engine:
                    lost = await engine.extend(leases, lease_s)
            except BusError as error:
                log.warning("leases could not be extended: %s", error)
                continue
            for lease in lost:
                job, _, _ = self._held.pop(lease.token, (lambda: None, None, 0.0))
                held = job()
                if held is not None:
                    held.mark_lost()

    async def _give_back_abandoned(self) -> None:
        for token, (job, lease, _) in list(self._held.items()):
            if job() is None:
                del self._held[token]
                try:
                    async with self._calls.call("nack") as engine:
                        await engine.nack(lease, reason="nobody worked on it", burn=False)
                except LeaseLost:
                    pass
                except BusError as error:
                    log.warning("a job could not be given back: %s", error)
