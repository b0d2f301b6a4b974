"""Migrate, then fill a new wiki with the sample: ``python manage.py prepare``.

Place:  make demo -> [prepare] -> writing
Rule:   a second run changes nothing; what people wrote is never touched.
"""

from __future__ import annotations

import tomllib
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from pages import markup, people, writing
from pages.models import Page, Revision


class Command(BaseCommand):
    """The wiki's part of ``make demo``."""

    help = "Apply migrations and fill an empty wiki with the sample."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Do what is missing."""
        call_command("migrate", verbosity=0, interactive=False)
        added = 0 if Page.objects.exists() else fill()
        self.stdout.write(f"wiki: {added} versions added")


@transaction.atomic
def fill() -> int:
    """Write the sample's versions in the order of their moments; return how many."""
    text = (settings.BASE_DIR / "sample.toml").read_text("utf-8")
    versions = tomllib.loads(text)["versions"]
    for raw in versions:
        slug = markup.slug_of(raw["title"])
        page = Page.objects.filter(slug=slug).first()
        base = page.number if page else 0
        body = raw["body"].strip() + "\n"
        draft = writing.Draft(
            raw["title"], body, raw.get("summary", ""), people.Author(raw["author"]), base
        )
        saved = writing.save(slug, draft)
        # The sample tells of the past: its moments are given, not now.
        Page.objects.filter(pk=saved.pk).update(updated_at=raw["at"])
        Revision.objects.filter(page=saved, number=saved.number).update(created_at=raw["at"])
    return len(versions)
