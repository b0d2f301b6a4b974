"""Telling which request asks, around an app that is watched.

Place:  host.transactions -> [watching.routes] -> watching.watch
Rule:   standard library alone; changes nothing of the answer.
"""

from __future__ import annotations

from typing import Any

from mergepoint.data.watching.watch import request


def around(app: Any, interface: str) -> Any:
    """Return the app, what it asks being counted by route."""
    if interface == "wsgi":

        def wsgi(environ: dict[str, Any], start: Any) -> Any:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            with request(environ.get("REQUEST_METHOD", "GET"), path):
                return app(environ, start)

        return wsgi

    async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        with request(scope["method"], scope["path"]):
            await app(scope, receive, send)

    return asgi
