"""The ledger's tables in SQLite.

Place:  ledger.extension, ledger.local -> [ledger.schema]
Rule:   migrations are added, never changed; a file of a newer version is refused.
"""

from __future__ import annotations

import sqlite3

from mergepoint.bus.errors import BusRefused

VERSION = 1
FIRST = """
CREATE TABLE ledger_tasks (
    place INTEGER PRIMARY KEY,          -- order of acceptance
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    key TEXT NOT NULL DEFAULT '',
    unique_key TEXT NOT NULL DEFAULT '', -- emptied when the task stops keeping others out
    grp TEXT NOT NULL DEFAULT '',
    generation INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    token TEXT NOT NULL DEFAULT '',
    worker TEXT NOT NULL DEFAULT '',
    cancelling INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    started_at REAL NOT NULL DEFAULT 0,
    touched_at REAL NOT NULL DEFAULT 0,
    keep_until REAL NOT NULL DEFAULT 0,
    permit_at REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    spec TEXT NOT NULL,                 -- the Spec without its payload, as JSON
    payload BLOB NOT NULL,
    result BLOB NOT NULL DEFAULT x'',
    result_type TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX ledger_tasks_unique ON ledger_tasks (unique_key) WHERE unique_key <> '';
CREATE INDEX ledger_tasks_due ON ledger_tasks (due_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX ledger_tasks_pending ON ledger_tasks (changed_at) WHERE state = 'pending';
CREATE INDEX ledger_tasks_running ON ledger_tasks (touched_at) WHERE state = 'running';
CREATE INDEX ledger_tasks_keep ON ledger_tasks (keep_until) WHERE keep_until > 0;
CREATE INDEX ledger_tasks_key ON ledger_tasks (queue, key, place)
    WHERE key <> '' AND state NOT IN ('completed', 'cancelled', 'dead');
CREATE INDEX ledger_tasks_queue ON ledger_tasks (queue, state);
CREATE INDEX ledger_tasks_parked ON ledger_tasks (name) WHERE state = 'parked';
CREATE INDEX ledger_tasks_group ON ledger_tasks (grp) WHERE grp <> '';
CREATE TABLE ledger_links (             -- task waits for before
    before TEXT NOT NULL, task TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (before, task)
) WITHOUT ROWID;
CREATE INDEX ledger_links_task ON ledger_links (task, position);
CREATE TABLE ledger_once (
    task TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (task, key)
) WITHOUT ROWID;
CREATE TABLE ledger_buckets (
    name TEXT PRIMARY KEY, tokens REAL NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE ledger_schedules (
    name TEXT PRIMARY KEY, app TEXT NOT NULL, document TEXT NOT NULL, last_tick REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE ledger_ticks (
    schedule TEXT NOT NULL, tick REAL NOT NULL, PRIMARY KEY (schedule, tick)
) WITHOUT ROWID;
CREATE TABLE ledger_version (version INTEGER NOT NULL);
INSERT INTO ledger_version VALUES (1);
"""


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables where there are none; the caller holds the transaction.

    Raises `BusRefused` for a file that a newer Mergepoint has written.
    """
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger_version'").fetchone()
    if known is None:
        # executescript would commit the caller's transaction.
        for statement in FIRST.split(";\n"):
            if statement.strip():
                db.execute(statement)
        return
    (version,) = db.execute("SELECT max(version) FROM ledger_version").fetchone()
    if version > VERSION:
        raise BusRefused(
            f"the ledger has version {version}; this Mergepoint knows {VERSION}",
            next="run the Mergepoint that wrote it, or a newer one",
        )
