"""The table of an outbox: its columns in each database, and what is written into it.

Place:  outbox.joined_*, outbox.relay_* -> [outbox.rows]
Rule:   pure: statements and rows, never a connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.bus.contract import Accepted, Put
from mergepoint.tasks.messages import INBOX
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.wire.envelope import EnvelopeInvalid, from_attributes, to_attributes

TABLE = "mergepoint_outbox"
DATA_BYTES_MAX = 16 * 1024 * 1024
"""The largest data a row takes; the bus behind it may take less and then parks the row."""
COLUMNS = (
    "id",
    "queue",
    "attributes",
    "data",
    "message_key",
    "priority",
    "not_before",
    "attempts_max",
    "expires_at",
    "at",
)
"""What an enqueuer writes, in order; the rest is the relay's."""
_RELAYS = (
    "tries INTEGER NOT NULL DEFAULT 0, reason {text} NOT NULL DEFAULT '',"
    " parked_at {real} NOT NULL DEFAULT 0"
)
_SHAPES: dict[str, Mapping[str, str]] = {
    "sqlite": {
        "place": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "name": "TEXT",
        "text": "TEXT",
        "blob": "BLOB",
        "real": "REAL",
    },
    "postgresql": {
        "place": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "name": "text",
        "text": "text",
        "blob": "bytea",
        "real": "float8",
    },
    "mysql": {
        "place": "BIGINT AUTO_INCREMENT PRIMARY KEY",
        "name": "VARCHAR(250)",
        "text": "VARCHAR(8000)",
        "blob": "LONGBLOB",
        "real": "DOUBLE",
    },
}
LAG = (
    "SELECT count(*) FILTER (WHERE parked_at = 0), count(*) FILTER (WHERE parked_at > 0),"
    " min(at) FILTER (WHERE parked_at = 0) FROM mergepoint_outbox"
)
"""How many wait, how many are parked, and since when the oldest waits."""
INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)})"  # noqa: S608 - constants
    f" VALUES ({', '.join('{' + name + '}' for name in COLUMNS)})"
)
"""Into the outbox, for a relay to put."""
DIRECT = (
    "SELECT mergepoint.put_one(CAST({queue} AS text), CAST({id} AS text),"
    " CAST({attributes} AS text), CAST({data} AS bytea), CAST({message_key} AS text),"
    " CAST({priority} AS integer), CAST({not_before} AS float8),"
    " CAST({attempts_max} AS integer), CAST({expires_at} AS float8), CAST({dedupe_s} AS float8))"
)
"""Where the queue itself is in the app's database: into the queue, without an outbox."""
DIRECT_TASK = "SELECT mergepoint.enqueue_task(CAST({attributes} AS text), CAST({data} AS bytea))"
"""Where the ledger is there, too: record and message of a task; answers whose id stands for it."""
COMPLETE = (
    "SELECT mergepoint.complete_task(CAST({task} AS text), CAST({token} AS text),"
    " CAST({result} AS bytea), CAST({content_type} AS text))"
)
"""Ends a run in the app's transaction; answers whether it was still this one's."""


def ddl(dialect: str) -> tuple[str, ...]:
    """Return the statements that make the table, for `sqlite`, `postgresql` or `mysql`.

    Running them again does nothing. On MySQL they end the transaction they run in, as any DDL.
    """
    try:
        shape = _SHAPES["mysql" if dialect == "mariadb" else dialect]
    except KeyError:
        known = ", ".join(_SHAPES)
        raise OutboxRefused(
            f"no outbox for the database {dialect}; there is one for {known}"
        ) from (None)
    columns = (
        "place {place}, id {name} NOT NULL, queue {name} NOT NULL, attributes {text} NOT NULL,"
        " data {blob} NOT NULL, message_key {name} NOT NULL, priority INTEGER NOT NULL,"
        " not_before {real} NOT NULL, attempts_max INTEGER NOT NULL, expires_at {real} NOT NULL,"
        " at {real} NOT NULL, " + _RELAYS
    ).format(**shape)
    return (f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})",)


def direct(queue: str) -> str:
    """Return the call that puts one message straight into the queue, or records a task."""
    return DIRECT_TASK if queue == INBOX else DIRECT


def marked(call: str, mark: str, names: Iterable[str]) -> str:
    """Return a call with its parameters as this driver writes them: `:{}`, `%({})s`."""
    return call.format(**{name: mark.format(name) for name in names})


def told(put: Put, answer: Any) -> Accepted:  # Any: a column
    """Return what a call of `direct` answered; a task may be represented by an older one."""
    found = answer if isinstance(answer, str) else put.message.id
    return Accepted(id=found, duplicate=found != put.message.id)


def row(queue: str, put: Put, at: float) -> dict[str, Any]:  # Any: parameters of SQL
    """Return one message as parameters; raise `OutboxRefused` when it cannot be a row."""
    if len(put.message.data) > DATA_BYTES_MAX:
        raise OutboxRefused(f"{len(put.message.data)} bytes of data; a row takes {DATA_BYTES_MAX}")
    try:
        attributes = json.dumps(to_attributes(put.message), separators=(",", ":"))
    except EnvelopeInvalid as error:
        raise OutboxRefused(str(error)) from None
    return {
        "id": put.message.id,
        "queue": queue,
        "attributes": attributes,
        "data": put.message.data,
        "message_key": put.key,
        "priority": put.priority,
        "not_before": put.not_before,
        "attempts_max": put.attempts_max,
        "expires_at": put.expires_at,
        "at": at,
    }


@dataclass(frozen=True)
class Waiting:
    """A row the relay has claimed. `put` is None when the row cannot be read: `reason` says why."""

    place: int
    queue: str
    put: Put | None
    at: float
    tries: int = 0
    reason: str = ""


CLAIMED = "place, tries, " + ", ".join(COLUMNS)
"""What the relay selects, in the order `waiting` reads."""


def waiting(found: Sequence[Any]) -> Waiting:
    """Return a row of `CLAIMED`; one that somebody spoiled is told, not raised."""
    place, tries, id_, queue, attributes, data, key, priority = found[:8]
    not_before, attempts_max, expires_at, at = found[8:]
    try:
        message = from_attributes(json.loads(attributes), bytes(data))
        put = Put(
            message=message,
            key=key,
            priority=priority,
            not_before=not_before,
            attempts_max=attempts_max,
            expires_at=expires_at,
        )
    except (ValueError, TypeError, AttributeError) as error:
        return Waiting(place, queue, None, at, tries, f"row {id_} cannot be read: {error}")
    return Waiting(place, queue, put, at, tries)
