"""Ask the running site, from commands that are not asynchronous.

Place:  cli.commands.* -> [cli.control] -> supervisor.client
Rule:   one command, one connection; Ctrl-C ends the asking, never the site.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mergepoint.cli.output import short
from mergepoint.core.errors import MergepointError, NotRunning
from mergepoint.supervisor.client import CONTROL_SOCKET, connect

Json = dict[str, Any]
CONNECT_TIMEOUT_S = 3.0


def ask(
    run_dir: Path, verb: str, on_message: Callable[[Json], None] | None = None, **arguments: Any
) -> Json:
    """Send one verb and return its answer; hand every progress or log line to `on_message`.

    Raises `NotRunning` when no supervisor answers and `CommandRefused` when it refuses.
    """

    async def talk() -> Json:
        answer: Json = {}
        async with connect(run_dir, CONNECT_TIMEOUT_S) as client:
            async for message in client.request(verb, **arguments):
                if "ok" in message:
                    answer = message
                elif on_message is not None:
                    on_message(message)
        return answer

    try:
        return asyncio.run(talk())
    except NotRunning as error:
        socket = run_dir / CONTROL_SOCKET
        if socket.exists():
            raise
        raise NotRunning(
            f"the site is not running (no {short(socket)})", next=error.next
        ) from error


def content(answer: Json) -> Json:
    """Return an answer without its protocol fields, for `--json`."""
    return {key: value for key, value in answer.items() if key not in {"ok", "id"}}


def is_running(run_dir: Path) -> bool:
    """Tell whether a supervisor answers for this run directory."""
    try:
        return bool(ask(run_dir, "ping").get("ok"))
    except MergepointError:
        return False
