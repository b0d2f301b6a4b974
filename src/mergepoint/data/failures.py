"""What a driver's error means: which of our errors it is, and whether trying again helps.

Place:  data.engines, data.sessions -> [data.failures] -> data.errors
Rule:   tables and pure functions; works on the driver's own words and codes, imports no driver.
"""

from __future__ import annotations

from mergepoint.data.errors import (
    Busy,
    ConnectionGone,
    DataUnavailable,
    DiskFull,
    ReadOnly,
    Unreachable,
)

SQLITE = (
    ("SQLITE_BUSY", Busy, "another process held the database's lock for too long"),
    ("SQLITE_LOCKED", Busy, "another connection held the table's lock"),
    ("SQLITE_READONLY", ReadOnly, "the database, or this transaction, is read-only"),
    ("SQLITE_FULL", DiskFull, "there is no room for the database to grow"),
    ("SQLITE_IOERR", DataUnavailable, "the database's file cannot be read or written"),
    ("SQLITE_CANTOPEN", Unreachable, "the database's file cannot be opened"),
    ("SQLITE_CORRUPT", DataUnavailable, "the database's file is damaged"),
    ("SQLITE_NOTADB", DataUnavailable, "the file is no SQLite database"),
)
"""By the beginning of SQLite's error name (sqlite.org/rescode.html)."""

POSTGRESQL = (
    ("40001", Busy, "another transaction changed the same rows"),
    ("40P01", Busy, "two transactions waited for each other"),
    ("55P03", Busy, "another transaction held the lock for too long"),
    ("57014", Busy, "the statement took too long"),
    ("25006", ReadOnly, "the database, or this transaction, is read-only"),
    ("53100", DiskFull, "the database's disk is full"),
    ("53300", Unreachable, "the database has no connection left"),
    ("53", DataUnavailable, "the database has run out of something"),
    ("57P0", ConnectionGone, "the database ended the connection"),
    ("25P03", ConnectionGone, "the transaction did nothing for too long"),
    ("08", ConnectionGone, "the connection to the database broke"),
    ("58", DataUnavailable, "the database's machine has an error"),
)
"""By the beginning of the SQLSTATE (PostgreSQL manual, appendix A); the first that fits."""


def meaning(error: BaseException, *, connecting: bool = False) -> DataUnavailable | None:
    """Return what a driver's error means; None when it is the statement's own fault."""
    name = getattr(error, "sqlite_errorname", None)
    if name:
        return _found(SQLITE, str(name), error)
    state = getattr(error, "sqlstate", None)
    if state:
        return _found(POSTGRESQL, str(state), error)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if not kinds & {"OperationalError", "InterfaceError"}:
        return None
    if connecting:
        return Unreachable(f"the database cannot be reached: {words(error)}")
    broken = ("connection", "server closed", "closed")
    if any(word in str(error).lower() for word in broken):
        return ConnectionGone(f"the connection to the database broke: {words(error)}")
    return None


def words(error: BaseException) -> str:
    """Return the first line of what the driver said."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _found(
    table: tuple[tuple[str, type[DataUnavailable], str], ...], code: str, error: BaseException
) -> DataUnavailable | None:
    for beginning, kind, reason in table:
        if code.startswith(beginning):
            return kind(f"{reason} ({code}: {words(error)})")
    return None
