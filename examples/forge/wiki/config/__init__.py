"""How the wiki is put together: settings, addresses, the WSGI application."""
