"""Pages of the wiki that name a ticket, as the wiki's events tell.

Place:  hearing, views -> [mentioning] -> models
Rule:   events may come twice and in any order; the newest version of a page decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tracker.models import Mention, WikiPage

NAMED_MAX = 500
SHOWN_MAX = 50


def keep(session: Session, event: Mapping[str, Any]) -> bool:
    """Note which tickets a page names now; False for news that are older than what is known."""
    known = session.get(WikiPage, str(event["slug"]))
    if known is not None and known.number >= int(event["number"]):
        return False
    page = session.merge(
        WikiPage(
            slug=str(event["slug"]),
            title=str(event["title"]),
            number=int(event["number"]),
            path=str(event["path"]),
        )
    )
    session.flush()
    session.execute(delete(Mention).where(Mention.slug == page.slug))
    numbers = dict.fromkeys(int(number) for number in event["tickets"][:NAMED_MAX])
    session.add_all(Mention(slug=page.slug, ticket_id=number) for number in numbers)
    return True


def pages_naming(session: Session, number: int) -> Sequence[WikiPage]:
    """Return the pages that name a ticket, by title."""
    query = select(WikiPage).join(Mention, Mention.slug == WikiPage.slug)
    query = query.where(Mention.ticket_id == number).order_by(WikiPage.title)
    return session.scalars(query.limit(SHOWN_MAX)).all()
