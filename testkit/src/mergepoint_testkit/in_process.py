"""Ask a WSGI or ASGI app behind the host shim, in this process, as the edge would.

Place:  tests/identity -> [in_process] -> mergepoint.host
Rule:   one request, one answer, no server; what servers do differently is for tests with workers.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

from mergepoint.host.asgi import AsgiShim
from mergepoint.host.settings import Settings, read
from mergepoint.host.wsgi import WsgiShim

TOLD = {"interface": "asgi", "target": "app:app", "directory": "."}
ANSWER_S_MAX = 10.0


class Answer(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def settings(**environ: str) -> Settings:
    """Return the settings of a worker on a socket, or as `environ` says."""
    where = environ or {"MERGEPOINT_SOCKET": "/nowhere.sock"}
    return read({"MERGEPOINT_HOST": json.dumps(TOLD), **where})


def environ_of(path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the WSGI environ of a GET."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": ""}
    for name, value in headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["wsgi.input"] = io.BytesIO()
    setup_testing_defaults(environ)
    return environ


def scope_of(path: str, headers: Mapping[str, str], kind: str = "http") -> dict[str, Any]:
    """Return the ASGI scope of a GET or of a WebSocket handshake."""
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"", "state": {},
        "headers": [(b"host", b"site.example"), *pairs], "client": ("127.0.0.1", 1),
        "server": ("site.example", 80), "scheme": "http" if kind == "http" else "ws",
    }  # fmt: skip
    return {**scope, "method": "GET"} if kind == "http" else {**scope, "subprotocols": []}


def ask_wsgi(
    app: Callable[..., Any], path: str = "/", headers: Mapping[str, str] = {}, trusted: bool = True
) -> Answer:
    """Return the answer of a WSGI app behind the shim."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, pairs: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], Any]:
        heads.append((status, pairs))
        return len

    body = WsgiShim(app, True, set(), trusted)(environ_of(path, headers), start)
    text = b"".join(body).decode()
    getattr(body, "close", lambda: None)()
    status, pairs = heads[-1]
    return Answer(int(status[:3]), {name.lower(): value for name, value in pairs}, text)


def ask_asgi(
    app: Callable[..., Any], path: str = "/", headers: Mapping[str, str] = {}, **environ: str
) -> Answer:
    """Return the answer of an ASGI app behind the shim."""
    sent = asyncio.run(_call(app, scope_of(path, headers), {"type": "http.request"}, environ))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    pairs = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], pairs, body.decode())


def ask_websocket(
    app: Callable[..., Any], path: str = "/", headers: Mapping[str, str] = {}, **environ: str
) -> list[dict[str, Any]]:
    """Return what an ASGI app sends to a WebSocket that says nothing and leaves."""
    scope = scope_of(path, headers, "websocket")
    return asyncio.run(_call(app, scope, {"type": "websocket.connect"}, environ))


async def _call(
    app: Callable[..., Any], scope: dict[str, Any], first: dict[str, Any], environ: dict[str, str]
) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    given = [{**first, "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        return {"type": scope["type"] + ".disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    shim = AsgiShim(app, settings(**environ), set(), None)
    await asyncio.wait_for(shim(scope, receive, send), ANSWER_S_MAX)
    return sent
