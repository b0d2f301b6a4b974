"""The ledger in a SQLite connection of this process: tests, `Site.testing()`, `direct=1`.

Place:  mergepoint.testing, assembly -> [ledger.local] -> ledger.operations
Rule:   one transaction for each call; the connection is nobody else's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from mergepoint.bus.errors import BusFull, BusLost
from mergepoint.core.clock import Clock
from mergepoint.tasks.ledger.calling import CallingLedger
from mergepoint.tasks.ledger.operations import OPERATIONS, released
from mergepoint.tasks.ledger.schema import prepare


class LocalLedger(CallingLedger):
    """A `contract.Ledger` on a file or in memory; not a queue: what it releases must be put."""

    is_queue = False

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self.on_change: Callable[[], None] = lambda: None
        """Called after every call; for whoever runs tasks in this process."""
        # Calls come from one loop, but that loop's thread is not always the one that made this.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        prepare(self._db)
        self._db.execute("COMMIT")

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Do one operation; it is on the disk when this returns."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            answer, releases = OPERATIONS[name].run(self._db, self._clock.unix_s(), arguments)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            lost = BusFull if "full" in str(error) else BusLost
            raise lost(f"the ledger: {error}") from error
        except BaseException:
            self._undo()
            raise
        self.on_change()
        return released(answer, releases)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
