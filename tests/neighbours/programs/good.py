"""The app that must not notice anything.

Place:  tests/neighbours -> [good]
Rule:   answers at once.
"""

from __future__ import annotations


def app(environ, start_response):
    """Answer ``good``."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"good"]
