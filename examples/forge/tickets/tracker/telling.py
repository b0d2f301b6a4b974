"""Tell the site what happened to a ticket, within the transaction in which it happens.

Place:  changes -> [telling] -> jobs
Rule:   called before the commit, so nobody hears of what was rolled back. Alone, without a site
        around this app, there is nobody to tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracker import prose
from tracker.models import Ticket
from tracker.people import Author
from tracker.settings import IN_SITE

WORDS_CHARS_MAX = 1000
"""How much of a comment travels with a notification; the rest is read on the ticket."""


def tell(what: str, ticket: Ticket, by: Author, words: str = "") -> None:
    """Publish `tickets.<what>` and notify those concerned, once this transaction has committed."""
    publish(what, ticket, by)
    if IN_SITE:
        from tracker import jobs

        jobs.notify.enqueue(ticket.id, what, by.user, by.name, words[:WORDS_CHARS_MAX])


def publish(what: str, ticket: Ticket, by: Author) -> None:
    """Publish `tickets.<what>` alone, once this transaction has committed."""
    if IN_SITE:
        from tracker import jobs

        jobs.publish.enqueue(f"tickets.{what}", event_of(ticket, by))


def event_of(ticket: Ticket, by: Author) -> dict[str, Any]:
    """Return what other apps are told of a ticket; pure.

    `revision` grows with everything that happens to it: whoever hears two events in the wrong
    order keeps the one with the larger. `names` are the titles of wiki pages in its words.
    """
    texts = [ticket.body, *(said.body for said in ticket.comments if said.kind == "comment")]
    return {
        "number": ticket.id,
        "revision": ticket.version + len(ticket.comments),
        "title": ticket.title,
        "state": ticket.state,
        "by": by.user,
        "names": _distinct(title for text in texts for title in prose.page_titles(text)),
    }


def _distinct(titles: Iterable[str], titles_max: int = 500) -> list[str]:
    return list(dict.fromkeys(titles))[:titles_max]
