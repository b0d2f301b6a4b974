"""Django's own commands for the wiki: ``python manage.py prepare``, ``runserver``, ``migrate``.

Place:  a shell -> [manage] -> django
Rule:   names the settings and nothing else.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    execute_from_command_line(sys.argv)
