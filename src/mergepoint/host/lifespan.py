"""Run the ASGI lifespan of one app, and say why when it fails.

Place:  host.asgi (one app), host.together (each member) -> [host.lifespan]
Rule:   an app without lifespan is served without one, as the ASGI specification allows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from . import failure
from .failure import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Scope = dict[str, Any]
    ASGIApp = Callable[..., Awaitable[None]]


def startup_failure(error: BaseException | None, message: str, directory: str, app: str) -> Failure:
    """Return the failure of a start-up that raised `error` or sent `message`; pure."""
    if error is not None:
        reason = "lifespan start-up failed: " + failure.one_line(error)
        return Failure(reason, failure.where(error, directory, directory), f"mergepoint logs {app}")
    lines = [line for line in message.strip().splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "the application sent lifespan.startup.failed"
    reason = f"lifespan start-up failed: {last}"[: failure.REASON_CHARS_MAX]
    return Failure(reason, directory, f"mergepoint logs {app}")


class MemberLifespan:
    """The lifespan of one of several apps in a worker; its failure is its own."""

    def __init__(self, app: ASGIApp, directory: str, name: str) -> None:
        self._app = app
        self._directory = directory
        self._name = name
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._started = False
        self._over = False
        self.failure: Failure | None = None
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        """Return once the app has started, has failed, or has shown that it has no lifespan."""
        await self._inbox.put({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(self._live())
        await self._answered.wait()

    async def shutdown(self) -> None:
        """Let the app clean up; nothing to do when it never started."""
        if not self._started or self._over or self._task is None:
            return
        self._answered.clear()
        await self._inbox.put({"type": "lifespan.shutdown"})
        await self._answered.wait()

    async def _live(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:
            # Raising before it answers says "no lifespan" by the specification; so frameworks
            # that fail in start-up send startup.failed instead, which _send has noted.
            if self._started:
                failure.report(
                    startup_failure(error, "", self._directory, self._name), error, "lifespan"
                )
        finally:
            self._over = True
            self._answered.set()

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started = True
        elif kind == "lifespan.startup.failed":
            text = message.get("message", "")
            self.failure = startup_failure(None, text, self._directory, self._name)
        self._answered.set()
