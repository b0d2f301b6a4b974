"""From a cache command to the edge that serves now.

Place:  cli.commands.cache -> [cli.cache_reach] -> edge.control
Rule:   of several edges the newest answers; an older one only finishes what it has begun.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from mergepoint.core.errors import EdgeUnreachable, Exit, MergepointError
from mergepoint.edge.control import EdgeControl, connect_edge

CONNECT_S = 2.0
SOCKET = re.compile(r"edge\.(\d+)\.sock\Z")

Json = dict[str, Any]


class NoEdge(MergepointError):
    """No edge answers."""

    code = "cache.no_edge"
    exit = Exit.FAILED


def sockets(run_dir: Path) -> list[Path]:
    """Return the control sockets of a site's edges, the newest first."""
    found = [
        (int(match[1]), path) for path in _files(run_dir) if (match := SOCKET.match(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _files(run_dir: Path) -> list[Path]:
    try:
        return list(run_dir.iterdir())
    except OSError:
        return []


def ask(run_dir: Path, verb: str, **arguments: Any) -> Json:
    """Ask the serving edge; raise `EdgeRefused` as it says, `NoEdge` when none answers."""

    async def once() -> Json:
        for socket in sockets(run_dir):
            try:
                control: EdgeControl = await connect_edge(socket, CONNECT_S)
            except EdgeUnreachable:
                continue
            try:
                return await control.cache(verb, **arguments)
            finally:
                await control.close()
        raise NoEdge(
            f"no edge of this site answers in {run_dir}", next="mergepoint status shows what runs"
        )

    return asyncio.run(once())
