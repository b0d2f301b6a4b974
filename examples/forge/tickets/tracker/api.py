"""The same tickets for programs: list, search and news as JSON.

Place:  app -> [api] -> queries
Rule:   read only; the shape of an item is the one that every app of the forge uses.
"""

from __future__ import annotations

from flask import Blueprint, jsonify, request, url_for
from werkzeug.wrappers import Response

from mergepoint.identity import of
from tracker import counting, notifying, queries
from tracker.models import Ticket
from tracker.queries import PAGE_TICKETS, Filter
from tracker.times import moment
from tracker.views import database, read_filter

api = Blueprint("api", __name__, url_prefix="/api")
HITS_MAX = 20
RECENT = 5


@api.get("/tickets")
def tickets() -> Response:
    """Return one page of tickets under the same filters as the list."""
    wanted = read_filter("all")
    with database().read() as db:
        found, total = queries.find(db, wanted)
        items = [_ticket(ticket) for ticket in found]
    return jsonify(total=total, page=wanted.page, page_size=PAGE_TICKETS, items=items)


@api.get("/search")
def search() -> Response:
    """Return the best tickets for the words in `q`."""
    with database().read() as db:
        hits = queries.search(db, request.args.get("q", "")[:200], HITS_MAX)
        return jsonify(items=[_item(hit.ticket, hit.snippet) for hit in hits])


@api.get("/recent")
def recent() -> Response:
    """Return the tickets that changed last."""
    with database().read() as db:
        found, _ = queries.find(db, Filter(state="open"))
        open_ = queries.counts(db)["open"]
        items = [_item(ticket, "") for ticket in found[:RECENT]]
        counted = counting.newest(db)
    return jsonify(items=items, summary=f"{open_} open", new=url_for("pages.new"), counted=counted)


@api.get("/unread")
def unread() -> Response:
    """Return how many notifications whoever asks has not read."""
    with database().read() as db:
        return jsonify(unread=notifying.unread(db, of(request).user))


def _item(ticket: Ticket, snippet: str) -> dict[str, str]:
    return {
        "title": f"#{ticket.id} {ticket.title}",
        "url": url_for("pages.ticket", number=ticket.id),
        "snippet": snippet,
        "state": ticket.state,
        "by": ticket.by,
        "at": moment(ticket.updated_at),
    }


def _ticket(ticket: Ticket) -> dict[str, object]:
    return {
        "number": ticket.id,
        "title": ticket.title,
        "state": ticket.state,
        "author": ticket.author,
        "author_name": ticket.author_name,
        "assignee": ticket.assignee,
        "labels": [label.name for label in ticket.labels],
        "created_at": moment(ticket.created_at),
        "updated_at": moment(ticket.updated_at),
        "url": url_for("pages.ticket", number=ticket.id),
    }
