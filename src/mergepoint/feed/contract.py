"""What a feed is: databases whose changes are logged, and what a reader of one promises.

Place:  [feed.contract] -> feed.core, feed.adapters, assembly, cli
Rule:   a leaf: data and promises, no I/O. An address is never in a repr, it may hold a password.

A reader shows every committed change and none that was rolled back (C3). Changes of one key come
in the order of their commits. It never guesses: where the log does not reach back to a position,
or is another log, the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Key = Mapping[str, int | str]
"""Columns of one row: those of its primary key, and those the manifest declares."""


@dataclass(frozen=True, slots=True)
class Database:
    """One `[[databases]]` of a manifest."""

    name: str
    url: str = field(repr=False)
    """`sqlite:////absolute/file` or `postgresql://...`."""
    tables: tuple[str, ...] = ()
    """Which are logged; empty: all of them."""
    ignore: tuple[str, ...] = ()
    """Which are not, because writes to them change no page."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns by table that make tags of their own, beside the primary key."""

    @property
    def engine(self) -> str:
        """Return `sqlite` or `postgresql`."""
        scheme = self.url.partition(":")[0]
        return "postgresql" if scheme == "postgres" else scheme

    def wants(self, table: str) -> bool:
        """Tell whether changes of this table are to be logged."""
        return table not in self.ignore and (not self.tables or table in self.tables)


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """Bounds of the feed: name, unit, default."""

    lease_s: float = 2.0
    """How long an edge may serve after the beginning of the last read."""
    poll_s: float = 0.02
    """How often an edge asks while it is busy."""
    read_s: float = 1.0
    """How long one read of a log may take before the database counts as unreachable."""
    work_s: float = 30.0
    """How long an audit, a trim or a page of changes may take."""
    answer_s: float = 0.2
    """How long a pull waits for a database before its answer goes out without it."""
    retry_s: float = 0.25
    """Pause between two attempts to reach a database that did not answer."""
    tags_max: int = 10_000
    """Tags in one answer; more are said in one word, flush."""
    rows_max: int = 10_000
    """Rows of a log that are read at once; past it the reader says that there is a gap."""
    history_tags_max: int = 100_000
    """Tags of past reads kept for edges that are behind."""
    history_reads_max: int = 4_096
    edges_max: int = 64
    waiting_max: int = 1_024
    """Requests of one edge that wait for their answer."""
    line_bytes_max: int = 8 * 1024 * 1024
    keep_s: float = 600.0
    """How long rows stay in a log that the hub trims."""
    keep_rows_max: int = 100_000
    """How many rows stay in a log at most."""
    trim_s: float = 10.0
    audit_s: float = 5.0
    """How often it is looked whether every trigger is still there."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one log; of no meaning in another epoch."""

    epoch: str
    cursor: str


class Op(StrEnum):
    """What happened."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TABLE = "table"
    """Many rows at once, or the table itself: its keys are not told."""
    GAP = "gap"
    """Told to handlers alone: changes are missing here, anything may be different."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row that changed, or with `Op.TABLE` any number of them."""

    table: str
    op: Op
    key: Key = field(default_factory=dict)
    """Of the row before or after; an update that changes a key is told with both."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read found, and where it ended."""

    position: Position
    changes: Sequence[Change] = ()
    gap: bool = False
    """The log did not reach back, or is another one: anything may have changed since."""


class Fault(StrEnum):
    """Why a table's changes are not all logged."""

    MISSING = "it has no triggers"
    DISABLED = "its triggers are disabled"
    REPLICA = "its triggers do not fire under session_replication_role = replica"
    STALE = "its triggers are not those that install would make"
    FOREIGN = "it is a foreign table: its writers are elsewhere"
    MATERIALIZED = "it is a materialised view: REFRESH fires no trigger"
    SUBSCRIBED = "its rows come by logical replication, which fires no triggers of statements"
    VIRTUAL = "it is a virtual table, which can have no triggers"
    KEY = "a declared key cannot be compared byte by byte, or is missing"
    DDL = "changes of tables themselves are seen by the audit alone"


@dataclass(frozen=True, slots=True)
class Finding:
    """One table whose changes are not all seen, and what to do."""

    table: str
    fault: Fault
    next: str
    detail: str = ""

    @property
    def voids(self) -> bool:
        """Tell whether answers made from the table must not be kept."""
        return self.fault not in {Fault.KEY, Fault.DDL}


@dataclass(frozen=True, slots=True)
class Audit:
    """Which tables are logged, by which keys, and which are not."""

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tables with live triggers, and the columns their changes are told by."""
    findings: tuple[Finding, ...] = ()
    relatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tables that share rows with a table: partitions, parents, children."""


class Reader(Protocol):
    """One database's log. Every call raises `FeedUnreachable` or `FeedNotInstalled`."""

    async def read(self, since: Position | None) -> Batch:
        """Return what was committed after `since`, by a statement begun after this call.

        Without `since`: the present position alone. At most `rows_max` rows; more are a gap.
        """
        ...

    async def page(self, since: Position | None, limit: int) -> Batch:
        """Return at most about `limit` of the oldest changes after `since`, whole commits."""
        ...

    async def audit(self) -> Audit:
        """Look which tables are logged; what lost its triggers is told as a change of all of it."""
        ...

    async def trim(self) -> int:
        """Remove rows that are older than the bounds; return how many."""
        ...

    async def close(self) -> None:
        """Let the database go; a later call opens it again."""
        ...
