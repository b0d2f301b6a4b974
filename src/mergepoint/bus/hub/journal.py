"""How memory follows a transaction that is undone.

Place:  bus.hub.queues, bus.hub.entries -> [bus.hub.journal] <- bus.hub.store
Rule:   what changes memory inside a transaction leaves its opposite here, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Journal:
    """The opposites of what was done since the transaction began, oldest first."""

    def __init__(self) -> None:
        self._opposites: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def add(self, opposite: Callable[..., None], *arguments: Any) -> None:  # Any: its own arguments
        """Leave what undoes the change that is being made."""
        self._opposites.append((opposite, arguments))

    def mark(self) -> int:
        """Return a place to undo back to."""
        return len(self._opposites)

    def undo(self, mark: int = 0) -> None:
        """Undo everything after `mark`, the newest first."""
        while len(self._opposites) > mark:
            opposite, arguments = self._opposites.pop()
            opposite(*arguments)

    def clear(self) -> None:
        """Keep what was done: the transaction is on the disk."""
        self._opposites.clear()
