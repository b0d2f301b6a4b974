"""How far each handler has come, and who is on its way: one at a time.

Place:  feed.handlers -> [feed.positions] <- the hub's file, or memory in a test
Rule:   whoever has lost its turn is told so by the next step, and stops.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mergepoint.core.clock import Clock
from mergepoint.feed.contract import Position


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody who asked for a turn gets."""

    mine: bool
    position: Position | None = None
    """Where to go on; None where nobody has been before."""
    failures: int = 0
    """How often in a row the handler has failed."""


class Positions(Protocol):
    """Kept for every handler by its name, over restarts."""

    async def take(self, handler: str, owner: str, lease_s: float) -> Turn:
        """Ask for a turn; it ends `lease_s` after the last step, should the owner be gone."""
        ...

    async def move(self, handler: str, owner: str, to: Position, lease_s: float) -> bool:
        """Note how far the owner has come; False when it is not its turn any more."""
        ...

    async def release(self, handler: str, owner: str, pause_s: float, failures: int) -> None:
        """End a turn; nobody gets the next within `pause_s`."""
        ...


@dataclass(slots=True)
class _Row:
    position: Position | None = None
    owner: str = ""
    until_s: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class MemoryPositions:
    """`Positions` of one process, for tests of apps."""

    clock: Clock
    _rows: dict[str, _Row] = field(default_factory=dict)

    async def take(self, handler: str, owner: str, lease_s: float) -> Turn:
        """Ask for a turn; see `Positions`."""
        row = self._rows.setdefault(handler, _Row())
        now_s = self.clock.monotonic_s()
        if row.until_s > now_s and row.owner != owner:
            return Turn(mine=False)
        row.owner, row.until_s = owner, now_s + lease_s
        return Turn(True, row.position, row.failures)

    async def move(self, handler: str, owner: str, to: Position, lease_s: float) -> bool:
        """Note how far the owner has come; see `Positions`."""
        row = self._rows.setdefault(handler, _Row())
        if row.owner != owner:
            return False
        row.position, row.until_s = to, self.clock.monotonic_s() + lease_s
        return True

    async def release(self, handler: str, owner: str, pause_s: float, failures: int) -> None:
        """End a turn; see `Positions`."""
        row = self._rows.setdefault(handler, _Row())
        if row.owner == owner:
            row.owner, row.failures = "", failures
            row.until_s = self.clock.monotonic_s() + pause_s


class HubPositions:
    """`Positions` in the hub's file, through the connection a process has with it."""

    def __init__(self, ask: Callable[[str, Mapping[str, Any]], Awaitable[Any]]) -> None:
        self._ask = ask

    async def take(self, handler: str, owner: str, lease_s: float) -> Turn:
        """Ask for a turn; see `Positions`."""
        told = await self._ask(
            "feed.take", {"handler": handler, "owner": owner, "lease_s": lease_s}
        )
        place = told.get("position")
        return Turn(told["mine"], Position(*place) if place else None, told.get("failures", 0))

    async def move(self, handler: str, owner: str, to: Position, lease_s: float) -> bool:
        """Note how far the owner has come; see `Positions`."""
        place = [to.epoch, to.cursor]
        fields = {"handler": handler, "owner": owner, "position": place, "lease_s": lease_s}
        return bool((await self._ask("feed.move", fields))["mine"])

    async def release(self, handler: str, owner: str, pause_s: float, failures: int) -> None:
        """End a turn; see `Positions`."""
        fields = {"handler": handler, "owner": owner, "pause_s": pause_s, "failures": failures}
        await self._ask("feed.release", fields)
