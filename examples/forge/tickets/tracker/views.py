"""The pages: list, one ticket, the forms, and the page for two people editing at once.

Place:  app -> [views] -> queries, changes
Rule:   nothing typed is ever lost: a form that cannot be saved comes back filled in.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from sqlalchemy.orm import Session, selectinload
from werkzeug.wrappers import Response

from mergepoint.identity import of, requires
from tracker import changes, forms, mentioning, notifying, queries
from tracker.database import Database
from tracker.models import HANDLE_CHARS_MAX, TITLE_CHARS_MAX, Ticket
from tracker.people import EDIT, author
from tracker.queries import PAGE_TICKETS, PAGES_MAX, Filter

pages = Blueprint("pages", __name__)
Page = str | Response | tuple[str, int]


def log() -> logging.Logger:
    """Return the app's log."""
    return current_app.logger


def database() -> Database:
    """Return the database of the app that answers this request."""
    found: Database = current_app.extensions["tickets"]
    return found


def read_filter(default_state: str = "open") -> Filter:
    """Return what the address asks for; nonsense falls back to the first page of the default."""
    asked = request.args
    state = asked.get("state", default_state)
    return Filter(
        state=state if state in {"open", "closed", "all"} else default_state,
        label=asked.get("label", "")[:40],
        assignee=asked.get("assignee", "")[:HANDLE_CHARS_MAX],
        words=asked.get("q", "").strip()[:200],
        page=min(max(asked.get("page", 1, type=int), 1), PAGES_MAX),
    )


@pages.get("/")
def tickets() -> Page:
    """List tickets by state, label, person and words."""
    wanted = read_filter()
    with database().read() as db:
        found, total = queries.find(db, wanted)
        return render_template(
            "tracker/list.html",
            tickets=found,
            total=total,
            wanted=wanted,
            counts=queries.counts(db),
            comments=queries.comment_counts(db, found),
            labels=queries.labels(db),
            people=queries.people(db),
            pager=_pager(wanted, total),
        )


@pages.get("/new")
@requires(EDIT)
def new() -> Page:
    """Show an empty form."""
    with database().read() as db:
        return _form_page(db, forms.TicketForm(), None)


@pages.post("/new")
@requires(EDIT)
def create() -> Page:
    """Add a ticket, or show the form again with its errors."""
    with database().write() as db:
        form = _typed_ticket(db)
        if form.errors:
            return _form_page(db, form, None), 422
        ticket = changes.create(db, form, author())
    return redirect(url_for("pages.ticket", number=ticket.id), 303)


@pages.get("/<int:number>")
def ticket(number: int) -> Page:
    """Show a ticket and its thread; who was told of it has read that now."""
    user = of(request).user
    with database().read() as db:
        found = _get(db, number)
        news = bool(user) and notifying.unread(db, user) > 0
        page = _ticket_page(db, found, forms.CommentForm())
    if news and request.method == "GET":
        with database().write() as db:
            notifying.mark_read(db, user, number)
    return page


@pages.post("/<int:number>/comment")
@requires(EDIT)
def comment(number: int) -> Page:
    """Add a comment, close or reopen."""
    with database().write() as db:
        ticket = _get(db, number)
        form = forms.read_comment(request.form)
        if form.errors:
            return _ticket_page(db, ticket, form), 422
        changes.comment(db, ticket, form, author())
        last = ticket.comments[-1].id if ticket.comments else 0
    return redirect(url_for("pages.ticket", number=number, _anchor=f"c{last}"), 303)


@pages.get("/<int:number>/comment")
def back(number: int) -> Page:
    """Lead back to the form for whoever logs in after sending it too late."""
    return redirect(url_for("pages.ticket", number=number, _anchor="comment"), 303)


@pages.get("/<int:number>/edit")
@requires(EDIT)
def edit(number: int) -> Page:
    """Show the form filled with the ticket as it is now."""
    with database().read() as db:
        ticket = _get(db, number)
        form = forms.TicketForm(
            title=ticket.title,
            body=ticket.body,
            assignee=ticket.assignee,
            labels=tuple(label.name for label in ticket.labels),
            version=ticket.version,
        )
        return _form_page(db, form, ticket)


@pages.post("/<int:number>/edit")
@requires(EDIT)
def save(number: int) -> Page:
    """Save an edit; when somebody was faster, show both texts and keep what was typed."""
    with database().write() as db:
        ticket = _get(db, number)
        form = _typed_ticket(db)
        if form.errors:
            return _form_page(db, form, ticket), 422
        try:
            changes.edit(db, ticket, form, author())
        except changes.Outdated:
            form.version = ticket.version
            return _form_page(db, form, ticket, conflict=True), 409
    return redirect(url_for("pages.ticket", number=number), 303)


def _get(db: Session, number: int) -> Ticket:
    if number >= 2**63:  # beyond what SQLite can hold
        abort(404)
    return db.get(Ticket, number, options=[selectinload(Ticket.comments)]) or abort(404)


def _typed_ticket(db: Session) -> forms.TicketForm:
    known = {label.name for label in queries.labels(db)}
    return forms.read_ticket(request.form, request.form.getlist("labels"), known)


def _form_page(
    db: Session, form: forms.TicketForm, ticket: Ticket | None, *, conflict: bool = False
) -> str:
    return render_template(
        "tracker/form.html",
        form=form,
        ticket=ticket,
        conflict=conflict,
        labels=queries.labels(db),
        people=queries.people(db),
        title_chars_max=TITLE_CHARS_MAX,
    )


def _ticket_page(db: Session, ticket: Ticket, form: forms.CommentForm) -> str:
    mentions = mentioning.pages_naming(db, ticket.id)
    return render_template("tracker/ticket.html", ticket=ticket, form=form, mentions=mentions)


def _pager(wanted: Filter, total: int) -> dict[str, Any]:
    last = max(1, min(PAGES_MAX, -(-total // PAGE_TICKETS)))

    def link(page: int) -> str | None:
        asked = {**request.args.to_dict(), "page": page}
        return url_for("pages.tickets", **asked) if 1 <= page <= last else None

    text = f"Page {wanted.page} of {last}"
    return {"previous": link(wanted.page - 1), "next": link(wanted.page + 1), "text": text}
