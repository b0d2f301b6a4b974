"""The Lua scripts, read once, and whether each may run when the server is out of memory.

Place:  adapters.redis.link -> [scripts] -> lua/*.lua
Rule:   what makes room (finishing, giving back, listing) goes on when what takes room is refused.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

TAKES_ROOM = frozenset(("put", "publish", "replay"))
"""Refused as a whole when the server's memory is full; everything else must go on."""
NAMES = (
    "ack",
    "beat",
    "browse",
    "discard",
    "drop",
    "extend",
    "join",
    "nack",
    "present",
    "publish",
    "put",
    "queues",
    "replay",
    "request",
    "take",
)


@cache
def source(name: str) -> str:
    """Return a whole script: its flags, the prelude, and its own part."""
    place = files("mergepoint.bus.adapters.redis") / "lua"
    flags = "" if name in TAKES_ROOM else " flags=allow-oom"
    prelude, own = (place / f"{part}.lua" for part in ("prelude", name))
    return f"#!lua{flags}\n{prelude.read_text()}\n{own.read_text()}"
