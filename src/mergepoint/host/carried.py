"""What messages and tasks carry of the request they were made in: its id, trace, user, language.

Place:  host.start -> [host.carried] -> mergepoint.bus.context, around the app
Rule:   a site without a bus, and a Python too old for it, pay nothing and import nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    """Return a WSGI app that knows its request in the call and in every piece of its answer."""

    def carried(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        get = environ.get
        told = {
            "request_id": get("mergepoint.request_id", ""),
            "traceparent": get("mergepoint.traceparent", ""),
            "identity": get("REMOTE_USER", "") if who.ENVIRON_KEY in environ else "",
            "language": language(get("HTTP_ACCEPT_LANGUAGE", "")),
            "app": name,
        }
        with entered(**told):
            body: Iterable[bytes] = app(environ, start)
        if type(body) in (list, tuple) or _is_file(body, get("wsgi.file_wrapper")):
            return body  # nothing of the app's runs any more
        return Pieces(body, entered, told)

    return carried


class Pieces:
    """An answer whose pieces are made one after the other, each as a part of its request.

    A server may ask for them from any thread, and for those of other requests in between.
    """

    __slots__ = ("_body", "_entered", "_iterator", "_told")

    def __init__(self, body: Iterable[bytes], entered: Any, told: dict[str, str]) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._entered = entered
        self._told = told

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        with self._entered(**self._told):
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)

    def close(self) -> None:
        """Close the app's answer, within its request, too."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._entered(**self._told):
                close()


def _is_file(body: Any, wrapper: Any) -> bool:
    """Tell whether the server may send this as a file."""
    return isinstance(wrapper, type) and isinstance(body, wrapper)


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
