"""What messages and tasks carry of the request they were made in: its id, trace, user, language.

Place:  host.start -> [host.carried] -> mergepoint.bus.context, around the app
Rule:   a site without a bus, and a Python too old for it, pay nothing and import nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .settings import Settings

CONTEXT = "mergepoint.bus.context"
LANGUAGE_BYTES_MAX = 35
"""The longest language tag (RFC 5646, section 4.4.1)."""


def around(app: Any, settings: Settings) -> Any:
    """Return the app so that all it does in a request knows which; itself where there is no bus."""
    if not settings.bus:
        return app
    try:
        entered = importlib.import_module(CONTEXT).entered
    except ImportError:  # this Python is too old, or an older Mergepoint is installed here
        return app
    wrap = wsgi if settings.interface == "wsgi" else asgi
    return wrap(app, settings.app, entered)


def wsgi(app: Any, name: str, entered: Any) -> Any:
    """Return a WSGI app; what a generator does after its first piece is outside of the request."""

    def carried(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        get = environ.get
        with entered(
            request_id=get("mergepoint.request_id", ""),
            traceparent=get("mergepoint.traceparent", ""),
            identity=get("REMOTE_USER", "") if who.ENVIRON_KEY in environ else "",
            language=language(get("HTTP_ACCEPT_LANGUAGE", "")),
            app=name,
        ):
            body: Iterable[bytes] = app(environ, start)
            return body

    return carried


def asgi(app: Any, name: str, entered: Any) -> Any:
    """Return an ASGI app; tasks that a request starts belong to it, too."""

    async def carried(scope: dict[str, Any], receive: Any, send: Any) -> None:
        told = scope.get("mergepoint")
        if told is None:  # lifespan
            await app(scope, receive, send)
            return
        headers = {n: v for n, v in scope["headers"] if n in (b"accept-language", b"remote-user")}
        user = headers.get(b"remote-user", b"") if who.SCOPE_KEY in told else b""
        with entered(
            request_id=told["request_id"],
            traceparent=told["traceparent"],
            identity=user.decode("latin-1"),
            language=language(headers.get(b"accept-language", b"").decode("latin-1")),
            app=name,
        ):
            await app(scope, receive, send)

    return carried


def language(accepted: str) -> str:
    """Return the language tag that stands first in Accept-Language; empty for none. Pure."""
    first = accepted.partition(",")[0].partition(";")[0].strip()
    plain = first.replace("-", "").isalnum() and first.isascii()
    return first if plain and len(first) <= LANGUAGE_BYTES_MAX else ""
