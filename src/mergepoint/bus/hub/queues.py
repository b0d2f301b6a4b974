"""The queues by name, and how many messages each has, without counting them.

Place:  bus.hub.entries, bus.hub.letters -> [bus.hub.queues]
Rule:   counts in memory follow the open transaction and go back with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from mergepoint.bus.errors import BusFull
from mergepoint.bus.hub.journal import Journal

Counts = tuple[int, int, int, int, int]


class Queue:
    """One queue: `waiting` are ready or held by their key; `bytes` are of all that is not dead."""

    __slots__ = ("bytes", "dead", "delayed", "leased", "name", "number", "waiting")

    def __init__(self, number: int, name: str, counts: Counts = (0, 0, 0, 0, 0)) -> None:
        self.number = number
        self.name = name
        self.waiting, self.delayed, self.leased, self.dead, self.bytes = counts

    @property
    def counts(self) -> Counts:
        """All five, in the order of the table."""
        return (self.waiting, self.delayed, self.leased, self.dead, self.bytes)

    @property
    def messages(self) -> int:
        """How many are not dead."""
        return self.waiting + self.delayed + self.leased


class Queues:
    """Every queue of the file."""

    def __init__(self, db: sqlite3.Connection, journal: Journal, queues_max: int) -> None:
        self._db = db
        self._journal = journal
        self._queues_max = queues_max
        self._by_name: dict[str, Queue] = {}
        self._by_number: dict[int, Queue] = {}
        self._changed: set[Queue] = set()
        self._noted: set[Queue] = set()
        for number, name, *counts in db.execute(
            "SELECT queue, name, waiting, delayed, leased, dead, bytes FROM queues"
        ):
            self._add(Queue(number, name, tuple(counts)))

    def __iter__(self) -> Iterator[Queue]:
        return iter(sorted(self._by_name.values(), key=lambda queue: queue.name))

    def named(self, name: str) -> Queue | None:
        """Return the queue if there ever was one of this name."""
        return self._by_name.get(name)

    def numbered(self, number: int) -> Queue:
        """Return the queue of a row."""
        return self._by_number[number]

    def make(self, name: str) -> Queue:
        """Return the queue, made in the open transaction if need be; raise `BusFull`."""
        queue = self._by_name.get(name)
        if queue is not None:
            return queue
        if len(self._by_name) >= self._queues_max:
            raise BusFull(f"queue {name}: there are {self._queues_max} queues, the most allowed")
        cursor = self._db.execute("INSERT INTO queues VALUES (NULL, ?, 0, 0, 0, 0, 0)", (name,))
        queue = Queue(cursor.lastrowid or 0, name)
        self._add(queue)
        self._journal.add(self._unmake, queue)
        return queue

    def touch(self, queue: Queue) -> None:
        """Say that its counts are about to change."""
        if queue not in self._noted:
            self._noted.add(queue)
            self._changed.add(queue)
            self._journal.add(self._restore, queue, queue.counts)

    def marked(self) -> None:
        """Note what changes from here on anew: the journal may be undone up to here."""
        self._noted.clear()

    def write(self) -> None:
        """Write the counts that changed; called once, before the commit."""
        self._db.executemany(
            "UPDATE queues SET waiting = ?, delayed = ?, leased = ?, dead = ?, bytes = ?"
            " WHERE queue = ?",
            [(*queue.counts, queue.number) for queue in self._changed],
        )
        self._changed.clear()
        self._noted.clear()

    def undone(self) -> None:
        """Forget what changed: the whole transaction was undone."""
        self._changed.clear()
        self._noted.clear()

    def _restore(self, queue: Queue, counts: Counts) -> None:
        queue.waiting, queue.delayed, queue.leased, queue.dead, queue.bytes = counts

    def _unmake(self, queue: Queue) -> None:
        del self._by_name[queue.name], self._by_number[queue.number]
        self._changed.discard(queue)

    def _add(self, queue: Queue) -> None:
        self._by_name[queue.name] = queue
        self._by_number[queue.number] = queue
