"""The wiki in Django's admin.

Place:  django.contrib.admin -> [admin] -> models
Rule:   history can be looked at here, not rewritten.
"""

from django.contrib import admin
from django.http import HttpRequest

from pages.models import Attachment, Page, Revision


@admin.register(Page)
class PageAdmin(admin.ModelAdmin):
    """Find and remove pages; writing them belongs to the wiki, which keeps their history."""

    list_display = ["title", "slug", "number", "updated_by", "updated_at"]
    search_fields = ["title", "slug"]
    readonly_fields = ["slug", "title", "body", "number", "updated_at", "updated_by"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Pages begin in the wiki."""
        return False


@admin.register(Revision)
class RevisionAdmin(admin.ModelAdmin):
    """Look at versions."""

    list_display = ["title", "number", "author", "summary", "created_at"]
    list_filter = ["author"]
    list_select_related = ["page"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Versions come from edits."""
        return False

    def has_change_permission(
        self, _request: HttpRequest, _revision: Revision | None = None
    ) -> bool:
        """Versions never change."""
        return False


@admin.register(Attachment)
class AttachmentAdmin(admin.ModelAdmin):
    """Find and remove files."""

    list_display = ["name", "page", "size", "added_by", "added_at"]
    readonly_fields = ["page", "name", "size", "added_by", "added_at"]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Files are added on their page."""
        return False
