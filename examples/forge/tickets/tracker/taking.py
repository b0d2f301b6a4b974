"""Take over tickets that another app found in a repository.

Place:  hearing -> [taking] -> models, telling
Rule:   a ticket is taken once: what is known by its source and its number there is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tracker.changes import now
from tracker.models import (
    BODY_CHARS_MAX,
    COMMENT_CHARS_MAX,
    HANDLE_CHARS_MAX,
    TITLE_CHARS_MAX,
    Comment,
    Imported,
    Label,
    Ticket,
)
from tracker.people import Author
from tracker.telling import publish

NOBODY = "unknown"
Raw = Mapping[str, Any]


def take_over(session: Session, source: str, batch: str, by: str, raws: Sequence[Raw]) -> int:
    """Add those that are not here yet, and tell the site of each; return how many are of `batch`.

    Asked twice, it answers the same. Nobody is notified: these are old stories.
    """
    keys = [raw["key"] for raw in raws]
    query = select(Imported).where(Imported.source == source, Imported.key.in_(keys))
    found = session.scalars(query).all()
    known = {one.key for one in found}
    labels = {label.name: label for label in session.scalars(select(Label))}
    taken = [raw for raw in raws if raw["key"] not in known]
    for raw in taken:
        ticket = _ticket(raw, [labels[name] for name in raw["labels"] if name in labels])
        told = f"took this over from {source}, where it is #{raw['key']}"
        ticket.comments.append(Comment(kind="event", author=by, body=told, created_at=now()))
        session.add(ticket)
        session.flush()
        session.add(Imported(source=source, key=raw["key"], ticket_id=ticket.id, batch=batch))
        publish("created", ticket, Author(by, ""))
    return len(taken) + sum(one.batch == batch for one in found)


def _ticket(raw: Raw, labels: list[Label]) -> Ticket:
    comments = [
        Comment(
            author=said["author"][:HANDLE_CHARS_MAX] or NOBODY,
            body=said["body"][:COMMENT_CHARS_MAX],
            created_at=_moment(said["at"]),
        )
        for said in raw["comments"]
    ]
    return Ticket(
        title=raw["title"][:TITLE_CHARS_MAX],
        body=raw["body"][:BODY_CHARS_MAX],
        state=raw["state"],
        author=raw["author"][:HANDLE_CHARS_MAX] or NOBODY,
        labels=labels,
        comments=comments,
        created_at=_moment(raw["at"]),
        updated_at=max([_moment(raw["at"]), *(said.created_at for said in comments)]),
        version=1,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text) if text else now()
