"""Jobs taken over one connection: waits that end with what came, and what nobody wants any more.

Place:  bus.adapters.hub -> [bus.adapters.hub_takes] -> bus.adapters.hub_link
Rule:   a job that came for somebody who gave up goes back at once, uncounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from mergepoint.bus.adapters.hub_answers import leases_of
from mergepoint.bus.adapters.hub_link import HubLink
from mergepoint.bus.adapters.hub_wire import Answer
from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import BusLost

Unwanted = Callable[[Sequence[Lease]], None]
"""Is given jobs for which nobody waits."""
TAKE_WAIT_S_MAX = 600.0
"""One wait at the hub; a longer one is several."""


class Takes:
    """Takes, and the tokens of what is in hand; `back` gives one job back."""

    def __init__(self, link: HubLink, back: Callable[[Lease], Awaitable[None]]) -> None:
        self.held: dict[str, None] = {}
        self._link = link
        self._back = back
        self._giving_back: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End what is under way."""
        for task in tuple(self._giving_back):
            task.cancel()

    async def take(
        self, head: dict[str, Any], wait_s: float, unwanted: Unwanted | None = None
    ) -> tuple[list[Lease], Any]:
        """Return jobs as soon as there is one, and what the hub did with them (`then`).

        When this is cancelled, `unwanted` is given what came all the same, [] for nothing; without
        it that goes back.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while True:
            left_s = min(max(0.0, until_s - loop.time()), TAKE_WAIT_S_MAX)
            number, future = self._link.start({**head, "wait_s": left_s}, wait_s=left_s)
            try:
                answer = await asyncio.shield(future)
                leases = self._taken(answer)
                if leases or loop.time() >= until_s:
                    return leases, answer.value.get("then")
            except BusLost:
                # Nothing was taken that the hub does not take back by itself.
                if loop.time() >= until_s:
                    raise
            except asyncio.CancelledError:
                self._link.cancel(number)
                future.add_done_callback(partial(self._give_back, unwanted or self._return))
                raise

    def _taken(self, answer: Answer) -> list[Lease]:
        leases = leases_of(answer)
        self.held.update(dict.fromkeys(lease.token for lease in leases))
        return leases

    def _give_back(self, unwanted: Unwanted, done: asyncio.Future[Answer]) -> None:
        """Hand on jobs that came for somebody who no longer waits."""
        lost = done.cancelled() or done.exception() is not None
        unwanted([] if lost else leases_of(done.result()))

    def _return(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            task = asyncio.create_task(self._returned(lease))
            self._giving_back.add(task)
            task.add_done_callback(self._gave_back)

    def _gave_back(self, task: asyncio.Task[None]) -> None:
        self._giving_back.discard(task)
        # Lost, or back with its lease: nobody is left to be told.
        _ = task.cancelled() or task.exception()

    async def _returned(self, lease: Lease) -> None:
        await self._back(lease)
