"""Whom to wake, collected: many wakes become one NOTIFY, outside anybody's transaction.

Place:  postgres_link -> [postgres_wake]
Rule:   packs; never sends. A wake may come for nothing, but is never lost while connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

PAYLOAD_BYTES_MAX = 7_900
"""PostgreSQL takes less than 8 000 bytes with one NOTIFY."""
EVERYBODY = "*"
"""Wakes whoever waits for anything: what many names are folded into."""
NAMES_MAX = 200


class Wakes:
    """Names to be told on channels, until somebody asks for them."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._some = asyncio.Event()

    def add(self, channel: str, name: str) -> None:
        """Remember; a name that waits already is told once."""
        self._names.setdefault(channel, set()).add(name)
        self._some.set()

    async def next(self) -> tuple[list[str], list[str]]:
        """Wait for the first, and return channels and payloads for all that wait."""
        await self._some.wait()
        self._some.clear()
        waiting, self._names = self._names, {}
        pairs = [(channel, pack(names)) for channel, names in waiting.items()]
        return [channel for channel, _ in pairs], [payload for _, payload in pairs]


def pack(names: Iterable[str]) -> str:
    """Return names as one payload, `*` when they are too many; `unpack` reads it."""
    told = sorted(set(names))
    payload = ",".join(told)
    fits = len(told) <= NAMES_MAX and len(payload.encode()) <= PAYLOAD_BYTES_MAX
    return payload if fits else EVERYBODY


def unpack(payload: str) -> list[str]:
    """Return the names of a payload; what is no name is woken by `*` alone."""
    return [name for name in payload.split(",") if name]
