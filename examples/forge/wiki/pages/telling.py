"""Tell the site that a page changed, within the transaction that changes it.

Place:  writing -> [telling] -> jobs
Rule:   called within `transaction.atomic`, so nobody hears of what was rolled back. Alone, without
        a site around the wiki, there is nobody to tell.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from pages import markup
from pages.models import Page

TOPIC = "wiki.page.changed"


def tell(page: Page) -> None:
    """Publish `wiki.page.changed` once this transaction has committed."""
    if settings.HAS_BUS:
        from pages import jobs

        jobs.publish.enqueue(TOPIC, event_of(page))


def event_of(page: Page) -> dict[str, Any]:
    """Return what other apps are told of a page; pure.

    `number` is its version: of two events the one with the larger is the truth. `tickets` are the
    numbers that its text names as #42.
    """
    return {
        "slug": page.slug,
        "title": page.title,
        "number": page.number,
        "by": page.updated_by,
        "path": f"{settings.MOUNT}page/{page.slug}",
        "tickets": markup.tickets(page.body),
    }
