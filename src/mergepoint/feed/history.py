"""What one log was read to hold, kept a while for edges that are behind.

Place:  feed.core -> [feed.history]
Rule:   pure and bounded; what it no longer knows is answered with a flush, never with less.

`at` counts reads. A position an edge gives is known by the read after which nothing of its
changes is missing: what came with later reads is what it has not seen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from mergepoint.feed.contract import Batch, FeedLimits, Position
from mergepoint.feed.tags import tags_of


@dataclass(frozen=True, slots=True)
class Told:
    """What an edge is told of one source, but for its lease."""

    position: Position
    tags: frozenset[str]
    flush: bool
    at: int


class History:
    """The reads of one source since the hub began, the oldest forgotten first."""

    def __init__(self, source: str, limits: FeedLimits) -> None:
        self.at = 0
        self.position: Position | None = None
        self._source = source
        self._limits = limits
        self._steps: deque[tuple[int, frozenset[str]]] = deque()
        self._tags = 0
        self._known: OrderedDict[str, int] = OrderedDict()
        """Cursors of this epoch: the read after which they stand."""
        self._complete_from = 0
        """Steps with a greater `at` are all here."""

    def knows(self, position: Position | None) -> bool:
        """Tell whether what came after `position` is in memory, or known to be a flush."""
        if position is None or self.position is None or position.epoch != self.position.epoch:
            return True
        return self._known.get(position.cursor, -1) >= self._complete_from

    def add(self, batch: Batch, relatives: Mapping[str, tuple[str, ...]]) -> None:
        """Take what a read from `self.position` found."""
        self.at += 1
        same = self.position is not None and self.position.epoch == batch.position.epoch
        if not same or batch.gap:
            self._start_anew()  # nobody knows what came between
        else:
            self._step(batch, relatives)
        self.position = batch.position
        self._note(batch.position.cursor, self.at)
        self._forget()

    def add_stranger(
        self, batch: Batch, since: Position, relatives: Mapping[str, tuple[str, ...]]
    ) -> bool:
        """Take what a read from a position this hub never saw found; False: nothing to go on with.

        Its changes, and those of every later read from `self.position`, are all that came after
        it: that position was read before this read began. Others are told a little too much.
        """
        own = self.position
        if batch.gap or own is None or not since.epoch == batch.position.epoch == own.epoch:
            return False
        self.at += 1
        self._note(since.cursor, self.at - 1)
        self._step(batch, relatives)
        self._forget()
        return self.knows(since)

    def told(self, given: Position | None) -> Told:
        """Return what somebody at `given` has not seen. There was a read before."""
        assert self.position is not None  # noqa: S101 - the caller has waited for one
        flush = Told(self.position, frozenset(), flush=True, at=self.at)
        if given is None or given.epoch != self.position.epoch or not self.knows(given):
            return flush
        after = self._known[given.cursor]
        tags: set[str] = set()
        for at, step in reversed(self._steps):
            if at <= after:
                break
            tags |= step
            if len(tags) > self._limits.tags_max:
                return flush
        return Told(self.position, frozenset(tags), flush=False, at=self.at)

    def _step(self, batch: Batch, relatives: Mapping[str, tuple[str, ...]]) -> None:
        tags = tags_of(self._source, batch.changes, relatives)
        if tags:
            self._steps.append((self.at, tags))
            self._tags += len(tags)

    def _note(self, cursor: str, at: int) -> None:
        self._known[cursor] = at
        self._known.move_to_end(cursor)

    def _start_anew(self) -> None:
        self._steps.clear()
        self._tags = 0
        self._known.clear()
        self._complete_from = self.at

    def _forget(self) -> None:
        most = self._limits
        while len(self._steps) > most.history_reads_max or self._tags > most.history_tags_max:
            at, tags = self._steps.popleft()
            self._tags -= len(tags)
            self._complete_from = max(self._complete_from, at)
        while len(self._known) > 2 * most.history_reads_max:
            self._known.popitem(last=False)
