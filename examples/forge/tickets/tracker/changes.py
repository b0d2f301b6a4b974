"""Write tickets: create, edit, comment, close and reopen, each in one transaction.

Place:  forms -> [changes] -> database
Rule:   an edit made from an old version changes nothing; see Outdated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tracker.forms import CommentForm, TicketForm
from tracker.models import Comment, Label, Ticket
from tracker.people import Author
from tracker.telling import tell


class Outdated(Exception):
    """Somebody else saved the ticket after this form was opened; nothing was written."""


def now() -> datetime:
    """Return the present moment in UTC, to the second, as the tables keep it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def create(session: Session, form: TicketForm, by: Author) -> Ticket:
    """Add a ticket and return it with its number."""
    ticket = Ticket(
        title=form.title,
        body=form.body,
        assignee=form.assignee,
        author=by.user,
        author_name=by.name,
        labels=_labels(session, form.labels),
        created_at=now(),
        updated_at=now(),
        version=1,
    )
    session.add(ticket)
    session.flush()
    tell("created", ticket, by, form.body)
    return ticket


def edit(session: Session, ticket: Ticket, form: TicketForm, by: Author) -> None:
    """Save the form over the ticket and tell the thread; raise `Outdated` for an old form."""
    if form.version != ticket.version:
        raise Outdated
    told = _difference(ticket, form)
    ticket.title, ticket.body, ticket.assignee = form.title, form.body, form.assignee
    ticket.labels = _labels(session, form.labels)
    ticket.version += 1
    ticket.updated_at = now()
    if told:
        ticket.comments.append(_said(by, told, kind="event"))
        tell("changed", ticket, by, told)


def comment(session: Session, ticket: Ticket, form: CommentForm, by: Author) -> None:
    """Add the words, then close or reopen if asked; doing that twice tells it once."""
    if form.body:
        ticket.comments.append(_said(by, form.body))
    state = {"close": "closed", "reopen": "open"}.get(form.then, ticket.state)
    turned = state != ticket.state
    if turned:
        ticket.state = state
        told = "closed this" if state == "closed" else "reopened this"
        ticket.comments.append(_said(by, told, kind="event"))
    ticket.updated_at = now()
    session.flush()
    if form.body or turned:
        tell("commented" if form.body else "changed", ticket, by, form.body or told)


def _said(by: Author, words: str, kind: str = "comment") -> Comment:
    return Comment(kind=kind, author=by.user, author_name=by.name, body=words, created_at=now())


def _labels(session: Session, names: Sequence[str]) -> list[Label]:
    return list(session.scalars(select(Label).where(Label.name.in_(names)).order_by(Label.name)))


def _difference(ticket: Ticket, form: TicketForm) -> str:
    told = []
    if form.title != ticket.title:
        told.append(f"changed the title from “{ticket.title}”")
    if form.body != ticket.body:
        told.append("edited the description")
    if form.assignee != ticket.assignee:
        told.append(f"gave it to {form.assignee}" if form.assignee else "took it off everybody")
    if set(form.labels) != {label.name for label in ticket.labels}:
        told.append("set the labels to " + (", ".join(sorted(form.labels)) or "none"))
    return "; ".join(told)
