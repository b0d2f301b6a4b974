"""What the tickets do outside of requests: tasks that a process of the site runs.

Place:  telling, [[schedules]] -> [jobs] -> notifying, mailing, counting
Rule:   imported where a site runs this app; every task may run twice and does no harm by it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mergepoint
from mergepoint.tasks import Backoff, Context, Dead
from tracker import counting, mailing, notifying
from tracker.changes import now
from tracker.database import Database
from tracker.people import Author
from tracker.settings import Settings

site = mergepoint.connect()
settings = Settings.from_environment()
QUEUE, MAIL = "tickets", "tickets.mail"
"""Queues of this app alone: whoever works on a queue must know its tasks."""


@cache
def database() -> Database:
    """Return the database as the processes of tasks open it."""
    return Database(settings.database)


@site.tasks.task(queue=QUEUE, retries=20, backoff=Backoff(max_s=300))
def publish(topic: str, event: dict[str, Any], ctx: Context) -> None:
    """Tell everybody who listens; told twice, it has the same id."""
    site.bus.publish(topic, event, id=ctx.id)


@site.tasks.task(queue=QUEUE, retries=10)
def notify(number: int, what: str, user: str, name: str, words: str, ctx: Context) -> int:
    """Write a notification for everybody the ticket concerns, and ask for their mails."""
    # The mark, the notifications and the mails they ask for are one transaction: all or nothing,
    # and once, whenever this process dies.
    with database().write() as db, ctx.once("written", db) as first:
        written = notifying.write(db, number, what, Author(user, name), words) if first else []
        for notification in written:
            if notification.email:
                mail.enqueue(notification.id)
    return len(written)


@site.tasks.task(queue=MAIL, retries=30, backoff=Backoff(first_s=2, max_s=900), unique=True)
def mail(notification: int) -> str | Dead:
    """Send one notification by mail; a server that is away or refuses for now is asked again."""
    with database().read() as db:
        letter = mailing.letter(db, notification, settings)
    try:
        return mailing.send(letter, settings)
    except mailing.Refused as error:
        return Dead(str(error))


@site.tasks.task(queue=QUEUE, retries=5)
def count() -> dict[str, Any] | None:
    """Count the tickets; the manifest says when."""
    with database().write() as db:
        counting.count(db, now())
        return counting.newest(db)
