"""What is sent within an open transaction of the app's database becomes a part of it.

Place:  bus.doorway_queues, bus.doorway_topics -> [bus.joining] <- tasks.outbox, by assembly.connect
Rule:   a leaf: protocols and the names of rows; which transaction is open is decided elsewhere.

A row of an outbox is for a queue, or for a topic; a topic's row stands in a line that no queue can
be called, so that readers of both kinds need no further column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mergepoint.bus.contract import Accepted, Put

TOPIC, LAST = "topic:", "last:"
"""What stands before a topic in the column `queue`; `last`: it is the present value, too."""


class Joined(Protocol):
    """An open transaction; `mergepoint.tasks.outbox.contract.Joined` says what it promises."""

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Write the messages into the transaction."""
        ...

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Do the same from async code."""
        ...


Join = Callable[[Any, bool], Joined | None]
"""Takes the app's connection (any library's), or None to look for what is open, and whether it is
for a topic."""


def never(_: Any, __: bool) -> Joined | None:
    """Join nothing: a bus without an outbox."""
    return None


def line_of(topic: str, *, keep_last: bool) -> str:
    """Return the line of an outbox for a topic."""
    return (LAST if keep_last else TOPIC) + topic


def topic_of(line: str) -> tuple[str, bool] | None:
    """Return the topic of a line, and whether it keeps the value; None: the line is a queue's."""
    for prefix in (TOPIC, LAST):
        if line.startswith(prefix):
            return line.removeprefix(prefix), prefix == LAST
    return None
