"""Write pages: create, edit, restore and attach, each in one transaction.

Place:  forms -> [writing] -> models
Rule:   an edit made from an old version changes nothing; see Outdated.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from pages import markup
from pages.models import ATTACHMENTS_MAX, Attachment, Link, Page, Revision
from pages.people import Author
from pages.telling import tell


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a page to say; `base` is the version they started from, 0 for none."""

    title: str
    body: str
    summary: str
    author: Author
    base: int


class Outdated(Exception):
    """Somebody saved the page after this edit began; `page` is what it says now."""

    def __init__(self, page: Page) -> None:
        super().__init__(f"{page.slug} is at version {page.number}")
        self.page = page


class TooManyFiles(Exception):
    """The page has as many files as it may have."""


@transaction.atomic
def save(slug: str, draft: Draft) -> Page:
    """Make the draft the newest version; raise `Outdated` when its base is not the newest."""
    page = Page.objects.filter(slug=slug).first()
    if page is None:
        page = Page(slug=slug, number=0)
    elif draft.base != page.number:
        raise Outdated(page)
    elif (page.title, page.body) == (draft.title, draft.body):
        return page  # nothing to tell, so nothing to keep
    page.title, page.body = draft.title, draft.body
    page.number += 1
    page.updated_at, page.updated_by = timezone.now(), draft.author.user
    page.updated_by_name = draft.author.name
    page.save()
    Revision.objects.create(
        page=page,
        number=page.number,
        title=page.title,
        body=page.body,
        summary=draft.summary,
        author=draft.author.user,
        author_name=draft.author.name,
        created_at=page.updated_at,
    )
    _keep_links(page)
    tell(page)
    return page


@transaction.atomic
def restore(page: Page, number: int, author: Author) -> Page:
    """Make an old version the newest one again; raise `Revision.DoesNotExist`."""
    old = page.revisions.get(number=number)
    newest = Page.objects.get(pk=page.pk)
    summary = f"Restored version {number}"
    return save(page.slug, Draft(old.title, old.body, summary, author, newest.number))


@transaction.atomic
def attach(page: Page, name: str, data: bytes, author: Author) -> Attachment:
    """Add a file to a page, replacing one of the same name; raise `TooManyFiles`."""
    others = page.attachments.exclude(name=name).count()
    if others >= ATTACHMENTS_MAX:
        raise TooManyFiles
    values = {
        "data": data,
        "size": len(data),
        "added_by": author.user,
        "added_by_name": author.name,
        "added_at": timezone.now(),
    }
    attachment, _ = Attachment.objects.update_or_create(page=page, name=name, defaults=values)
    return attachment


def _keep_links(page: Page) -> None:
    page.links.all().delete()
    named = markup.links(page.body)
    Link.objects.bulk_create(
        Link(page=page, target=target, title=title) for target, title in named.items()
    )
