"""Find tickets: by state, label, person and words.

Place:  database -> [queries] -> views, api
Rule:   every result is bounded; words from people never become query syntax.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from tracker.models import Comment, Label, Ticket

PAGE_TICKETS = 20
PAGES_MAX = 500
SEARCH_WORDS_MAX = 12
SNIPPET_WORDS = 24
WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows; `state` is ``open``, ``closed`` or ``all``, empty means any."""

    state: str = "open"
    label: str = ""
    assignee: str = ""
    words: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A ticket found by words, with the place where they stand."""

    ticket: Ticket
    snippet: str


def match_expression(words: str) -> str:
    """Turn typed words into a full-text query: all words, the last one as a beginning."""
    found = WORD.findall(words)[:SEARCH_WORDS_MAX]
    if not found:
        return ""
    return " ".join(f'"{word}"' for word in found) + "*"


def find(session: Session, wanted: Filter) -> tuple[Sequence[Ticket], int]:
    """Return one page of tickets, newest change first, and how many there are in all."""
    query = _filtered(select(Ticket), wanted)
    total = session.scalar(_filtered(select(func.count(Ticket.id)), wanted)) or 0
    ordered = query.order_by(Ticket.updated_at.desc(), Ticket.id.desc())
    start = (wanted.page - 1) * PAGE_TICKETS
    return session.scalars(ordered.offset(start).limit(PAGE_TICKETS)).all(), total


def search(session: Session, words: str, hits_max: int) -> list[Hit]:
    """Return tickets with these words, best first; none for no words."""
    expression = match_expression(words)
    if not expression:
        return []
    rows = session.execute(
        text(
            "SELECT rowid, snippet(ticket_text, -1, '', '', '…', :length) FROM ticket_text "
            "WHERE ticket_text MATCH :expression "
            "ORDER BY bm25(ticket_text, 8.0, 2.0, 1.0) LIMIT :hits_max"
        ),
        {"length": SNIPPET_WORDS, "expression": expression, "hits_max": hits_max},
    ).all()
    snippets = {int(row[0]): str(row[1]) for row in rows}
    found = session.scalars(select(Ticket).where(Ticket.id.in_(snippets))).all()
    tickets = {ticket.id: ticket for ticket in found}
    return [Hit(tickets[id_], snippet) for id_, snippet in snippets.items() if id_ in tickets]


def counts(session: Session) -> dict[str, int]:
    """Return the number of tickets by state."""
    rows = session.execute(
        select(Ticket.state, func.count().label("number")).group_by(Ticket.state)
    ).all()
    return {"open": 0, "closed": 0} | {row.state: row.number for row in rows}


def comment_counts(session: Session, tickets: Sequence[Ticket]) -> dict[int, int]:
    """Return the number of comments of each of these tickets that has any."""
    rows = session.execute(
        select(Comment.ticket_id, func.count().label("number"))
        .where(Comment.ticket_id.in_([ticket.id for ticket in tickets]), Comment.kind == "comment")
        .group_by(Comment.ticket_id)
    ).all()
    return {row.ticket_id: row.number for row in rows}


def people(session: Session, people_max: int = 100) -> Sequence[str]:
    """Return everyone who has a ticket assigned, by name."""
    query = select(Ticket.assignee).where(Ticket.assignee != "").distinct()
    return session.scalars(query.order_by(Ticket.assignee).limit(people_max)).all()


def labels(session: Session) -> Sequence[Label]:
    """Return every label by name."""
    return session.scalars(select(Label).order_by(Label.name)).all()


def _filtered(query: Select[Any], wanted: Filter) -> Select[Any]:
    if wanted.state in {"open", "closed"}:
        query = query.where(Ticket.state == wanted.state)
    if wanted.label:
        query = query.where(Ticket.labels.any(Label.name == wanted.label))
    if wanted.assignee:
        query = query.where(Ticket.assignee == wanted.assignee)
    if wanted.words:
        # Words without a letter or digit match nothing, rather than everything.
        expression = match_expression(wanted.words) or '""'
        matching = text("SELECT rowid FROM ticket_text WHERE ticket_text MATCH :expression")
        query = query.where(Ticket.id.in_(matching.bindparams(expression=expression)))
    return query
