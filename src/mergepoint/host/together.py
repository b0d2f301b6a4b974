"""Several small apps in one worker, each at its path; one that fails has its own error page.

Place:  host.start -> [host.together] -> the members
Rule:   longest path first, on whole segments; a member sees its own mount, state and lifespan.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from . import failure, load, page, place
from .bridge import as_asgi
from .failure import Failure, WorkerFailed
from .lifespan import MemberLifespan
from .wsgi import WsgiShim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from .settings import Member, Settings

    Environ = dict[str, Any]
    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]


class Part:
    """A member once it was loaded: its app, or why there is none."""

    def __init__(self, member: Member, app: Any, broken: Failure | None) -> None:
        self.path = member.path.rstrip("/")
        self.target = member.target
        self.interface = member.interface
        self.app = app
        self.failure = broken
        self.lifespan: MemberLifespan | None = None


def load_parts(settings: Settings) -> list[Part]:
    """Load every member, longest path first; raise `WorkerFailed` only when none loads."""
    parts = []
    last: WorkerFailed | None = None
    for member in settings.members:
        app, broken = None, None
        try:
            app = load.load(member.target, member.factory, settings.directory, settings.app)
        except WorkerFailed as error:
            failure.report(error.failure, error.__cause__, "member-failure")
            broken, last = error.failure, error
        parts.append(Part(member, app, broken))
    if last is not None and all(part.failure is not None for part in parts):
        raise last
    return sorted(parts, key=lambda part: len(part.path), reverse=True)


def find(parts: Iterable[Part], path: str) -> Part | None:
    """Return the member whose path is the longest prefix of `path` on whole segments; pure."""
    for part in parts:
        if place.split_path(path, part.path) is not None:
            return part
    return None


class TogetherWsgi:
    """All members are WSGI: one WSGI app that hands each request to its member."""

    def __init__(self, parts: list[Part], settings: Settings) -> None:
        self._parts = parts
        self._development = settings.development

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Shift the member's path to SCRIPT_NAME and call it."""
        path = environ["PATH_INFO"]
        part = find(self._parts, path)
        if part is None or part.failure is not None:
            broken = part.failure if part else None
            accept = environ.get("HTTP_ACCEPT", "")
            headers, data = page.of_failure(path, broken, self._development, accept)
            start_response("503 Service Unavailable" if broken else "404 Not Found", headers)
            return [data]
        environ["SCRIPT_NAME"] += part.path
        environ["PATH_INFO"] = path[len(part.path) :]
        answer: Iterable[bytes] = part.app(environ, start_response)
        return answer


class TogetherAsgi:
    """Some member is ASGI: one ASGI app; the WSGI members run on threads."""

    def __init__(self, parts: list[Part], settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        for part in parts:
            if part.interface == "wsgi" and part.app is not None:
                # The shim around the whole worker has split the mount already.
                shim = WsgiShim(part.app, False, set(), settings.trusts_headers)
                part.app = as_asgi(shim, settings.threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer lifespan for all members, anything else through the one it belongs to."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        root = scope.get("root_path", "")
        split = place.split_path(scope["path"], root)
        path = split[1] if split is not None else scope["path"]
        part = find(self._parts, path)
        if part is None or part.failure is not None:
            await self._refuse(scope, receive, send, path, part)
            return
        scope["root_path"] = root + part.path
        if part.lifespan is not None:
            scope["state"] = part.lifespan.state.copy()
        await part.app(scope, receive, send)

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, path: str, part: Part | None
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
            return
        broken = part.failure if part is not None else None
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        headers, data = page.of_failure(path, broken, self._settings.development, accept)
        pairs = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        status = 503 if broken else 404
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": data})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = []
        for part in self._parts:
            if part.interface == "asgi" and part.app is not None:
                part.lifespan = MemberLifespan(part.app, self._settings.directory, part.target)
                started.append(part)
        await asyncio.gather(*(self._start(part) for part in started))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.gather(*(part.lifespan.shutdown() for part in started if part.lifespan))
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, part: Part) -> None:
        if part.lifespan is None:
            return
        await part.lifespan.startup()
        if part.lifespan.failure is not None:
            part.failure = part.lifespan.failure
            failure.report(part.failure, None, "member-failure")


def compose(parts: list[Part], settings: Settings) -> Any:
    """Return one app of the worker's interface over all members."""
    return (
        TogetherWsgi(parts, settings)
        if settings.interface == "wsgi"
        else TogetherAsgi(parts, settings)
    )
