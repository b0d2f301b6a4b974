"""The tables: pages, every version of them, their links and their files.

Place:  [models] -> writing, queries, views, admin
Rule:   a revision never changes once written.
"""

from __future__ import annotations

from django.db import models

TITLE_CHARS_MAX = 160
SLUG_CHARS_MAX = 160
BODY_CHARS_MAX = 100_000
SUMMARY_CHARS_MAX = 200
HANDLE_CHARS_MAX = 64
NAME_CHARS_MAX = 100
ATTACHMENT_BYTES_MAX = 1024 * 1024
ATTACHMENTS_MAX = 20


class Page(models.Model):
    """A page as it is now; `number` is the number of its newest revision."""

    slug = models.CharField(max_length=SLUG_CHARS_MAX, unique=True)
    title = models.CharField(max_length=TITLE_CHARS_MAX)
    body = models.TextField(blank=True)
    number = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(db_index=True)
    updated_by = models.CharField(max_length=HANDLE_CHARS_MAX)
    updated_by_name = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")

    @property
    def by(self) -> str:
        """Return the last writer as people read it; older rows have one name alone."""
        return self.updated_by_name or self.updated_by

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class Revision(models.Model):
    """A page as it once was."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=TITLE_CHARS_MAX)
    body = models.TextField(blank=True)
    summary = models.CharField(max_length=SUMMARY_CHARS_MAX, blank=True)
    author = models.CharField(max_length=HANDLE_CHARS_MAX)
    author_name = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")
    created_at = models.DateTimeField()

    @property
    def by(self) -> str:
        """Return the writer as people read it; older rows have one name alone."""
        return self.author_name or self.author

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["page", "number"], name="revision_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.number})"


class Link(models.Model):
    """A page names another, which need not exist yet."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="links")
    target = models.CharField(max_length=SLUG_CHARS_MAX, db_index=True)
    title = models.CharField(max_length=TITLE_CHARS_MAX)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "target"], name="link_once")]

    def __str__(self) -> str:
        return f"{self.page} → {self.title}"


class Ticket(models.Model):
    """What the tickets told of one of theirs; of two events the larger `revision` is the truth."""

    number = models.PositiveBigIntegerField(primary_key=True)
    revision = models.PositiveIntegerField()
    title = models.CharField(max_length=TITLE_CHARS_MAX)
    is_open = models.BooleanField()

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"


class TicketLink(models.Model):
    """A ticket names a page, which need not exist yet."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="links")
    target = models.CharField(max_length=SLUG_CHARS_MAX, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ticket", "target"], name="ticket_link_once")
        ]

    def __str__(self) -> str:
        return f"#{self.ticket_id} → {self.target}"


class Attachment(models.Model):
    """A small file of a page, kept in the database so that it is saved with it."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=120)
    size = models.PositiveIntegerField()
    data = models.BinaryField(editable=False)
    added_by = models.CharField(max_length=HANDLE_CHARS_MAX)
    added_by_name = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["page", "name"], name="attachment_once")]

    def __str__(self) -> str:
        return self.name
