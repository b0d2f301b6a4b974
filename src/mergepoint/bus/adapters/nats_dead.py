"""Dead letters on JetStream: a stream of their own, one subject for each queue.

Place:  bus.adapters.nats_queues -> [nats_dead] -> nats_link
Rule:   a letter is stored before its job is finished, and once, however often that is tried.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from mergepoint.bus.adapters.nats_fence import Record
from mergepoint.bus.adapters.nats_link import GONE, NO_STREAM, ApiFault, Link, Stored
from mergepoint.bus.adapters.nats_wire import (
    ATTEMPTS_MAX,
    DUE,
    EXPIRES,
    MESSAGE_ID,
    decode,
    encode,
    number_of,
)
from mergepoint.bus.contract import Entry, EntryState, Lease
from mergepoint.bus.errors import NoSuchEntry
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message

REASON, ATTEMPT, DIED_AT = "mp-reason", "mp-attempt", "mp-died-at"


@dataclass(frozen=True)
class Letter:
    """One dead letter as it is stored."""

    sequence: int
    headers: dict[str, str]
    entry: Entry


class DeadLetters:
    """The dead letters of every queue."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock

    async def add(self, lease: Lease, headers: dict[str, str], record: Record) -> None:
        """Store the letter; a second time for the same record does nothing."""
        stream = await self._link.stream("dead")
        told = {
            **{name: text for name, text in headers.items() if not name.startswith("Nats-")},
            REASON: base64.b64encode(record.reason.encode()).decode(),
            ATTEMPT: str(record.attempt),
            DIED_AT: f"{self._clock.unix_s():.6f}",
            MESSAGE_ID: f"{lease.handle} {lease.message.id}",
        }
        try:
            await self._link.store(self._link.names.dead(lease.queue), lease.message.data, told)
        except ApiFault as fault:
            if fault.code == NO_STREAM:
                self._link.forget(stream)
            raise fault.told() from None

    async def entries(self, queue: str, limit: int, after: str) -> list[Entry]:
        """Return letters, oldest first, behind the id `after` if there is one."""
        found: list[Entry] = []
        behind: list[Entry] = []
        seen = False
        async for letter in self._letters(queue):
            if len(behind if seen else found) < limit:
                (behind if seen else found).append(letter.entry)
            seen = seen or letter.entry.message.id == after
            if len(behind) >= limit or (not after and len(found) >= limit):
                break
        return behind if seen else found

    async def find(self, queue: str, id_: str) -> Letter:
        """Return the letter of that id; raise `NoSuchEntry`."""
        async for letter in self._letters(queue):
            if letter.entry.message.id == id_:
                return letter
        raise NoSuchEntry(f"queue {queue} has no dead letter {id_}", next="mergepoint deadletters")

    async def replay(self, queue: str, id_: str, message: Message | None) -> None:
        """Put a letter back at the end; once, though two ask for it."""
        letter = await self.find(queue, id_)
        back = message or letter.entry.message
        kept = {name: text for name, text in letter.headers.items() if name == ATTEMPTS_MAX}
        headers = {**encode(back), **kept, MESSAGE_ID: f"replay-{letter.sequence}"}
        try:
            await self._link.store(self._link.names.queue(queue), back.data, headers)
        except ApiFault as fault:
            raise fault.told() from None
        if not await self._remove(letter.sequence):
            raise NoSuchEntry(f"dead letter {id_} of queue {queue} was replayed by another")

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove letters for good; return how many there were."""
        wanted, count = set(ids), 0
        async for letter in self._letters(queue):
            if letter.entry.message.id in wanted:
                count += await self._remove(letter.sequence)
        return count

    async def counts(self) -> dict[str, int]:
        """Return how many letters each queue has."""
        stream = await self._link.stream("dead")
        subject = self._link.names.dead(">")
        state = (await self._link.api(f"STREAM.INFO.{stream}", subjects_filter=subject))["state"]
        head = len(self._link.names.dead(""))
        return {name[head:]: int(count) for name, count in (state.get("subjects") or {}).items()}

    async def _letters(self, queue: str) -> AsyncIterator[Letter]:
        """Read one after another, from the oldest on."""
        stream, subject = await self._link.stream("dead"), self._link.names.dead(queue)
        sequence = 1
        while True:
            try:
                found = await self._link.stored(stream, seq=sequence, next_by_subj=subject)
            except ApiFault as fault:
                raise fault.told() from None
            if found is None:
                return
            yield Letter(found.sequence, dict(found.headers), _entry(queue, found))
            sequence = found.sequence + 1

    async def _remove(self, sequence: int) -> bool:
        try:
            await self._link.api(
                f"STREAM.MSG.DELETE.{self._link.names.stream('dead')}", seq=sequence
            )
        except ApiFault as fault:
            if fault.code in GONE:
                return False
            raise fault.told() from None
        return True


def _entry(queue: str, stored: Stored) -> Entry:
    own = (REASON, ATTEMPT, DIED_AT, DUE, EXPIRES, ATTEMPTS_MAX, MESSAGE_ID)
    plain = {name: text for name, text in stored.headers.items() if name not in own}
    return Entry(
        queue=queue,
        message=decode(plain, stored.data, queue, stored.sequence),
        state=EntryState.DEAD,
        attempt=int(number_of(stored.headers, ATTEMPT)),
        reason=base64.b64decode(stored.headers.get(REASON, "")).decode(errors="replace"),
        at=number_of(stored.headers, DIED_AT),
    )
