"""Inside a Python worker: WSGI and ASGI shims, standard library only.

Place:  supervisor starts [host.boot] in the app's own venv; nothing of mergepoint imports it
Rule:   standard library and relative imports only; Python 3.8 syntax, because old venvs must work.
"""
