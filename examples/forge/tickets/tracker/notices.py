"""The pages of notifications: what one has to read, whether it is mailed, and mails nobody sent.

Place:  app -> [notices] -> notifying, mailing
Rule:   everybody sees their own; an address is the one the site knows, never one that was typed.
"""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from mergepoint.identity import of, requires
from tracker import mailing, notifying
from tracker.models import EMAIL_CHARS_MAX
from tracker.views import database

notices = Blueprint("notices", __name__)
READ_MAILS = "tickets.mails"


@notices.get("/notifications")
@requires()
def listed() -> str:
    """Show somebody's notifications, newest first."""
    who = of(request)
    with database().read() as db:
        return render_template(
            "tracker/notifications.html",
            notifications=notifying.newest(db, who.user),
            unread=notifying.unread(db, who.user),
            mailbox=notifying.mailbox(db, who.user),
            email=_email(),
            sends=bool(current_app.extensions["settings"].smtp_url),
        )


@notices.post("/notifications")
@requires()
def change() -> Response:
    """Mark all as read, or begin or end to mail them."""
    user, wanted = of(request).user, request.form.get("then", "")
    with database().write() as db:
        if wanted == "read":
            notifying.mark_read(db, user)
        elif wanted in {"mail", "quiet"}:
            notifying.keep_mailbox(db, user, _email() if wanted == "mail" else "")
    return redirect(url_for("notices.listed"), 303)


@notices.get("/mails")
@requires(READ_MAILS)
def mails() -> str:
    """Show the mails that were kept because no server was named."""
    settings = current_app.extensions["settings"]
    return render_template(
        "tracker/mails.html", mails=mailing.kept(settings), sends=bool(settings.smtp_url)
    )


def _email() -> str:
    """Return the address that the site knows of whoever asks; empty for none or too long a one."""
    email = of(request).email or ""
    return email if len(email) <= EMAIL_CHARS_MAX else ""
