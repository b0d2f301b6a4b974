"""What the tickets came to: counted by night, shown on the front page.

Place:  jobs, prepare, api -> [counting] -> models
Rule:   one row a day; counting again on the same day replaces it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from tracker.models import Comment, Count, Ticket

DAYS = 14
"""Days that are looked back on."""
ROWS_MAX = 400
"""Days that are kept."""
CLOSED = "closed this"


def count(session: Session, now: datetime) -> Count:
    """Count what is open, and what the last `DAYS` days brought; keep it under today's date."""
    since = now - timedelta(days=DAYS)
    closed = Comment.kind == "event", Comment.body == CLOSED
    counted = Count(
        day=now.date(),
        counted_at=now,
        open=_number(session, Ticket.id, Ticket.state == "open"),
        opened=_number(session, Ticket.id, Ticket.created_at >= since),
        closed=_number(session, Comment.id, *closed, Comment.created_at >= since),
        said=_number(session, Comment.id, Comment.kind == "comment", Comment.created_at >= since),
    )
    kept = session.merge(counted)
    session.flush()
    _forget(session, now.date())
    return kept


def newest(session: Session) -> dict[str, Any] | None:
    """Return the newest count as programs read it; None before the first."""
    found = session.scalar(select(Count).order_by(Count.day.desc()).limit(1))
    if found is None:
        return None
    return {
        "days": DAYS,
        "open": found.open,
        "opened": found.opened,
        "closed": found.closed,
        "said": found.said,
        "at": found.counted_at.isoformat(timespec="seconds") + "Z",
    }


def _number(session: Session, column: Any, *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(column)).where(*where)) or 0


def _forget(session: Session, today: date) -> None:
    for old in session.scalars(select(Count).where(Count.day < today - timedelta(days=ROWS_MAX))):
        session.delete(old)
