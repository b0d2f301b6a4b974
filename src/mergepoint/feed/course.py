"""One turn of one handler along a log: from where it stopped to the present.

Place:  feed.handlers -> [feed.course] -> feed.positions, a reader
Rule:   steps on the site's loop; between two of them the handler runs where tasks run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mergepoint.feed.contract import Change, Op, Position, Reader
from mergepoint.feed.positions import Positions

PAUSE_S, PAUSE_S_MAX = 1.0, 60.0
"""After a failure; doubles each time."""


@dataclass(slots=True)
class Course:
    """`begin`, then `next` and `settle` until there is nothing, then `end`."""

    name: str
    owner: str
    tables: frozenset[str]
    batch: int
    lease_s: float
    reader: Callable[[], Reader]
    positions: Callable[[], Awaitable[Positions]]
    _at: Position | None = None
    _to: Position | None = None
    _mine: bool = False
    _failures: int = 0

    async def begin(self) -> bool:
        """Take a turn; False while somebody else has it, or the last failure is too young."""
        kept = await self.positions()
        turn = await kept.take(self.name, self.owner, self.lease_s)
        self._mine, self._failures = turn.mine, turn.failures
        if not turn.mine:
            return False
        self._at = turn.position
        if self._at is None:
            # Nobody has been here: what was before is not told.
            self._to = (await self.reader().read(None)).position
            await self.settle()
        return True

    async def next(self) -> list[Change]:
        """Return the next changes of these tables, [] at the present."""
        while True:
            batch = await self.reader().page(self._at, self.batch)
            self._to = batch.position
            if batch.gap:
                return [Change(table, Op.GAP) for table in sorted(self.tables) or ["*"]]
            if not batch.changes:
                return []
            wanted = [one for one in batch.changes if not self.tables or one.table in self.tables]
            if wanted:
                return wanted
            if not await self.settle():
                return []

    async def settle(self) -> bool:
        """Note that everything `next` returned is done; False when the turn is over."""
        assert self._to is not None  # noqa: S101 - `next` or `begin` came before
        self._at = self._to
        kept = await self.positions()
        self._mine = await kept.move(self.name, self.owner, self._at, self.lease_s)
        return self._mine

    async def end(self, *, failed: bool) -> None:
        """Give the turn back; after a failure nobody gets it for a while."""
        if self._mine:
            failures = self._failures + 1 if failed else 0
            pause_s = min(PAUSE_S * 2 ** min(self._failures, 10), PAUSE_S_MAX) if failed else 0.0
            kept = await self.positions()
            await kept.release(self.name, self.owner, pause_s, failures)
