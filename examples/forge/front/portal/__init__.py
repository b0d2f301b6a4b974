"""The front: start page and search over all apps; plain WSGI with Jinja2."""
