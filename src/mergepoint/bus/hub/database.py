"""The one open file of a hub: its lock, its connection, its commits, its backups.

Place:  bus.hub.groups -> [bus.hub.database] -> bus.hub.schema
Rule:   nobody else opens the file; closing any descriptor of it would drop SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from mergepoint.bus.hub.schema import migrate
from mergepoint.bus.hub.settings import HubRefused

FILE = "bus.db"
LOCK = "bus.lock"
WAL_BYTES_MAX = 16 * 1024 * 1024
"""What the write-ahead log is cut back to after a checkpoint."""
WAL_BYTES_READY = 5 * 1024 * 1024
"""Written to the log's file at the start: a commit into room that is there already need not wait
for the file system's own journal."""
FREE_BYTES_FOR_THAT = 20 * WAL_BYTES_READY
CACHE_KIB = 65_536
"""Pages SQLite keeps in memory."""
FULL_CODES = frozenset((sqlite3.SQLITE_FULL,))


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether the disk had no room; SQLite says so in more than one way."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in FULL_CODES or "disk is full" in str(error)


def is_callers(error: sqlite3.Error) -> bool:
    """Tell whether a statement was wrong or broke a rule of a table, and the file is as good."""
    return isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError) or (
        getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR
    )


class Database:
    """`bus.db` of one directory, locked against every other hub."""

    def __init__(self, directory: Path, *, sync: bool) -> None:
        self.path = directory / FILE
        self._directory = directory
        self._sync = sync
        self._lock = -1
        self._synchronous = ""
        self._db: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection; it may be used from any thread, one at a time."""
        if self._db is None:
            raise HubRefused("the hub's file is closed")
        return self._db

    def open(self) -> None:
        """Lock, open and migrate; raise `HubRefused` with what to do."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
        except OSError as error:
            raise HubRefused(
                f"{self._directory}: {error.strerror or error}",
                next="the directory must be the hub's own, and writable",
            ) from None
        try:
            self._connect()
        except sqlite3.OperationalError as error:
            self.close()
            raise HubRefused(f"{self.path}: {error}", next="is there room, may it write?") from None
        except sqlite3.DatabaseError as error:
            self.close()
            raise HubRefused(
                f"{self.path}: {error}",
                next="it is no hub's file, or damaged: restore a backup, or move it away",
            ) from None
        except HubRefused as error:
            self.close()
            raise HubRefused(f"{self.path}: {error.message}", next=error.next) from None

    def close(self) -> None:
        """Close the file and let go of the lock; a second call does nothing."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def begin(self, *, synced: bool) -> None:
        """Begin a write transaction; `synced`: its commit is on the disk when it returns.

        One that is not synced is still atomic, comes in order, and survives this process.
        """
        wanted = "FULL" if synced and self._sync else "NORMAL"
        if wanted != self._synchronous:
            self.db.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted
        self.db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit; raises what SQLite raises, and then nothing was."""
        self.db.execute("COMMIT")

    def rollback(self) -> None:
        """Undo; does nothing where SQLite already did."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def checkpoint(self, *, cut: bool = False) -> None:
        """Move the write-ahead log into the file; `cut` gives its room back to the disk."""
        self.db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cut else 'PASSIVE'})")

    def wal_bytes(self) -> int:
        """Return the length of the write-ahead log's file."""
        try:
            # A name, not a descriptor: closing one of the file's own would drop SQLite's locks.
            return os.stat(f"{self.path}-wal").st_size  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def _take_lock(self) -> None:
        path = self._directory / LOCK
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = -1
            raise HubRefused(
                f"{self._directory}: another hub has it, process {owner}",
                next="one hub for one state_dir; stop the other first",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _connect(self) -> None:
        self._refuse_what_is_no_file()
        # Made before SQLite makes it, so that it never stands there readable for others.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("PRAGMA temp_store = MEMORY")
        # What is freed is not written over with zeros: on a full disk there is no room to.
        db.execute("PRAGMA secure_delete = OFF")
        self.begin(synced=True)
        try:
            migrate(db)
            self.commit()
        except BaseException:
            self.rollback()
            raise
        self._make_room_in_log()

    def _make_room_in_log(self) -> None:
        """Let the log's file be as long as it gets, by a transaction that is rolled back."""
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < FREE_BYTES_FOR_THAT:
            return
        db = self.db
        db.execute("PRAGMA cache_size = 10")  # so that its pages go to the file at once
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("CREATE TABLE room (data BLOB)")
            db.execute("INSERT INTO room VALUES (zeroblob(?))", (WAL_BYTES_READY,))
        finally:
            self.rollback()
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def _refuse_what_is_no_file(self) -> None:
        if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
            raise HubRefused("it is no ordinary file", next="move it away")
