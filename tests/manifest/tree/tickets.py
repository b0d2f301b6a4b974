"""A WSGI application and a factory, never imported by the tests that look at it."""

raise RuntimeError("the manifest must not import this module")


def create_app():
    return app


def app(environ, start_response):
    start_response("200 OK", [])
    return [b"tickets"]
