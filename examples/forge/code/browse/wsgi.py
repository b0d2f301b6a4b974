"""The WSGI application any server can load: ``browse.wsgi:app``.

Place:  a WSGI server -> [wsgi] -> app
Rule:   builds the app once from the environment; nothing else happens at import.
"""

from browse.app import create_app

app = create_app()
