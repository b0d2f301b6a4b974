"""What a process of tasks imports for the wiki: Django first, then the tasks.

Place:  mergepoint.toml -> [tasks] -> pages.jobs
Rule:   names the settings and nothing else.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from pages.jobs import site  # noqa: E402 - Django's apps must be there before their modules

__all__ = ["site"]
