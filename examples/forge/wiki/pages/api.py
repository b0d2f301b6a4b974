"""The same pages for programs: search and news as JSON.

Place:  urls -> [api] -> queries
Rule:   read only; the shape of an item is the one that every app of the forge uses.
"""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from pages import queries
from pages.models import Page

HITS_MAX = 20
RECENT = 5


@require_GET
def search(request: HttpRequest) -> JsonResponse:
    """Return the best pages for the words in `q`."""
    hits = queries.search(request.GET.get("q", "")[:200], HITS_MAX)
    items = [
        _item(hit.page.slug, hit.page.title, hit.snippet, hit.page.by, hit.page.updated_at)
        for hit in hits
    ]
    return JsonResponse({"items": items})


@require_GET
def recent(_request: HttpRequest) -> JsonResponse:
    """Return the pages that changed last."""
    items = [
        _item(made.page.slug, made.title, made.summary, made.by, made.created_at)
        for made in queries.changes(RECENT)
    ]
    count = Page.objects.count()
    summary = f"{count} page{'' if count == 1 else 's'}"
    return JsonResponse({"items": items, "summary": summary, "new": reverse("new")})


def _item(slug: str, title: str, snippet: str, by: str, at: datetime) -> dict[str, str]:
    return {
        "title": title,
        "url": reverse("page", args=[slug]),
        "snippet": snippet,
        "state": "page",
        "by": by,
        "at": at.isoformat(timespec="seconds"),
    }
