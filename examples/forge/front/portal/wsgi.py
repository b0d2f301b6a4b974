"""The WSGI application any server can load: ``portal.wsgi:app``.

Place:  a WSGI server -> [wsgi] -> app
Rule:   builds the app once from the environment; nothing else happens at import.
"""

from portal.app import create_app

app = create_app()
