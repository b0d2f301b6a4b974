"""Group commit: what waits while one group goes to the disk is the next group.

Place:  bus.hub.queue_calls, bus.hub.server -> [bus.hub.groups] -> bus.hub.store
Rule:   one group at a time; nothing is answered before its commit returned.

Statements run on the event loop's thread, where they take microseconds; the commit does too while
the disk is quick, and in a thread of its own when it is not, so that a slow disk stops nobody who
does not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any

from mergepoint.bus.errors import BusFull
from mergepoint.bus.hub.ballast import Ballast
from mergepoint.bus.hub.database import is_full
from mergepoint.bus.hub.executing import Executing
from mergepoint.bus.hub.log import Log
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.takers import Takers
from mergepoint.bus.hub.work import AckWork, AnyWork, PutWork

GROUP_MAX = 2_000
"""Pieces of work in one transaction."""
CHECKPOINT_BYTES_MIN = 256 * 1024
VACUUM_STEPS = 16
"""Steps of giving pages back while everybody waits, once a second while the disk is full."""
INLINE_COMMIT_S = 0.003
"""A disk whose commits take longer gets a thread for them."""
PAGES_BYTES = 24 * 1024
"""What a small group writes, about."""

DISK_FULL = "the disk is full; nothing was accepted"
DISK_FULL_NEXT = "free space, or let workers catch up: the hub goes on by itself"


class Groups:
    """Work that waits, and the group that is being done."""

    def __init__(
        self,
        store: Store,
        ballast: Ballast,
        *,
        crash: Callable[[str], None],
        log: Log,
        flush: Callable[[], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self.store = store
        self.takers = Takers()
        self.full = not ballast.take_back()
        """Whether nothing that needs room is accepted."""
        self.answering = False
        """Whether a flush follows what is being sent."""
        self.groups = 0
        self.works = 0
        self._ballast = ballast
        # What waits in the log may need as much room again in the file.
        self._checkpoint_bytes = max(CHECKPOINT_BYTES_MIN, ballast.size_bytes // 4)
        self._again: list[AnyWork] = []
        self._crash = crash
        self._log = log
        self._flush = flush
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[AnyWork] = deque()
        self._between: deque[Callable[[], None]] = deque()
        self._busy = False
        self.commit_s = 0.0
        """How long a commit takes, lately."""
        self._written_bytes = 0
        self._idle: list[asyncio.Future[None]] = []

    def submit(self, work: AnyWork) -> None:
        """Do this in the next group."""
        self._waiting.append(work)
        if not self._busy:
            # Not at once: what other connections have sent by now goes along.
            self._busy = True
            self._loop.call_soon(self._next)

    def between(self, step: Callable[[], None]) -> asyncio.Future[None]:
        """Run a step in a thread while no transaction is open; return when it did."""
        done: asyncio.Future[None] = self._loop.create_future()

        def run() -> None:
            self._in_thread(step, lambda error: self._stepped(done, error))

        self._between.append(run)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._next)
        return done

    @property
    def busy(self) -> bool:
        """Whether a group is being done, or about to be: the connection is its own."""
        return self._busy

    async def idle(self) -> None:
        """Return when everything that waits is done."""
        if self._busy:
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(future)
            await future

    def _next(self) -> None:
        if self._between:
            self._between.popleft()()
        elif self._waiting:
            try:
                self._do(self._group())
            except Exception as error:
                # A fault of this code: to stop and be started anew loses nothing, to go on may.
                self._broken(error)
        else:
            self._rest()

    def _group(self) -> list[AnyWork]:
        works: list[AnyWork] = []
        size = 0
        while self._waiting and len(works) < GROUP_MAX and size < self._checkpoint_bytes:
            work = self._waiting.popleft()
            works.append(work)
            if isinstance(work, PutWork):
                size += sum(len(entry.data) for entry in work.entries)
        return works

    def _do(self, works: list[AnyWork], *, again: bool = False) -> None:
        if self.full:
            works = self._refuse_growing(works)
        synced = any(isinstance(w, PutWork | AckWork) or getattr(w, "synced", False) for w in works)
        executing = Executing(self.store, self.takers)
        try:
            self.store.begin(synced=synced)
            executing.run(works)
            self._crash("hub.after_statements")
            self.store.prepare_commit()
        except sqlite3.Error as error:
            self._failed(works, error, again=again)
            return
        self._crash("hub.before_commit")
        self._commit(works, executing, again=again)

    def _commit(self, works: list[AnyWork], executing: Executing, *, again: bool) -> None:
        started_s = self._loop.time()

        def committed(error: BaseException | None) -> None:
            # A moving average: one slow commit does not change the way, a slow disk does.
            self.commit_s += (self._loop.time() - started_s - self.commit_s) / 8
            if isinstance(error, sqlite3.Error):
                self._failed(works, error, again=again)
            elif error is not None:
                self._broken(error)
            else:
                self._committed(works, executing)

        if self.commit_s > INLINE_COMMIT_S:
            self._in_thread(self.store.database.commit, committed)
            return
        try:
            self.store.database.commit()
        except sqlite3.Error as error:
            committed(error)
        else:
            committed(None)

    def _committed(self, works: list[AnyWork], executing: Executing) -> None:
        self._crash("hub.after_commit")
        self.store.committed()
        self.groups += 1
        self.works += len(works)
        self._written_bytes += PAGES_BYTES + executing.written_bytes
        self._crash("hub.before_answer")
        self.answering = True
        executing.answer()
        self.answering = False
        self._flush()
        self._crash("hub.after_answer")
        if self._written_bytes > self._checkpoint_bytes:
            self._checkpoint()
        else:
            self._go_on()

    def _checkpoint(self) -> None:
        self._written_bytes = 0
        self._crash("hub.before_checkpoint")

        def done(error: BaseException | None) -> None:
            self._crash("hub.after_checkpoint")
            if isinstance(error, sqlite3.Error) and is_full(error):
                self._become_full()
            elif error is not None:
                self._broken(error)
                return
            self._go_on()

        self._in_thread(self.store.database.checkpoint, done)

    def _go_on(self) -> None:
        if self._waiting or self._between:
            # Through the loop: what came meanwhile is read before the next group is made.
            self._loop.call_soon(self._next)
        else:
            self._rest()

    def _rest(self) -> None:
        self._busy = False
        for future in self._idle:
            future.set_result(None)
        self._idle.clear()

    def _failed(self, works: list[AnyWork], error: sqlite3.Error, *, again: bool) -> None:
        try:
            self.store.undo()
        except sqlite3.Error as second:
            self._broken(second)
            return
        if not is_full(error):
            # A damaged file or a disk that fails: nothing that is said from here on were sure.
            self._broken(error)
            return
        self._become_full()
        if again:
            for work in works:
                work.fail(BusFull(DISK_FULL, next=DISK_FULL_NEXT))
            self._flush()
            self._go_on()
            return
        self._again = self._refuse_growing(works)
        self._in_thread(self._empty_log, self._try_again)

    def _empty_log(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):
            self.store.database.checkpoint(cut=True)

    def _try_again(self, error: BaseException | None) -> None:
        if error is not None:
            self._broken(error)
            return
        works, self._again = self._again, []
        self._do(works, again=True)

    def _refuse_growing(self, works: list[AnyWork]) -> list[AnyWork]:
        kept: list[AnyWork] = []
        for work in works:
            if isinstance(work, PutWork) or getattr(work, "grows", False):
                work.fail(BusFull(DISK_FULL, next=DISK_FULL_NEXT))
            else:
                kept.append(work)
        return kept

    def _become_full(self) -> None:
        self._ballast.give_up()
        if not self.full:
            self.full = True
            self._log("hub.full", path=str(self.store.path))

    def look_for_room(self) -> None:
        """While the disk is full: give pages back, and accept again when the ballast is back."""
        if self.full and not self._between:
            self.between(self._make_room).add_done_callback(self._room_made)

    def _make_room(self) -> None:
        store = self.store
        store.database.checkpoint(cut=True)
        for _ in range(VACUUM_STEPS):
            if not store.free_pages():
                return
            store.begin(synced=True)
            try:
                store.give_back_pages()
                store.database.commit()
            except sqlite3.Error:
                store.database.rollback()
                raise
            store.database.checkpoint(cut=True)

    def _room_made(self, made: asyncio.Future[None]) -> None:
        error = made.exception()
        if error is not None and not (isinstance(error, sqlite3.Error) and is_full(error)):
            self._broken(error)
        elif self._ballast.take_back():
            self.full = False
            self._log("hub.room", path=str(self.store.path))

    def _stepped(self, done: asyncio.Future[None], error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)
        self._go_on()

    def _in_thread(
        self, step: Callable[[], None], then: Callable[[BaseException | None], None]
    ) -> None:
        future = self._loop.run_in_executor(None, step)

        def done(ended: asyncio.Future[Any]) -> None:
            then(ended.exception())

        future.add_done_callback(done)
