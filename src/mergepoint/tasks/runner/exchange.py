"""What a runner asks of queue and ledger: jobs that are begun, and an end to those that are done.

Place:  runner.service, runner.reporting -> [runner.exchange] -> Engine, Ledger
Rule:   ledger first, then what it released, then the messages: whoever dies in between leaves a
        message that the ledger refuses. Where one hub is both, all of it is one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from mergepoint.bus.contract import Engine, Lease
from mergepoint.bus.errors import BusError, BusRefused
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Ending, Finish, Finished, Ledger, Start, Started
from mergepoint.tasks.ledger.documents import from_plain
from mergepoint.tasks.sending import put_releases

RETURN_S = 10.0
"""How long what came for a runner that stopped may take to go back."""
FRESH = 0.5
"""The share of a lease after which an answer that was waited for is looked at twice."""
Begun = tuple[Lease, Started]


@runtime_checkable
class TakesAnd(Protocol):
    """An engine whose take can do more in the same transaction: the hub."""

    async def take_and(
        self,
        then: Mapping[str, Any],
        queues: Sequence[str],
        *,
        worker: str,
        limit: int,
        lease_s: float,
        wait_s: float,
        unwanted: Callable[[Sequence[Lease]], None],
    ) -> tuple[list[Lease], Any]:
        """Take, and have `then` done with what was taken."""
        ...

    def done(self, leases: Sequence[Lease]) -> None:
        """Forget leases that were finished otherwise."""
        ...


@runtime_checkable
class Settles(Protocol):
    """A ledger that ends messages with their runs."""

    async def settle(self, finishes: Sequence[Finish]) -> Finished:
        """Finish runs and their messages."""
        ...


class Exchange:
    """Queue and ledger as they are: a call for each."""

    looks_ahead = False
    """Whether more may be taken than can begin: what a dead runner had is free again at once."""

    def __init__(
        self, engine: Engine, ledger: Ledger, clock: Clock, address: str, lease_s: float
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._clock = clock
        self._address = address
        self._lease_s = lease_s

    async def take(self, queues: Sequence[str], limit: int, wait_s: float) -> list[Begun]:
        """Return what was taken, with what the ledger says to it."""
        leases = await self._engine.take(
            queues, worker=self._address, limit=limit, lease_s=self._lease_s, wait_s=wait_s
        )
        return await self._started(leases)

    async def settle(self, finishes: Sequence[Finish], leases: Sequence[Lease]) -> Finished:
        """End runs, then their messages; `leases` are those of the finishes that are held here."""
        made = await self._ledger.finish(finishes)
        now = self._clock.unix_s()
        await put_releases(self._engine, self._ledger, made.releases, self._address, now)
        lost = {settled.id for settled in made.settled if settled.lost}
        ids = {finish.token: finish.id for finish in finishes}
        await self._ack([lease for lease in leases if ids.get(lease.token) not in lost])
        return made

    async def close(self) -> None:
        """Wait for what is on its way back."""

    async def _started(self, leases: Sequence[Lease]) -> list[Begun]:
        starts = [
            Start(message_id=lease.message.id, token=lease.token, worker=self._address)
            for lease in leases
        ]
        begun = list(zip(leases, await self._ledger.start(starts), strict=True))
        # Messages the ledger refuses are let go; one that comes again is refused again.
        await self._ack([lease for lease, started in begun if started.record is None])
        return begun

    async def _ack(self, leases: Sequence[Lease]) -> None:
        if leases:
            with contextlib.suppress(BusError):
                await self._engine.ack(leases)


class HubExchange(Exchange):
    """One hub that is queue and ledger: one call for taking, one for ending."""

    looks_ahead = True

    def __init__(
        self, engine: Engine, ledger: Ledger, clock: Clock, address: str, lease_s: float
    ) -> None:
        super().__init__(engine, ledger, clock, address, lease_s)
        self._going_back: set[asyncio.Task[None]] = set()
        self._cancelled: set[asyncio.Future[None]] = set()
        self._is_older = False

    async def take(self, queues: Sequence[str], limit: int, wait_s: float) -> list[Begun]:
        """Return what was taken and begun in one transaction."""
        assert isinstance(self._engine, TakesAnd)  # noqa: S101 - `exchange_of` looked
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        told: asyncio.Future[None] = loop.create_future()

        def unwanted(leases: Sequence[Lease]) -> None:
            going = asyncio.create_task(self._return(leases, told))
            self._going_back.add(going)
            going.add_done_callback(self._going_back.discard)

        try:
            leases, answer = await self._engine.take_and(
                {"op": "ledger.begin", "worker": self._address}, queues, worker=self._address,
                limit=limit, lease_s=self._lease_s, wait_s=wait_s, unwanted=unwanted,
            )  # fmt: skip
        except asyncio.CancelledError:
            self._cancelled.add(told)
            raise
        if not isinstance(answer, Mapping) or "ok" not in answer:
            return await self._started(leases)
        begun = list(zip(leases, from_plain(list[Started], answer["ok"]), strict=True))
        over = [lease for lease, started in begun if started.record is None]
        if leases and loop.time() - asked_s >= self._lease_s * FRESH:
            # This process may have stood still with the answer unread, and others have them now.
            over += await self._engine.extend(leases, self._lease_s)
        self._engine.done(over)
        lost = {lease.token for lease in over}
        return [(lease, started) for lease, started in begun if lease.token not in lost]

    async def settle(self, finishes: Sequence[Finish], leases: Sequence[Lease]) -> Finished:
        """End runs and messages in one transaction."""
        assert isinstance(self._ledger, Settles)  # noqa: S101 - `exchange_of` looked
        assert isinstance(self._engine, TakesAnd)  # noqa: S101
        if not self._is_older:
            try:
                made = await self._ledger.settle(finishes)
            except BusRefused:
                self._is_older = True  # a hub of before an upgrade
            else:
                self._engine.done(leases)
                return made
        return await super().settle(finishes, leases)

    async def close(self) -> None:
        """Wait for what came after its take was cancelled, and is on its way back."""
        if self._cancelled:
            await asyncio.wait(self._cancelled, timeout=RETURN_S)

    async def _return(self, leases: Sequence[Lease], told: asyncio.Future[None]) -> None:
        """Give back what the hub has begun for nobody: no attempt and no crash is counted."""
        try:
            if leases:
                finishes = [
                    Finish(
                        id=lease.message.id.partition(".")[0],
                        token=lease.token,
                        ending=Ending.RETURNED,
                        error="the runner stopped",
                    )
                    for lease in leases
                ]
                with contextlib.suppress(BusError):
                    await self.settle(finishes, leases)
        finally:
            if not told.done():
                told.set_result(None)


def exchange_of(
    engine: Engine, ledger: Ledger, clock: Clock, address: str, lease_s: float
) -> Exchange:
    """Return the shortest way to this engine and this ledger."""
    at_once = ledger.is_queue and isinstance(engine, TakesAnd) and isinstance(ledger, Settles)
    kind = HubExchange if at_once else Exchange
    return kind(engine, ledger, clock, address, lease_s)
