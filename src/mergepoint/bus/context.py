"""What travels with every message: which request, which trace, who asks, in which language.

Place:  host, bus.doorway, tasks -> [bus.context] -> the extensions of messages
Rule:   standard library alone; a leaf. Values are texts, and are never trusted as a proof.

Whoever serves a request enters it (`with entered(request_id=...)`), whoever handles a message
enters the message's (`with continued(extensions)`), and what is published within carries it on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType

TEXT_CHARACTERS_MAX = 1024
"""Longer values are left out: an extension has 4096 bytes at most."""
EXTENSIONS = MappingProxyType(
    {
        "request_id": "mprequestid",
        "traceparent": "traceparent",
        "identity": "mpidentity",
        "language": "mplanguage",
        "app": "mpapp",
    }
)
"""Our words, and what CloudEvents calls them."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_context: ContextVar[Mapping[str, str]] = ContextVar("mergepoint.bus.context", default=_NOTHING)


_deadline: ContextVar[float] = ContextVar("mergepoint.bus.deadline", default=0.0)


def deadline() -> float:
    """Return until when an answer to what is being handled is wanted: Unix seconds, 0 for none."""
    return _deadline.get()


@contextlib.contextmanager
def wanted_until(unix_s: float) -> Iterator[None]:
    """Let requests made within end by then, however long they were given."""
    token = _deadline.set(unix_s)
    try:
        yield
    finally:
        _deadline.reset(token)


def extensions() -> Mapping[str, str]:
    """Return the extensions of whatever is being done now; empty outside of everything."""
    return _context.get()


@contextlib.contextmanager
def entered(
    *,
    request_id: str = "",
    traceparent: str = "",
    identity: str = "",
    language: str = "",
    app: str = "",
) -> Iterator[None]:
    """Let everything within carry these, and nothing of what was around."""
    given = {
        "request_id": request_id,
        "traceparent": traceparent,
        "identity": identity,
        "language": language,
        "app": app,
    }
    with _as({EXTENSIONS[word]: text for word, text in given.items()}):
        yield


@contextlib.contextmanager
def continued(received: Mapping[str, str], *, app: str = "") -> Iterator[None]:
    """Let everything within carry what a message carried; `app` replaces who sent it."""
    kept = {name: received.get(name, "") for name in EXTENSIONS.values()}
    if app:
        kept[EXTENSIONS["app"]] = app
    with _as(kept):
        yield


@contextlib.contextmanager
def _as(texts: Mapping[str, str]) -> Iterator[None]:
    kept = {name: text for name, text in texts.items() if 0 < len(text) <= TEXT_CHARACTERS_MAX}
    token = _context.set(MappingProxyType(kept))
    try:
        yield
    finally:
        _context.reset(token)
