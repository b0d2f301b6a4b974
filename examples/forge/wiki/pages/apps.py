"""Tell Django about this app.

Place:  config -> [apps]
Rule:   names only.
"""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """The wiki's pages."""

    name = "pages"
    verbose_name = "Wiki"
