"""Handing rows of an outbox to the bus: what is done, refused, hopeless, or has to wait.

Place:  outbox.relay -> [outbox.relay_sending] -> Engine
Rule:   changes no database; whoever asks settles what came of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mergepoint.bus.contract import Engine
from mergepoint.bus.errors import BusError, BusFull, BusLost, MessageTooLarge, NotCapable
from mergepoint.bus.joining import topic_of
from mergepoint.tasks.outbox.rows import Waiting

log = logging.getLogger("mergepoint.outbox")


@dataclass
class Outcome:
    """What became of a batch."""

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    parked: dict[int, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    """Queues and topics that take nothing now."""


class Sending:
    """Hands over the rows of one database after another."""

    def __init__(self, engine: Engine, tries_max: int) -> None:
        self._engine = engine
        self._tries_max = tries_max

    async def send(self, claimed: Sequence[Waiting], where: str) -> Outcome:
        """Hand over a batch; never raises because of what the bus says."""
        outcome = Outcome()
        for line, rows in by_queue(claimed).items():
            outcome.parked |= {row.place: row.reason for row in rows if row.put is None}
            good = [row for row in rows if row.put is not None]
            topic = topic_of(line)
            try:
                if topic is None:
                    await self._put(line, good, outcome)
                else:
                    await self._publish(*topic, good, outcome)
            except BusLost as error:
                log.warning("outbox of %s waits for the bus: %s", where, error)
                outcome.held.add(line)
        return outcome

    async def _put(self, queue: str, rows: Sequence[Waiting], outcome: Outcome) -> None:
        if not rows:
            return
        puts = [row.put for row in rows if row.put is not None]
        try:
            await self._engine.put(queue, puts)
        except BusFull:
            if len(rows) == 1:
                outcome.held.add(queue)
                return
            # There may be room for some: a batch that never fits would wait for ever.
            await self._put(queue, rows[: len(rows) // 2], outcome)
            if queue not in outcome.held:
                await self._put(queue, rows[len(rows) // 2 :], outcome)
        except BusLost:
            raise
        except BusError as error:
            if len(rows) == 1:
                self._refuse(rows[0], error, outcome)
                return
            # One of them is refused, and which one is seen by asking for each.
            for row in rows:
                await self._put(queue, [row], outcome)
        else:
            outcome.done += [row.place for row in rows]

    async def _publish(
        self, topic: str, keep_last: bool, rows: Sequence[Waiting], outcome: Outcome
    ) -> None:
        """Publish one after the other, for their order is a promise; what was is done."""
        for row in rows:
            if row.put is None or row.queue in outcome.held:
                continue
            message = row.put.message
            try:
                await self._engine.publish(topic, message, keep_last=keep_last)
            except BusFull:
                outcome.held.add(row.queue)
            except BusLost:
                raise
            except BusError as error:
                self._refuse(row, error, outcome)
            else:
                outcome.done.append(row.place)

    def _refuse(self, row: Waiting, error: BusError, outcome: Outcome) -> None:
        spent = row.tries + 1 >= self._tries_max
        hopeless = spent or isinstance(error, MessageTooLarge | NotCapable)
        (outcome.parked if hopeless else outcome.refused)[row.place] = str(error)
        if not hopeless:
            outcome.held.add(row.queue)


def by_queue(rows: Iterable[Waiting]) -> dict[str, list[Waiting]]:
    """Return rows by their line, each in the order they came."""
    grouped: dict[str, list[Waiting]] = {}
    for row in rows:
        grouped.setdefault(row.queue, []).append(row)
    return grouped
