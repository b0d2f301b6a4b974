"""The tables of `bus.db`, and how an older file becomes a newer one.

Place:  bus.hub.database -> [bus.hub.schema]
Rule:   a step that was released is never changed; a newer file is refused, never guessed at.

What a message is stands in `messages` and is never rewritten; in which state it is, is which of the
small tables it stands in: `ready`, `delayed`, `leases`. One that stands in none of them waits for
an older one of its key. So a job of 1 MiB is written once and moves by 20 bytes.
"""

from __future__ import annotations

import sqlite3

from mergepoint.bus.hub.settings import HubRefused

APPLICATION_ID = 0x4D505442
"""`MPTB` in the header of the file: it is a hub's."""
BY_WALL, BY_AGE = 0, 1
"""What `delayed.due` is compared with: set by the clock, or so many seconds from then."""

STEPS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE queues (
        queue INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        waiting INTEGER NOT NULL, delayed INTEGER NOT NULL, leased INTEGER NOT NULL,
        dead INTEGER NOT NULL, bytes INTEGER NOT NULL);
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL,
        priority INTEGER NOT NULL, not_before REAL NOT NULL, expires_at REAL NOT NULL,
        attempts_max INTEGER NOT NULL, at REAL NOT NULL,
        attributes BLOB NOT NULL, data BLOB NOT NULL);
    CREATE TABLE seen (
        seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL,
        until REAL NOT NULL, again INTEGER NOT NULL);
    CREATE UNIQUE INDEX seen_once ON seen (queue, id);
    CREATE TABLE ready (
        queue INTEGER NOT NULL, rank INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (queue, rank, seq)) WITHOUT ROWID;
    CREATE TABLE delayed (
        seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, base INTEGER NOT NULL, due REAL NOT NULL);
    CREATE INDEX delayed_due ON delayed (base, due);
    CREATE INDEX delayed_of ON delayed (queue, seq);
    CREATE TABLE keyed (
        queue INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (queue, key, seq)) WITHOUT ROWID;
    CREATE TABLE expiring (at REAL NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (at, seq)) WITHOUT ROWID;
    CREATE TABLE leases (
        seq INTEGER PRIMARY KEY, token TEXT NOT NULL, worker TEXT NOT NULL,
        attempt INTEGER NOT NULL, lease_s REAL NOT NULL, at REAL NOT NULL);
    CREATE TABLE trouble (
        seq INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL);
    CREATE TABLE dead (
        place INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, id TEXT NOT NULL,
        key TEXT NOT NULL, priority INTEGER NOT NULL, attempts_max INTEGER NOT NULL,
        attempt INTEGER NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL, age REAL NOT NULL,
        attributes BLOB NOT NULL, data BLOB NOT NULL);
    CREATE INDEX dead_of ON dead (queue, place);
    CREATE INDEX dead_id ON dead (queue, id);
    CREATE TABLE bindings (
        pattern TEXT NOT NULL, queue INTEGER NOT NULL,
        PRIMARY KEY (pattern, queue)) WITHOUT ROWID;
    CREATE TABLE present (
        topic TEXT PRIMARY KEY, attributes BLOB NOT NULL, data BLOB NOT NULL, at REAL NOT NULL);
    """,
)
"""One text of statements for each version of the file."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables to this version, inside the caller's transaction.

    Raises `HubRefused` for a file that is not a hub's, or of a newer hub.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise HubRefused("this SQLite file is not a hub's", next="name another state_dir")
    if version > len(STEPS):
        raise HubRefused(
            f"the file is of version {version}; this hub knows up to {len(STEPS)}",
            next="start the newer Mergepoint, or restore a backup of before",
        )
    if version == len(STEPS):
        return
    for step in STEPS[version:]:
        for statement in step.split(";"):
            if statement.strip():
                db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(STEPS)}")
