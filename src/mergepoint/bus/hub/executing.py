"""The statements of one group: finished jobs first, then new ones, then the rest, then takers.

Place:  bus.hub.groups -> [bus.hub.executing] -> bus.hub.store
Rule:   inside the group's transaction; answers are kept until it is committed.

The order makes room before it is needed and lets a job that was put be taken by who waits for it in
the same group. Calls that are under way at once have no order of their own; puts keep theirs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from mergepoint.bus.errors import BusError, BusFull
from mergepoint.bus.hub.arrivals import NewEntry, put
from mergepoint.bus.hub.holding import Taken, finish, take
from mergepoint.bus.hub.leases import Held
from mergepoint.bus.hub.queues import Queue
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.takers import Takers
from mergepoint.bus.hub.work import AckWork, AnyWork, PutWork, TakeWork, Work

ROW_BYTES = 256
"""What a message writes besides its data, about."""


class Executing:
    """One group: `run` inside its transaction, `answer` after its commit."""

    def __init__(self, store: Store, takers: Takers) -> None:
        self._store = store
        self._parts = store.parts
        self._takers = takers
        self._answers: list[tuple[Callable[[Any], None], Any]] = []
        self._served: list[tuple[TakeWork, list[Taken]]] = []
        self.written_bytes = 0
        """About how much the group writes."""

    def run(self, works: Sequence[AnyWork]) -> None:
        """Do all of it; raises what SQLite raises."""
        self._acks([work for work in works if isinstance(work, AckWork)])
        self._puts([work for work in works if isinstance(work, PutWork)])
        for work in works:
            if isinstance(work, Work):
                self._work(work)
        self._wake()
        for work in works:
            if isinstance(work, TakeWork) and not work.over:
                self._served.append((work, self._take(work)))

    def answer(self) -> None:
        """Tell everybody what became of their work."""
        for then, result in self._answers:
            then(result)
        for taker, taken in self._served:
            if taken or not taker.waits:
                self._takers.remove(taker)
                taker.over = True
                taker.then(taken)
            elif not taker.over:
                self._takers.add(taker)

    def _work(self, work: Work) -> None:
        mark = self._store.mark() if work.apart else 0
        try:
            result = work.run()
        except BusError as error:
            if work.apart:
                self._store.undo_part(mark)
            self._answers.append((work.fail, error))
            return
        if work.apart:
            self._store.keep_part()
        self.written_bytes += ROW_BYTES
        self._answers.append((work.then, result))

    def _acks(self, works: Sequence[AckWork]) -> None:
        done: dict[str, Held] = {}
        for work in works:
            lost = []
            for token in work.tokens:
                held = None if token in done else self._parts.leases.get(token)
                if held is None:
                    lost.append(token)
                else:
                    done[token] = held
            self._answers.append((work.then, lost))
        if done:
            self.written_bytes += ROW_BYTES * len(done)
            finish(self._parts, list(done.values()))

    def _puts(self, works: Sequence[PutWork]) -> None:
        by_queue: dict[str, list[PutWork]] = {}
        for work in works:
            by_queue.setdefault(work.queue, []).append(work)
        for name, mine in by_queue.items():
            try:
                queue = self._parts.queues.make(name)
            except BusError as error:
                self._answers += [(work.fail, error) for work in mine]
                continue
            if len(mine) == 1 or not self._put_together(queue, mine):
                for work in mine:
                    self._put(queue, work)

    def _put(self, queue: Queue, work: PutWork) -> None:
        try:
            duplicates = put(self._parts, queue, work.entries)
        except BusFull as error:
            self._answers.append((work.fail, error))
            return
        self._count(work.entries)
        self._answers.append((work.then, duplicates))

    def _put_together(self, queue: Queue, works: Sequence[PutWork]) -> bool:
        entries = [entry for work in works for entry in work.entries]
        try:
            duplicates = put(self._parts, queue, entries)
        except BusFull:
            return False  # one by one: some of them may fit
        at = 0
        for work in works:
            end = at + len(work.entries)
            self._answers.append((work.then, duplicates[at:end]))
            at = end
        self._count(entries)
        return True

    def _count(self, entries: Sequence[NewEntry]) -> None:
        size = sum(len(entry.data) + len(entry.attributes) for entry in entries)
        self.written_bytes += size + ROW_BYTES * len(entries)

    def _wake(self) -> None:
        served: set[TakeWork] = set()
        for queue in self._parts.woken:
            for taker in self._takers.at(queue.name):
                if not queue.waiting:
                    break
                if taker in served or taker.over:
                    continue
                taken = self._take(taker)
                if taken:
                    served.add(taker)
                    self._served.append((taker, taken))
        self._parts.woken.clear()

    def _take(self, taker: TakeWork) -> list[Taken]:
        taken = self._taken(taker)
        if taken and taker.also is not None:
            mark = self._store.mark()
            try:
                taker.made = taker.also(taken)
            except BusError:
                # They are taken all the same; without its answer the taker asks for itself.
                self._store.undo_part(mark)
                taker.made = None
            else:
                self._store.keep_part()
            self.written_bytes += ROW_BYTES * len(taken)
        return taken

    def _taken(self, taker: TakeWork) -> list[Taken]:
        queues = [self._parts.queues.named(name) for name in taker.queues]
        there = [queue for queue in queues if queue is not None and queue.waiting]
        if len(there) == 1:
            return self._take_from(there[0], taker, taker.limit)
        taken: list[Taken] = []
        for queue in self._by_turn(there, taker.limit):
            if len(taken) < taker.limit:
                taken += self._take_from(queue, taker, 1)
        return taken

    def _by_turn(self, queues: Sequence[Queue], limit: int) -> list[Queue]:
        """Return whose turn it is, job by job, over all queues: by priority, then by age."""
        turns = [[(*row, queue) for row in self._first_of(queue, limit)] for queue in queues]
        merged = heapq.merge(*turns, key=lambda turn: turn[:2])
        return [turn[2] for _, turn in zip(range(limit), merged, strict=False)]

    def _first_of(self, queue: Queue, limit: int) -> list[tuple[int, int]]:
        rows = self._parts.db.execute(
            "SELECT rank, seq FROM ready WHERE queue = ? ORDER BY rank, seq LIMIT ?",
            (queue.number, limit),
        )
        return [(row[0], row[1]) for row in rows]

    def _take_from(self, queue: Queue, taker: TakeWork, limit: int) -> list[Taken]:
        taken = take(
            self._parts,
            queue,
            limit=limit,
            worker=taker.worker,
            session=taker.session,
            lease_s=taker.lease_s,
        )
        self.written_bytes += ROW_BYTES * len(taken)
        return taken
