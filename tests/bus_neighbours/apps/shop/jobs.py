"""What the task workers of the shop import: Django, its tasks, and the site they belong to."""
# ruff: noqa: E402 - Django is set up before anything of it is imported

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")

import django

django.setup()

import work  # noqa: F401 - importing it declares its tasks

import mergepoint

site = mergepoint.connect()
