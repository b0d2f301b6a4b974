"""The WSGI application any server can load: ``config.wsgi:application``.

Place:  a WSGI server -> [wsgi] -> django
Rule:   names the settings and nothing else.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
