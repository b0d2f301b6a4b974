"""Find the identity in whatever a framework hands around, without importing the framework.

Place:  the user's code, adapters -> [identity.finding] -> identity.subject
Rule:   an identity counts only as the object the host shim made; texts and JSON never become one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .contract import ENVIRON_KEY, SCOPE_KEYS
from .subject import ANONYMOUS, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

CARRIERS = ("environ", "scope", "META")
"""Attributes of requests that hold a WSGI environ or an ASGI scope, in the order to try."""
SCOPE_TYPES = ("http", "websocket")


def of(request: Any) -> Identity:
    """Return who asks: of a request of any framework, a WSGI environ or an ASGI scope.

    `ANONYMOUS` when nobody was proven or Mergepoint does not run this app. Raises TypeError for
    anything that is no request.
    """
    carrier = carrier_of(request)
    if carrier is None:
        raise TypeError(
            f"no request, WSGI environ or ASGI scope, but {type(request).__name__}; "
            "give of() what the view was called with"
        )
    return carried(carrier)


def carried(carrier: Mapping[str, Any]) -> Identity:
    """Return the identity in an environ or a scope; `ANONYMOUS` when there is none."""
    found = carrier.get(ENVIRON_KEY)
    if found is None:
        inner = carrier.get(SCOPE_KEYS[0])
        found = inner.get(SCOPE_KEYS[1]) if isinstance(inner, dict) else None
    return found if isinstance(found, Identity) else ANONYMOUS


def carrier_of(thing: Any) -> Mapping[str, Any] | None:
    """Return the environ or scope that `thing` is or holds, else None."""
    if isinstance(thing, dict):
        return thing if is_environ(thing) or is_scope(thing) else None
    for name in CARRIERS:
        held = getattr(thing, name, None)
        if isinstance(held, dict) and (is_environ(held) or is_scope(held) or name == "META"):
            return held
    return None


def is_environ(thing: Mapping[str, Any]) -> bool:
    """Tell whether this is a WSGI environ, by the keys PEP 3333 demands."""
    return "REQUEST_METHOD" in thing and "PATH_INFO" in thing


def is_scope(thing: Mapping[str, Any]) -> bool:
    """Tell whether this is the scope of an ASGI request or WebSocket."""
    return thing.get("type") in SCOPE_TYPES and "path" in thing and "headers" in thing


def current() -> Any:
    """Return the request Flask or Bottle is at work on in this thread, or None."""
    flask: Any = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        return flask.request
    bottle: Any = sys.modules.get("bottle")
    request = getattr(bottle, "request", None)
    try:
        environ = request.environ if request is not None else None
    except RuntimeError:  # Bottle's word for: no request on this thread
        return None
    return request if isinstance(environ, dict) and is_running(environ) else None


def is_running(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request is not over yet, as far as the host shim can tell.

    Bottle leaves the last request of a thread in place; in a worker of several apps it could be
    somebody else's. The shim takes `mergepoint.call` away when the app has answered.
    """
    return "mergepoint.request_id" not in environ or "mergepoint.call" in environ
