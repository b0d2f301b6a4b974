"""The WSGI application any server can load: ``tracker.wsgi:app``.

Place:  a WSGI server -> [wsgi] -> app
Rule:   builds the app once from the environment; nothing else happens at import.
"""

from tracker.app import create_app

app = create_app()
