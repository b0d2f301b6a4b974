"""Say no in the words of the framework that asked: the right status, its own error page.

Place:  identity.demand -> [identity.refusal] -> the framework
Rule:   frameworks are looked up among the modules already loaded, never imported.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .subject import Identity

    Maker = Callable[[Any, int, str], Any]

UNPROVEN, FORBIDDEN = 401, 403
CHALLENGE = ("WWW-Authenticate", "Bearer")
"""RFC 9110 section 15.5.2 wants a challenge with every 401; this one opens no window."""
REASONS = {UNPROVEN: "Unauthorized", FORBIDDEN: "Forbidden"}
POLICY_VIOLATION = 1008
"""The WebSocket close code of RFC 6455 section 7.4.1 for what is not allowed."""


class Refused(Exception):
    """Somebody may not do this; every framework answers with 401 (nobody proven) or 403.

    What is raised is always a subclass that is an exception of the framework as well, so that
    `except Refused` and the framework's own handlers both see it. `identity` says who, `wanted`
    what was needed.
    """

    identity: Identity
    wanted: str


def _werkzeug(kind: Any, status: int, text: str) -> Any:
    if status == FORBIDDEN:
        return kind(text)
    datastructures: Any = sys.modules["werkzeug.datastructures"]
    return kind(text, www_authenticate=datastructures.WWWAuthenticate("bearer"))


def _starlette(kind: Any, status: int, text: str) -> Any:
    return kind(status, text, dict([CHALLENGE]) if status == UNPROVEN else None)


def _websocket(kind: Any, _: int, text: str) -> Any:
    return kind(POLICY_VIOLATION, text)


def _pyramid(kind: Any, status: int, text: str) -> Any:
    return kind(text, headers=[CHALLENGE] if status == UNPROVEN else None)


def _bottle(kind: Any, status: int, text: str) -> Any:
    return kind(status, text, **(dict([CHALLENGE]) if status == UNPROVEN else {}))


def _plain(kind: Any, _: int, text: str) -> Any:
    return kind(text)


NAMES: dict[str, tuple[str, dict[int, str], Maker]] = {
    "werkzeug": ("werkzeug.exceptions", REASONS, _werkzeug),
    "django": ("django.core.exceptions", dict.fromkeys(REASONS, "PermissionDenied"), _plain),
    "starlette": ("starlette.exceptions", dict.fromkeys(REASONS, "HTTPException"), _starlette),
    "websocket": ("starlette.exceptions", dict.fromkeys(REASONS, "WebSocketException"), _websocket),
    "pyramid": (
        "pyramid.httpexceptions", {401: "HTTPUnauthorized", 403: "HTTPForbidden"}, _pyramid,
    ),
    "bottle": ("bottle", dict.fromkeys(REASONS, "HTTPError"), _bottle),
}  # fmt: skip
"""Framework -> the module of its exceptions, their names by status, how one is made."""
ROOTS = {
    "flask": "werkzeug", "werkzeug": "werkzeug", "django": "django", "rest_framework": "django",
    "starlette": "starlette", "fastapi": "starlette", "pyramid": "pyramid", "bottle": "bottle",
}  # fmt: skip
"""The first part of the module of a request's class -> framework."""


def framework_of(request: Any, carrier: Mapping[str, Any]) -> str:
    """Return which row of `NAMES` a request belongs to; empty when it is none of them."""
    found = ""
    for kind in type(request).__mro__:
        found = ROOTS.get(kind.__module__.partition(".")[0], "")
        if found:
            break
    return "websocket" if found == "starlette" and carrier.get("type") == "websocket" else found


def error(framework: str, identity: Identity, wanted: str) -> Refused:
    """Return what to raise; `Refused` itself when the framework is unknown."""
    status = UNPROVEN if identity.anonymous else FORBIDDEN
    text = said(identity, wanted)
    if framework in NAMES:
        made: Refused = NAMES[framework][2](_class(framework, status), status, text)
    else:
        made = Refused(text)
    made.identity, made.wanted = identity, wanted
    return made


@lru_cache(maxsize=32)
def _class(framework: str, status: int) -> Any:
    module, names, _ = NAMES[framework]
    return type("Refused", (Refused, getattr(sys.modules[module], names[status])), {})


def said(identity: Identity, wanted: str) -> str:
    """Return the sentence a person reads."""
    who = "nobody is logged in" if identity.anonymous else f"you are {identity.user}"
    return f"this needs {wanted}; {who}"


def wsgi(identity: Identity, wanted: str, start_response: Callable[..., Any]) -> list[bytes]:
    """Answer for a plain WSGI app."""
    status = UNPROVEN if identity.anonymous else FORBIDDEN
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    headers += [CHALLENGE] if status == UNPROVEN else []
    start_response(f"{status} {REASONS[status]}", headers)
    return [said(identity, wanted).encode() + b"\n"]


async def asgi(identity: Identity, wanted: str, scope: Any, receive: Any, send: Any) -> None:
    """Answer for a plain ASGI app; a WebSocket is closed before it was accepted."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    taken: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        taken["status"] = int(status[:3])
        taken["headers"] = [(n.lower().encode(), v.encode()) for n, v in headers]

    body = b"".join(wsgi(identity, wanted, start_response))
    await send({"type": "http.response.start", **taken})
    await send({"type": "http.response.body", "body": body})


def django_unproven(identity: Identity, wanted: str) -> Any:
    """Return Django's answer to nobody: it has no exception that becomes a 401."""
    http: Any = sys.modules["django.http"]
    answer = http.HttpResponse(said(identity, wanted), status=UNPROVEN, content_type="text/plain")
    answer[CHALLENGE[0]] = CHALLENGE[1]
    return answer
