"""A view may let any app answer: it returns an empty response that carries one header.

Place:  host.wsgi, host.asgi -> [host.calls]
Rule:   works the same in every framework, because all of them can set a header; no import needed.

A WSGI view writes ``environ["mergepoint.call"](app)``, an ASGI view
``scope["mergepoint"]["call"](app)``. Both give a header (name, value) to put on an otherwise
empty response. The shim drops that response, keeps its cookies, and calls `app` with the same
request. What the view has read of the request body is gone for `app`. With ``at="/sub"``, that
much of the path moves to the mount first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEADER = "Mergepoint-Call"
DEPTH_MAX = 8


class Callee(NamedTuple):
    """The app that answers, and the part of the path that becomes its mount."""

    app: Callable[..., Any]
    at: str


class NotUnderMount(ValueError):
    """The path of the request does not begin with the `at` a view gave."""


def asks(headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether a response head hands the request on."""
    return any(name.lower() == "mergepoint-call" for name, _ in headers)


def cookies(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the Set-Cookie fields of a head: what is kept of a response that hands on."""
    return [(name, value) for name, value in headers if name.lower() == "set-cookie"]


def shift(environ: dict[str, Any], at: str) -> None:
    """Move `at` from PATH_INFO to SCRIPT_NAME; raise `NotUnderMount` when it is not there."""
    mount = at.rstrip("/")
    path = environ["PATH_INFO"]
    rest = path[len(mount) :]
    if not path.startswith(mount) or (mount and rest and not rest.startswith("/")):
        raise NotUnderMount(f"a view called an app at {at!r}, but the path is {path!r}")
    environ["SCRIPT_NAME"] += mount
    environ["PATH_INFO"] = rest
