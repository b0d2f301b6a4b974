"""One app, as WSGI and as ASGI, whose next release can be made slow, broken or ill.

Place:  tests/zero_loss -> [app]
Rule:   what a release does is read from the directory it runs in, so that a file is a release.

``boot_s`` holds the seconds an import takes, ``raise`` makes it fail, ``ill`` answers 500,
``release`` is the text that ``/`` answers. Every request executed appends a byte to ``executed``.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

HERE = Path(os.environ["APP_STATE"])


def _read(name: str, default: str) -> str:
    path = HERE / name
    return path.read_text().strip() if path.exists() else default


if (HERE / "raise").exists():
    raise RuntimeError("this release cannot be imported")
time.sleep(float(_read("boot_s", "0")))
RELEASE = _read("release", "one")
ILL = (HERE / "ill").exists()


def _executed() -> None:
    with (HERE / "executed").open("ab", buffering=0) as log:
        log.write(b".")


def _answer(path: str) -> tuple[str, bytes]:
    if ILL:
        return "500 Internal Server Error", b"ill"
    if path.endswith("/pid"):
        return "200 OK", str(os.getpid()).encode()
    return "200 OK", RELEASE.encode()


def wsgi(environ, start_response):
    """Serve ``/``, ``/pid`` and ``/sleep/SECONDS``."""
    path = environ["PATH_INFO"]
    _executed()
    if "/sleep/" in path:
        time.sleep(float(path.rpartition("/")[2]))
    status, body = _answer(path)
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    """Serve the same; ``/block/SECONDS`` blocks the event loop."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": message["type"] + ".complete"})
        return
    path = scope["path"]
    _executed()
    if "/sleep/" in path:
        await asyncio.sleep(float(path.rpartition("/")[2]))
    if "/block/" in path:
        time.sleep(float(path.rpartition("/")[2]))
    status, body = _answer(path)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": headers})
    await send({"type": "http.response.body", "body": body})
