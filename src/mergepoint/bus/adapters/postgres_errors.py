"""What PostgreSQL says, as errors of the bus.

Place:  adapters.postgres* -> [postgres_errors] -> bus.errors
Rule:   pure; no message ever shows a password.
"""

from __future__ import annotations

import psycopg

from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused

FULL = "MP001"
"""What `mergepoint.put` raises when a queue has no room."""
UNKNOWN_TASK = "MP002"
"""What the ledger of tasks raises where a task shall wait for one that is not recorded."""
BY_STATE: dict[str, tuple[type[BusError], str]] = {
    FULL: (BusFull, "take messages out of it, or raise queue_messages_max"),
    UNKNOWN_TASK: (BusRefused, "record it first, or in the same call"),
    "53100": (BusFull, "the server's disk is full; free space on it"),
    "53200": (BusFull, "the server is out of memory"),
    "53300": (BusRefused, "the server takes no more connections; raise max_connections"),
    "28P01": (BusRefused, "check the user and password of the bus's url"),
    "28000": (BusRefused, "check the user of the bus's url and the server's pg_hba.conf"),
    "3D000": (BusRefused, "create the database, or check its name in the bus's url"),
    "3F000": (BusRefused, "create the schema: connect once as a role that may"),
    "42501": (BusRefused, "grant the role what docs/reference/postgresql.md lists"),
    "42883": (BusRefused, "the schema mergepoint is of another version; connect as its owner"),
    "42P01": (BusRefused, "the schema mergepoint is of another version; connect as its owner"),
    "23514": (BusRefused, "attributes must be those of CloudEvents 1.0"),
    "25006": (BusRefused, "this server is read-only: connect to the primary"),
    "57014": (BusLost, "the server took longer than call_s"),
    "40001": (BusLost, "nothing happened; ask again"),
    "40P01": (BusLost, "nothing happened; ask again"),
}
"""By SQLSTATE (PostgreSQL documentation, appendix A). What is not here is told by its class."""
BY_CLASS: dict[str, tuple[type[BusError], str]] = {
    "08": (BusLost, "see whether the server runs"),
    "57": (BusLost, "the server ended the connection; it is made anew"),
    "53": (BusFull, "the server has no room"),
    "22": (BusRefused, "this value cannot be stored"),
    "28": (BusRefused, "check the user and password of the bus's url"),
}
REFUSALS = (
    "authentication failed",
    "no password supplied",
    "pg_hba.conf",
    "does not exist",
    "permission denied",
    "too many clients",
    "remaining connection slots",
)
"""What a server says while connecting, when libpq hands on no SQLSTATE."""


def translate(error: psycopg.Error, where: str) -> BusError:
    """Return the bus's error for what the driver raised; it says `where`, never a secret."""
    state = error.sqlstate or ""
    told = _words(error)
    found = BY_STATE.get(state) or BY_CLASS.get(state[:2])
    if found is None:
        found = _unnamed(error, told)
    kind, hint = found
    return kind(f"PostgreSQL at {where}: {told}", next=hint)


def breaks_connection(error: psycopg.Error) -> bool:
    """Tell whether other connections are likely to be gone as well."""
    state = error.sqlstate or ""
    return state[:2] in ("08", "57") and state != "57014"


def _unnamed(error: psycopg.Error, told: str) -> tuple[type[BusError], str]:
    if isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        return BusRefused, "this value cannot be stored"
    if any(words in told for words in REFUSALS):
        return BusRefused, "check user, password and database of the bus's url"
    return BusLost, "see whether the server runs"


def _words(error: psycopg.Error) -> str:
    if error.diag.message_primary:
        return str(error.diag.message_primary)
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
