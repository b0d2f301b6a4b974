"""The ledger in a SQLite connection of this process: tests, `Site.testing()`, `direct=1`.

Place:  mergepoint.testing, assembly -> [ledger.local] -> ledger.operations
Rule:   one transaction for each call; the connection is nobody else's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.bus.errors import BusFull, BusLost
from mergepoint.core.clock import Clock
from mergepoint.tasks.ledger.calling import CallingLedger
from mergepoint.tasks.ledger.operations import OPERATIONS, released
from mergepoint.tasks.ledger.schema import prepare

FREEING = frozenset({"enqueue", "finish", "register", "cancel", "replay", "discard", "fire"})


class LocalLedger(CallingLedger):
    """A `contract.Ledger` on a file or in memory; not a queue: what it releases must be put."""

    is_queue = False

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self.on_change: Callable[[], None] = lambda: None
        """Called after what may have set something free; for who runs tasks in this process."""
        self._lock = threading.Lock()
        # Calls come from one loop, but that loop's thread is not always the one that made this.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        prepare(self._db)
        self._db.execute("COMMIT")

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Do one operation; it is on the disk when this returns, and it never waits.

        Handlers in threads of their own may call it, too.
        """
        with self._lock:
            answer = self._done(name, arguments)
        if name in FREEING:
            self.on_change()
        return answer

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def _done(self, name: str, arguments: Mapping[str, Any]) -> Any:
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
        return released(answer, releases)

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
