"""A job in an app's hands: finished by leaving its block, given back by an exception.

Place:  bus.doorway_queues -> [bus.job] -> bus.calls, bus.keeping
Rule:   nothing of a lost job is completed: leaving the block then raises `LeaseLost`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from mergepoint.bus import context
from mergepoint.bus.calls import Calls
from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import LeaseLost
from mergepoint.bus.keeping import Keeper
from mergepoint.bus.loop import LoopThread

REASON_CHARACTERS_MAX = 500
NOT_ITS_FAULT = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
"""What ends a block without the job having failed: the attempt does not count."""


class Job:
    """One job; false when there was none, and then a block around it does nothing."""

    def __init__(
        self, loop: LoopThread, calls: Calls, keeper: Keeper, lease: Lease | None, lease_s: float
    ) -> None:
        self._lease = lease
        self.lease_s = lease_s
        self.lost = False
        """Somebody else has it by now; stop working on it."""
        self._loop = loop
        self._calls = calls
        self._keeper = keeper
        self._settled = lease is None
        self._generation = loop.generation
        self._around = contextlib.ExitStack()

    def __bool__(self) -> bool:
        return self._lease is not None

    @property
    def lease(self) -> Lease:
        """The engine's lease: message, attempt, key."""
        if self._lease is None:
            raise LookupError("there was no job: look at `if job` before its value")
        return self._lease

    @property
    def value(self) -> Any:
        """What was put; raises `Undecodable`."""
        return self._calls.value(self.lease.message)

    @property
    def id(self) -> str:
        """The message's id: what a duplicate is known by."""
        return self.lease.message.id

    @property
    def attempt(self) -> int:
        """1 at the first delivery."""
        return self.lease.attempt

    def mark_lost(self) -> None:
        """Know that the lease was lost; the keeper's alone."""
        self.lost = True

    def ack(self) -> None:
        """It is done; raises `LeaseLost`. A second call does nothing."""
        self._loop.wait(self._ack)

    async def aack(self) -> None:
        """As `ack`."""
        await self._loop.join(self._ack)

    def nack(self, *, delay_s: float = 0.0, reason: str = "", burn: bool = True) -> None:
        """Give it back; raises `LeaseLost`. Nothing happens once it is settled."""
        self._loop.wait(lambda: self._nack(delay_s, reason, burn))

    async def anack(self, *, delay_s: float = 0.0, reason: str = "", burn: bool = True) -> None:
        """As `nack`."""
        await self._loop.join(lambda: self._nack(delay_s, reason, burn))

    def bury(self, reason: str) -> None:
        """Make it dead now; raises `LeaseLost`. Nothing happens once it is settled."""
        self._loop.wait(lambda: self._bury(reason))

    async def abury(self, reason: str) -> None:
        """As `bury`."""
        await self._loop.join(lambda: self._bury(reason))

    def __enter__(self) -> Job:
        self._enter_context()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._around.close()
        if not self._settled:
            self._loop.wait(lambda: self._settle(error))

    async def __aenter__(self) -> Job:
        self._enter_context()
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._around.close()
        if not self._settled:
            await self._loop.join(lambda: self._settle(error))

    def _enter_context(self) -> None:
        if self._lease is not None:
            received = self._lease.message.extensions
            self._around.enter_context(context.continued(received, app=self._calls.app))

    async def _settle(self, error: BaseException | None) -> None:
        if error is None:
            await self._ack()
            return
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS_MAX]
        with contextlib.suppress(LeaseLost):  # the error that ended the block is what matters
            await self._nack(0.0, reason, not isinstance(error, NOT_ITS_FAULT))

    async def _ack(self) -> None:
        if self._is_settled():
            return
        async with self._calls.call("ack") as engine:
            lost = await engine.ack([self.lease])
        self._done()
        if lost:
            self.lost = True
            raise LeaseLost(
                f"{self.lease.queue}: job {self.id} was given to somebody else while it was worked"
                " on; what was done for it may be done twice"
            )

    async def _nack(self, delay_s: float, reason: str, burn: bool) -> None:
        if self._is_settled():
            return
        try:
            async with self._calls.call("nack", *(("delay",) if delay_s else ())) as engine:
                await engine.nack(self.lease, delay_s=delay_s, reason=reason, burn=burn)
        except LeaseLost:
            self.lost = True
            self._done()
            raise
        self._done()

    async def _bury(self, reason: str) -> None:
        if self._is_settled():
            return
        try:
            async with self._calls.call("bury", "dead_letters") as engine:
                await engine.bury(self.lease, reason=reason)
        except LeaseLost:
            self.lost = True
            self._done()
            raise
        self._done()

    def _is_settled(self) -> bool:
        self._loop.check_generation(self._generation, "this job")
        return self._settled

    def _done(self) -> None:
        self._settled = True
        self._keeper.release(self.lease)
