"""Notifications: who is told of a change to a ticket, and what they have not read yet.

Place:  jobs, notices -> [notifying] -> models
Rule:   nobody is told of what they did themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tracker.changes import now
from tracker.models import HANDLE_CHARS_MAX, Mailbox, Notification, Ticket
from tracker.people import Author

AT = re.compile(r"(?<![\w@.])@([a-z0-9][a-z0-9._-]*)")
SHOWN_MAX = 100
TOLD_MAX = 50
"""People one change is told to."""
SAID = {
    "created": "opened this",
    "changed": "changed this",
    "commented": "commented",
}


def concerned(ticket: Ticket, by: str, words: str) -> list[str]:
    """Return who is told: who opened it, has it, spoke on it, or is named with an @; pure."""
    spoke = [said.author for said in ticket.comments]
    named = [name.rstrip(".")[:HANDLE_CHARS_MAX] for name in AT.findall(words)]
    everybody = dict.fromkeys([ticket.author, ticket.assignee, *spoke, *named])
    return [user for user in everybody if user not in {"", by}][:TOLD_MAX]


def write(session: Session, number: int, what: str, by: Author, words: str) -> list[Notification]:
    """Add the notifications of one change and return them; none for a ticket that is gone."""
    ticket = session.get(Ticket, number)
    if ticket is None:
        return []
    users = concerned(ticket, by.user, words)
    mailboxes = {box.user: box.email for box in _mailboxes(session, users)}
    written = [
        Notification(
            user=user,
            ticket=ticket,
            by=by.name or by.user,
            said=SAID[what],
            words=words,
            email=mailboxes.get(user, ""),
            created_at=now(),
        )
        for user in users
    ]
    session.add_all(written)
    session.flush()
    return written


def unread(session: Session, user: str) -> int:
    """Return how many notifications somebody has not read."""
    query = select(func.count(Notification.id)).where(Notification.user == user)
    return session.scalar(query.where(Notification.read_at.is_(None))) or 0


def newest(session: Session, user: str) -> Sequence[Notification]:
    """Return somebody's notifications, newest first."""
    query = select(Notification).where(Notification.user == user)
    return session.scalars(query.order_by(Notification.id.desc()).limit(SHOWN_MAX)).all()


def mark_read(session: Session, user: str, number: int | None = None) -> None:
    """Note that somebody has read theirs, of one ticket or all."""
    change = update(Notification).where(Notification.user == user, Notification.read_at.is_(None))
    if number is not None:
        change = change.where(Notification.ticket_id == number)
    session.execute(change.values(read_at=now()))


def mailbox(session: Session, user: str) -> str:
    """Return where somebody is mailed to; empty when they are not."""
    found = session.get(Mailbox, user)
    return found.email if found else ""


def keep_mailbox(session: Session, user: str, email: str) -> None:
    """Mail somebody from now on, or no longer when `email` is empty."""
    found = session.get(Mailbox, user)
    if found is not None:
        session.delete(found)
        session.flush()
    if email:
        session.add(Mailbox(user=user, email=email))


def _mailboxes(session: Session, users: Sequence[str]) -> Sequence[Mailbox]:
    return session.scalars(select(Mailbox).where(Mailbox.user.in_(users))).all()
