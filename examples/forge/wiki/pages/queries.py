"""Find pages: by words, by change, by links that lead nowhere yet.

Place:  models -> [queries] -> views, api
Rule:   every result is bounded; words from people never become query syntax.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, QuerySet

from pages.models import Link, Page, Revision

SEARCH_WORDS_MAX = 12
SNIPPET_WORDS = 24
LISTED_MAX = 500
WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Hit:
    """A page found by words, with the place where they stand."""

    page: Page
    snippet: str


def search(words: str, hits_max: int) -> list[Hit]:
    """Return pages with all these words, best first; the last word may be a beginning."""
    found = WORD.findall(words)[:SEARCH_WORDS_MAX]
    if not found:
        return []
    expression = " ".join(f'"{word}"' for word in found) + "*"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rowid, snippet(page_text, 1, '', '', '…', %s) FROM page_text "
            "WHERE page_text MATCH %s ORDER BY bm25(page_text, 8.0, 1.0) LIMIT %s",
            [SNIPPET_WORDS, expression, hits_max],
        )
        snippets = dict(cursor.fetchall())
    pages = Page.objects.in_bulk(snippets)
    return [Hit(pages[id_], snippet) for id_, snippet in snippets.items() if id_ in pages]


def existing(slugs: Collection[str]) -> set[str]:
    """Return those slugs that have a page."""
    return set(Page.objects.filter(slug__in=slugs).values_list("slug", flat=True))


def wanted() -> QuerySet[Link, dict[str, object]]:
    """Return pages that others name and nobody has written, most wanted first."""
    written = Page.objects.filter(slug=OuterRef("target"))
    missing = Link.objects.filter(~Exists(written)).values("target")
    counted = missing.annotate(named_by=Count("page"), named_as=Min("title"))
    return counted.order_by("-named_by", "target")[:LISTED_MAX]


def linking_to(page: Page) -> QuerySet[Page]:
    """Return the pages that name this one."""
    return Page.objects.filter(links__target=page.slug).exclude(pk=page.pk).distinct()[:50]


def changes(changes_max: int) -> QuerySet[Revision]:
    """Return the newest versions over all pages."""
    return Revision.objects.select_related("page").order_by("-created_at", "-pk")[:changes_max]
