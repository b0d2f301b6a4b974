"""Reading the audit log; it is written by `store.unit` in the transaction of what happened.

Place:  pages, cli -> [service.audit] -> store
Rule:   never changes a row; the database itself refuses to change or remove what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.store.models import AuditRow
from mergepoint.identity.accounts.store.unit import Store

PAGE_MAX = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `at` in Unix seconds."""

    id: int
    at: float
    event: str
    actor: str
    actor_user: str
    target: str
    target_user: str
    address: str
    agent: str
    request_id: str
    detail: Mapping[str, Any]


class Audit:
    """The audit log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(
        self, *, before: int | None = None, event: str = "", about: str = "", limit: int = 100
    ) -> list[Entry]:
        """Return entries, the newest first; `before` is the id of the last one seen.

        `event` is an event or its beginning (``login.``); `about` a subject or a user name.
        """
        wanted = select(AuditRow).order_by(AuditRow.id.desc())
        if before is not None:
            wanted = wanted.where(AuditRow.id < before)
        if event:
            wanted = wanted.where(AuditRow.event.startswith(event, autoescape=True))
        if about.isprintable() and about:
            columns = (
                AuditRow.target,
                AuditRow.actor,
                AuditRow.target_user,
                AuditRow.actor_user,
            )
            wanted = wanted.where(or_(*(column == about for column in columns)))
        with self._store.read() as session:
            rows = session.scalars(wanted.limit(max(1, min(limit, PAGE_MAX))))
            return [_entry(row) for row in rows]

    def write(
        self,
        event: Event,
        by: Caller,
        *,
        target: str = "",
        user: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what changed no table of ours: a rotated key, a letter that was sent."""
        with self._store.write(by) as work:
            work.audit(event, target, user, detail)


def _entry(row: AuditRow) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        event=row.event,
        actor=row.actor,
        actor_user=row.actor_user,
        target=row.target,
        target_user=row.target_user,
        address=row.address,
        agent=row.agent,
        request_id=row.request_id,
        detail=row.detail,
    )
