"""Units of work: reading, and writing with its audit rows and revocations in one transaction.

Place:  service -> [store.unit] -> store.engine, store.models
Rule:   a revocation is stamped last, with every lock held, so that positions follow commits.

Why last: whoever issues a proof locks the subject first and looks at the clock second. A change
that is stamped after its locks are held is therefore either older than the proof, and seen by it,
or its `before` is younger than the proof, and ends it. Nothing falls between.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import KEEP_S
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.store.engine import (
    BEGIN_OPTION,
    open_engine,
    parse_url,
    sqlite_path,
)
from mergepoint.identity.accounts.store.errors import StoreLost
from mergepoint.identity.accounts.store.migrate import migrate
from mergepoint.identity.accounts.store.models import (
    AuditRow,
    FeedRow,
    RevocationRow,
    SessionRow,
    SubjectRow,
    TokenRow,
)

STEP_S = 0.001
"""How far a revocation of something that lives on lies ahead; the next proof is issued there."""
ENDED_AHEAD_S = 60.0
"""The same for ids that never come back: covers clocks of two machines that differ."""
LOST_PAUSE_S = 0.5
"""How long a lost database is not asked again, so that a waiting queue cannot form."""
LINE_S = 5.0
"""How long a thread waits for its turn to write to SQLite."""
PRUNED_AT_ONCE_MAX = 1000
REVOKE_SUBJECT, REVOKE_SESSION, REVOKE_TOKEN, REVOKE_SITE = "subject", "session", "token", "site"

log = logging.getLogger("mergepoint.accounts")


class Work:
    """One transaction that writes; leaves nothing behind when its block raises."""

    def __init__(self, session: Session, by: Caller, clock: Clock) -> None:
        self.session = session
        self.by = by
        self.now_s = clock.unix_s()
        self._clock = clock
        self._ended: dict[tuple[str, str], None] = {}

    def lock_subject(self, sub: str) -> SubjectRow | None:
        """Return the subject, held against other writers until the transaction ends."""
        statement = select(SubjectRow).where(SubjectRow.sub == sub).with_for_update()
        return self.session.scalar(statement.execution_options(populate_existing=True))

    def revoke(self, kind: str, target: str = "") -> None:
        """End every proof of `target` issued until this transaction commits."""
        self._ended[kind, target] = None

    def audit(
        self,
        event: Event,
        target: str = "",
        user: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one row of the audit log, in this transaction."""
        self.session.add(
            AuditRow(
                at=self.now_s,
                event=str(event),
                actor=self.by.sub,
                actor_user=self.by.user[:64],
                target=target[:64],
                target_user=user[:64],
                address=self.by.address,
                agent=self.by.agent,
                request_id=self.by.request_id,
                detail=dict(detail or {}),
            )
        )

    def finish(self) -> int:
        """Write what is left, stamp the revocations; return their last position, 0 for none."""
        self.session.flush()
        if not self._ended:
            return 0
        feed = self.session.scalars(select(FeedRow).with_for_update()).one()
        at = self._clock.unix_s()
        for kind, target in self._ended:
            feed.position += 1
            self.session.add(
                RevocationRow(
                    position=feed.position,
                    kind=kind,
                    target=target,
                    before=self._before(feed, kind, target, at),
                    at=at,
                )
            )
        self._prune(feed, at)
        self.session.flush()
        return feed.position

    def _before(self, feed: FeedRow, kind: str, target: str, at: float) -> float:
        """Return where proofs begin to count again: after every one that was issued.

        Those of a subject bear the clock or a `valid_from`, whichever was later.
        """
        floor = max(at, feed.valid_from, self._issued_upto(kind, target))
        if kind == REVOKE_SITE:
            feed.valid_from = floor + STEP_S
            return feed.valid_from
        row = self.session.get(SubjectRow, target) if kind == REVOKE_SUBJECT else None
        if row is not None:
            row.valid_from = floor + STEP_S
            return row.valid_from
        return floor + ENDED_AHEAD_S

    def _issued_upto(self, kind: str, target: str) -> float:
        """Return the latest `valid_from` of the subjects whose proofs end."""
        wanted = select(func.max(SubjectRow.valid_from))
        if kind == REVOKE_SUBJECT:
            wanted = wanted.where(SubjectRow.sub == target)
        elif kind == REVOKE_SESSION:
            wanted = wanted.join(SessionRow).where(SessionRow.sid == target)
        elif kind == REVOKE_TOKEN:
            wanted = wanted.join(TokenRow).where(TokenRow.id == target)
        return self.session.scalar(wanted) or 0.0

    def _prune(self, feed: FeedRow, at: float) -> None:
        """Forget what is older than `KEEP_S`, the oldest first, and remember how far."""
        old = (
            select(RevocationRow.position)
            .where(RevocationRow.at < at - KEEP_S)
            .order_by(RevocationRow.position)
            .limit(PRUNED_AT_ONCE_MAX)
        )
        upto = self.session.scalar(select(func.max(old.subquery().c.position)))
        if upto is not None:
            self.session.execute(delete(RevocationRow).where(RevocationRow.position <= upto))
            feed.pruned = max(feed.pruned, upto)


class Store:
    """The accounts database; safe to use from many threads and processes."""

    def __init__(self, database: str, clock: Clock) -> None:
        url = parse_url(database)
        self.engine = open_engine(url)
        self.clock = clock
        self._writing = self.engine.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
        self._path = sqlite_path(url)
        self._file: tuple[int, int] | None = None
        self._ready = False
        self._lost_until_s = float("-inf")
        # SQLite has one writer at a time and lets the rest race; here they stand in a line.
        self._line = threading.Lock() if self._path is not None else None

    def prepare(self) -> None:
        """Bring the tables up unless that was done; raise `StoreLost` or `StoreRefused`."""
        if self._ready:
            return
        if self._file is not None and self._identity() is None:
            # It was there: a new, empty one in its place would let everybody's revocations go.
            self._lose("the accounts database file is gone", pause=True)
        with self._guarded():
            migrate(self.engine)
        self._file = self._identity()
        self._ready = True

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state; raise `StoreLost` when the database is away."""
        self._check()
        with self._guarded(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, by: Caller) -> Iterator[Work]:
        """Give a unit of work that commits whole at the end of the block, or not at all."""
        self._check()
        with (
            self._guarded(),
            self._turn(),
            Session(self._writing, expire_on_commit=False) as session,
        ):
            work = Work(session, by, self.clock)
            yield work
            position = work.finish()
            session.commit()
            by.position = max(by.position, position)

    def close(self) -> None:
        """Close every connection; the store may be used again."""
        self.engine.dispose()

    def _check(self) -> None:
        if self.clock.monotonic_s() < self._lost_until_s:
            raise StoreLost("the accounts database did not answer a moment ago")
        self.prepare()
        if self._path is not None and self._identity() != self._file:
            self.engine.dispose()  # its connections still hold the file that was taken away
            self._ready = False
            self._lose("the accounts database file was moved or replaced", pause=False)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._line is None:
            yield
            return
        if not self._line.acquire(timeout=LINE_S):
            self._lose(f"no turn to write within {LINE_S:g} s", pause=False)
        try:
            yield
        finally:
            self._line.release()

    def _identity(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)  # noqa: PTH116 - asked before every use; half the cost
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise
        except PoolTimeout:
            self._lose("every connection to the accounts database is in use", pause=False)
        except DBAPIError as error:
            # Without a statement it was the connection that failed.
            gone = error.connection_invalidated or error.statement is None
            self._lose(type(error.orig).__name__, pause=gone)

    def _lose(self, reason: str, *, pause: bool) -> None:
        """Raise `StoreLost`; the reason goes to the log alone."""
        if pause:
            self._lost_until_s = self.clock.monotonic_s() + LOST_PAUSE_S
        log.warning("accounts database: %s", reason)
        raise StoreLost(
            "the accounts database does not answer", next="mergepoint logs accounts"
        ) from None
