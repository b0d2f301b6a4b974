"""Leases of jobs on JetStream: held, kept alive, ended; every end passes the fence first.

Place:  bus.adapters.nats_queues -> [nats_leases] -> nats_fence, nats_dead
Rule:   the server is told of an end only after the fence was passed.

The consumer's `ack_wait` is `Limits.lease_s`: a longer lease is kept alive by this process with
signs of progress, a shorter one ends by its own clock. So a dead worker's job comes back
`Limits.lease_s` after its last sign, whatever its lease was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mergepoint.bus.adapters.nats_dead import DeadLetters
from mergepoint.bus.adapters.nats_fence import Fence, Record, Stage
from mergepoint.bus.adapters.nats_link import Link
from mergepoint.bus.adapters.nats_wire import NANOSECONDS
from mergepoint.bus.contract import Lease, Limits
from mergepoint.bus.errors import BusError, LeaseLost
from mergepoint.core.clock import Clock

SAFE_SHARE = 0.8
"""The part of a lease in which the server has surely not given the job to another."""


@dataclass(eq=False)
class Held:
    """A job in this process's hands."""

    lease: Lease
    fence: str
    revision: int
    record: Record
    reply: str
    headers: dict[str, str]
    attempts_max: int
    ends_at: float
    """Monotonic seconds."""
    touched_at: float
    """When the server was told last that it is worked on."""


class Leases:
    """The jobs in this process's hands."""

    def __init__(self, link: Link, limits: Limits, clock: Clock) -> None:
        self.fence = Fence(link)
        self.dead = DeadLetters(link, clock)
        self._link = link
        self._limits = limits
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._touch_soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep leases alive, and end them, from now on."""
        self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Do nothing any more."""
        if self._task is not None:
            self._task.cancel()

    async def give_back(self) -> None:
        """Return everything that is held, unburnt."""
        held = list(self._held.values())
        results = (self.hand_back(one, 0.0, "the worker closed", burn=False) for one in held)
        await asyncio.gather(*results, return_exceptions=True)

    def hold(self, held: Held) -> None:
        """Keep this one alive from now on."""
        self._held[held.lease.token] = held
        self._touch_soon.set()

    async def let_go(self, held: Held) -> None:
        """Take back what was written for a delivery that is too old; it is no attempt."""
        self._held.pop(held.lease.token, None)
        record = replace(held.record, stage=Stage.BACK, free=held.record.free + 1)
        await self.fence.write(held.fence, record, held.revision)

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        finished = await asyncio.gather(*(self._finish(one) for one in leases))
        return [lease for lease, kept in zip(leases, finished, strict=True) if not kept]

    async def nack(self, lease: Lease, delay_s: float, reason: str, burn: bool) -> None:
        """Give it back; raises `LeaseLost`."""
        held = self._own(lease)
        if held is None or not await self.hand_back(held, delay_s, reason, burn=burn):
            raise _lost(lease)

    async def bury(self, lease: Lease, reason: str) -> None:
        """Make it dead; raises `LeaseLost`."""
        held = self._own(lease)
        if held is None or not await self._bury(held, reason):
            raise _lost(lease)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        extended = await asyncio.gather(*(self._extend(one, lease_s) for one in leases))
        return [lease for lease, kept in zip(leases, extended, strict=True) if not kept]

    def _own(self, lease: Lease) -> Held | None:
        held = self._held.get(lease.token)
        return held if held is not None and held.ends_at > self._clock.monotonic_s() else None

    async def _pass(self, held: Held, record: Record) -> bool:
        """Change the record; False, and no longer held, when somebody else did."""
        written = await self.fence.write(held.fence, record, held.revision)
        if not written:
            # An earlier call may have come through though its answer was lost.
            there, revision = await self.fence.read(held.fence)
            written = revision if there == record else 0
        if not written:
            self._held.pop(held.lease.token, None)
            return False
        held.revision, held.record = written, record
        return True

    async def _finish(self, lease: Lease) -> bool:
        held = self._own(lease)
        if held is None or not await self._pass(held, replace(held.record, stage=Stage.DONE)):
            return False
        await self._over(held)
        return True

    async def _over(self, held: Held) -> None:
        await self._link.request(held.reply, b"+ACK")
        self._held.pop(held.lease.token, None)
        await self.fence.remove(held.revision)

    async def hand_back(self, held: Held, delay_s: float, reason: str, *, burn: bool) -> bool:
        """Return a job; False when it was lost."""
        if burn and held.record.attempt >= held.attempts_max:
            return await self._bury(held, reason or "no attempts left")
        free = held.record.free + (0 if burn else 1)
        record = replace(held.record, stage=Stage.BACK, free=free, reason=reason)
        if not await self._pass(held, record):
            return False
        self._held.pop(held.lease.token, None)
        await self.negative(held, delay_s)
        return True

    async def negative(self, held: Held, delay_s: float) -> None:
        """Let the server deliver it again, unless it may have done so by itself."""
        if self._clock.monotonic_s() - held.touched_at > SAFE_SHARE * self._limits.lease_s:
            return
        told = {"delay": int(delay_s * NANOSECONDS)} if delay_s > 0 else None
        data = b"-NAK" + (b" " + json.dumps(told).encode() if told else b"")
        await self._link.request(held.reply, data)

    async def _bury(self, held: Held, reason: str) -> bool:
        if not await self._pass(held, replace(held.record, stage=Stage.DYING, reason=reason)):
            return False
        await self.die(held)
        return True

    async def die(self, held: Held) -> None:
        """Set a job aside whose record says that it is dying."""
        await self.dead.add(held.lease, held.headers, held.record)
        await self._over(held)

    # --- holding on -------------------------------------------------------------------------------

    async def _extend(self, lease: Lease, lease_s: float) -> bool:
        held = self._own(lease)
        if held is None:
            return False
        now = self._clock.monotonic_s()
        await self._link.request(held.reply, b"+WPI")
        _, revision = await self.fence.read(held.fence)
        if revision != held.revision:
            self._held.pop(lease.token, None)
            return False
        held.ends_at, held.touched_at = now + lease_s, now
        self._touch_soon.set()
        return True

    async def _watch(self) -> None:
        """End leases in time, and tell the server of those that go on."""
        while True:
            self._touch_soon.clear()
            least_s = 0.005 if self._link.connected else 0.25
            pause_s = max(least_s, self._next_touch() - self._clock.monotonic_s())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause_s, 60.0)):
                    await self._touch_soon.wait()
            for held in list(self._held.values()):
                with contextlib.suppress(BusError):
                    await self._touch(held)

    def _next_touch(self) -> float:
        third = self._limits.lease_s / 3
        return min(
            (min(one.ends_at, one.touched_at + third) for one in self._held.values()),
            default=float("inf"),
        )

    async def _touch(self, held: Held) -> None:
        now = self._clock.monotonic_s()
        if held.ends_at <= now:
            self._held.pop(held.lease.token, None)
            await self.negative(held, 0.0)
        elif held.touched_at + self._limits.lease_s / 3 <= now and self._link.connected:
            still_ours = now - held.touched_at <= SAFE_SHARE * self._limits.lease_s
            held.touched_at = now if still_ours else held.touched_at
            if still_ours:
                await (await self._link.client()).publish(held.reply, b"+WPI")
            else:
                held.ends_at = min(held.ends_at, held.touched_at + self._limits.lease_s)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"the lease of {lease.message.id} in queue {lease.queue} is lost")
