"""Tickets that name pages, as the tickets' events tell.

Place:  hooks, views -> [tickets] -> models
Rule:   events may come twice and in any order; the newest revision of a ticket decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from pages.markup import slug_of
from pages.models import TITLE_CHARS_MAX, Page, Ticket, TicketLink

NAMES_MAX = 500
SHOWN_MAX = 50


@transaction.atomic
def keep(event: Mapping[str, Any]) -> bool:
    """Note which pages a ticket names now; False for news that are older than what is known."""
    number, revision = int(event["number"]), int(event["revision"])
    known = Ticket.objects.filter(pk=number).first()
    if known is not None and known.revision >= revision:
        return False
    title, state = str(event["title"])[:TITLE_CHARS_MAX], str(event["state"])
    found = Ticket(number=number, revision=revision, title=title, is_open=state == "open")
    found.save()
    found.links.all().delete()
    slugs = {slug_of(str(name)) for name in event["names"][:NAMES_MAX]} - {""}
    TicketLink.objects.bulk_create(TicketLink(ticket=found, target=slug) for slug in slugs)
    return True


def naming(page: Page) -> QuerySet[Ticket]:
    """Return the tickets that name a page, newest first."""
    return Ticket.objects.filter(links__target=page.slug).order_by("-number")[:SHOWN_MAX]
