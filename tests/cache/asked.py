"""Run in a process of its own: watch, load an app, ask it, print what it said.

Place:  tests.cache.conftest starts it -> [asked] -> mergepoint.cache around an app
Rule:   hooks stay for the life of a process, so each story has its own.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import sys
from typing import Any

from mergepoint.cache import around, hooks
from mergepoint.cache.sources import sources_of


def wsgi(app: Any, path: str, fill: bool) -> dict[str, str]:
    """Ask once; return the headers and the status."""
    route, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": route, "QUERY_STRING": query,
        "SERVER_NAME": "a.test", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }  # fmt: skip
    if fill:
        environ["HTTP_MERGEPOINT_FILL"] = "1"
    told: dict[str, str] = {}

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        told.update({name.lower(): value for name, value in headers}, status=status)
        return written.append

    written: list[bytes] = []
    body = app(environ, start)
    told["body"] = b"".join([*written, *body]).decode()
    if hasattr(body, "close"):
        body.close()
    return told


def asgi(app: Any, path: str, fill: bool) -> dict[str, str]:
    """Ask once; return the headers and the status."""
    headers = [(b"mergepoint-fill", b"1")] if fill else []
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "root_path": "", "scheme": "http",
        "server": ("a.test", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    told: dict[str, str] = {"body": ""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told["status"] = str(message["status"])
            told.update({n.decode().lower(): v.decode() for n, v in message["headers"]})
        else:
            told["body"] += message.get("body", b"").decode()

    LOOP.run_until_complete(app(scope, receive, send))
    return told


LOOP = asyncio.new_event_loop()


def main(module: str, interface: str, databases: str, paths: list[str], beside: list[str]) -> None:
    hooks.install(sources_of(json.loads(databases)), ".", frozenset(beside))
    app = around.around(importlib.import_module(module).app, interface)
    ask = wsgi if interface == "wsgi" else asgi
    for path in paths:
        print(json.dumps(ask(app, path.removeprefix("!"), fill=not path.startswith("!"))))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
