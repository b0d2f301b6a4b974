"""A database whose changes are logged: row locks, commits, a replica, failover, trims.

Place:  cache_model.hub, cache_model.fills -> [cache_model.database]
Rule:   what is durable is not yet visible; what is visible has a stamp that grows.

A snapshot is a number whose bit N says that transaction N is visible; a cursor is one of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

KEYS = ("x1", "x2", "y1")
FIRST = 1
"""The stamp every key begins with."""


@dataclass(slots=True, eq=False)
class Transaction:
    """One writer's work."""

    id: int
    keys: tuple[str, ...]
    tags: frozenset[str]
    state: str = "open"
    stamps: dict[str, int] = field(default_factory=dict)
    """What it wrote, once it is visible."""
    replaced: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What one statement reads from the log."""

    epoch: str
    trimmed: int
    snapshot: int
    rows: tuple[tuple[int, frozenset[str]], ...]


def tags_of(keys: tuple[str, ...], whole: bool) -> frozenset[str]:
    """Return what a change of these rows emits; of `whole` tables, the tables alone."""
    tables = {f"d/{key[0]}" for key in keys}
    rows = {f"{table}:*" for table in tables} if whole else {f"d/{k[0]}:id={k[1]}" for k in keys}
    return frozenset(tables | rows)


class Database:
    """A primary and the replica that may follow it."""

    def __init__(self, off: frozenset[str]) -> None:
        self.off = off
        self.epoch = 1
        self.value = dict.fromkeys(KEYS, FIRST)
        self.replica = dict(self.value)
        self.replicated = 0
        self.visible: list[Transaction] = []
        self.snapshot = 0
        self.trimmed = 0
        self.rows: list[tuple[int, frozenset[str]]] = []
        self.open: list[Transaction] = []
        self.locks: dict[str, int] = {}
        self.next_id = 1
        self.next_stamp = FIRST + 1
        self.lost: set[int] = set()
        self.failed_over_at = float("-inf")
        self.history: dict[str, list[tuple[float, int]]] = {k: [(0.0, FIRST)] for k in KEYS}
        self.reachable = True
        """By the hub; apps have connections of their own."""

    def begin(self, keys: tuple[str, ...], whole: bool) -> Transaction | None:
        """Lock rows and write; None while somebody else holds a lock."""
        if any(key in self.locks for key in keys):
            return None
        transaction = Transaction(self.next_id, keys, tags_of(keys, whole))
        self.next_id += 1
        self.open.append(transaction)
        self.locks.update(dict.fromkeys(keys, transaction.id))
        return transaction

    def commit(self, transaction: Transaction) -> None:
        """Make it durable; nobody sees it yet."""
        transaction.state = "durable"
        self.rows.append((transaction.id, transaction.tags))

    def show(self, transaction: Transaction, now: float) -> None:
        """Make it visible, and let go of its locks."""
        self._end(transaction, "visible")
        for key in transaction.keys:
            transaction.replaced[key] = self.value[key]
            transaction.stamps[key] = self.value[key] = self.next_stamp
            self.history[key].append((now, self.next_stamp))
            self.next_stamp += 1
        self.snapshot |= 1 << transaction.id
        self.visible.append(transaction)

    def roll_back(self, transaction: Transaction) -> None:
        """Undo it; its number is used up."""
        self._end(transaction, "rolled back")

    def _end(self, transaction: Transaction, state: str) -> None:
        transaction.state = state
        self.open.remove(transaction)
        for key in transaction.keys:
            del self.locks[key]

    def replicate(self, count: int) -> None:
        """Let the replica replay that many more transactions."""
        for transaction in self.visible[self.replicated : self.replicated + count]:
            self.replica.update(transaction.stamps)
            self.replicated += 1

    def trim(self, count: int) -> None:
        """Forget the oldest visible rows of the log, at most that many."""
        gone = [row for row in self.rows if self.snapshot >> row[0] & 1][:count]
        for row in gone:
            self.rows.remove(row)
            self.trimmed |= 1 << row[0]

    def fail_over(self, now: float) -> list[Transaction]:
        """Promote the replica; return what is lost: at most the last two transactions."""
        self.replicate(max(0, len(self.visible) - 2 - self.replicated))
        gone = self.visible[self.replicated :]
        for transaction in reversed(gone):
            self.lost.update(transaction.stamps.values())
            self.value.update(transaction.replaced)
            transaction.state = "lost"
        for transaction in self.open:
            transaction.state = "lost"
        del self.visible[self.replicated :]
        self.open.clear()
        self.locks.clear()
        self.epoch += 1
        self.rows.clear()
        self.trimmed = 0
        self.snapshot = sum(1 << transaction.id for transaction in self.visible)
        self.next_id = max((one.id for one in self.visible), default=0) + 1
        self.failed_over_at = now
        for key, seen in self.history.items():
            self.history[key] = [one for one in seen if one[1] not in self.lost]
        return gone

    def read_log(self) -> Page:
        """Read everything in one snapshot; the reader takes what its cursor lacks."""
        snapshot = self.snapshot
        if "I9" in self.off:
            for transaction in self.open:
                if transaction.state == "durable":
                    snapshot |= 1 << transaction.id
        rows = tuple(row for row in self.rows if snapshot >> row[0] & 1)
        if "I5" in self.off:
            snapshot = (1 << snapshot.bit_length()) - 1
        return Page(str(self.epoch), self.trimmed, snapshot, rows)

    def value_at(self, key: str, moment: float) -> int:
        """Return the stamp a key had then, of what has survived."""
        found = FIRST
        for when, stamp in self.history[key]:
            if when > moment:
                break
            found = stamp
        return found
