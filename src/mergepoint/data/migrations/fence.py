"""One migration at a time on a database, whoever starts it, from whichever machine.

Place:  migrations.run -> [migrations.fence] -> PostgreSQL's advisory lock, a lock beside a file
Rule:   the end of the process is the end of the fence; waiting for it has a bound.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, text

from mergepoint.core.clock import Clock
from mergepoint.data.engines import Engines
from mergepoint.data.errors import MigrationRefused

WAIT_S = 60.0
"""How long another one's migration is waited for."""
POLL_S = 0.1
LOCK = 0x6D706D69677261
"""PostgreSQL's advisory lock: "mpmigra" as a number."""


@contextlib.contextmanager
def fenced(engines: Engines, clock: Clock, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the fence in the block; raise `MigrationRefused` when it stays another one's."""
    held = _file if engines.kind == "sqlite" else _advisory
    with held(engines, clock, wait_s):
        yield


@contextlib.contextmanager
def _file(engines: Engines, clock: Clock, wait_s: float) -> Iterator[None]:
    path = Path(f"{engines.url.database}.migrating")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MigrationRefused(f"{path}: {error.strerror}") from None
    try:
        ends_s = clock.monotonic_s() + wait_s
        while not _locked(descriptor):
            _wait(clock, ends_s, wait_s)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _advisory(engines: Engines, clock: Clock, wait_s: float) -> Iterator[None]:
    with engines.blocking().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        ends_s = clock.monotonic_s() + wait_s
        while not _taken(connection):
            _wait(clock, ends_s, wait_s)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(connection: Connection) -> bool:
    found = connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
    return bool(found.scalar_one())


def _wait(clock: Clock, ends_s: float, wait_s: float) -> None:
    if clock.monotonic_s() >= ends_s:
        raise MigrationRefused(
            f"another migration of this database has been running for {wait_s:g} s",
            next="let it finish, then run mergepoint migrate again",
        )
    threading.Event().wait(POLL_S)
