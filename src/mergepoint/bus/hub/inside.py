"""What may be done inside a group's transaction, by calls, batches and extensions alike.

Place:  bus.hub.calls -> [bus.hub.inside] -> bus.hub.store; it is the extensions' `Transaction`
Rule:   one for each piece of work; what must wait for the commit is kept until then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from mergepoint.bus.contract import Accepted, Lease, Put
from mergepoint.bus.errors import BusRefused, LeaseLost
from mergepoint.bus.hub import letters, seen
from mergepoint.bus.hub.arrivals import NewEntry, drop, insert, put, refuse_full
from mergepoint.bus.hub.holding import bury_held, finish, give_back
from mergepoint.bus.hub.leases import Held
from mergepoint.bus.hub.store import Store
from mergepoint.wire.envelope import Message, from_attributes, to_attributes
from mergepoint.wire.names import NameInvalid, check_name

Deliver = Callable[[str, bytes, bytes], None]
"""Hands a message of a topic to who listens."""


class Inside:
    """The open transaction, as one piece of work sees it."""

    def __init__(self, store: Store, deliver: Deliver) -> None:
        self._store = store
        self._parts = store.parts
        self._deliver = deliver
        self._afters: list[Callable[[], None]] = []

    @property
    def db(self) -> sqlite3.Connection:
        """The hub's connection."""
        return self._parts.db

    @property
    def unix_s(self) -> float:
        """Wall-clock seconds of the group."""
        return self._parts.unix_s

    @property
    def age_s(self) -> float:
        """Seconds that only ever grow."""
        return self._parts.age_s

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none; raise `BusFull`."""
        most = self._parts.limits.message_bytes_max
        for one in puts:
            if len(one.message.data) > most:
                raise BusRefused(f"a message of {len(one.message.data)} bytes; at most {most}")
        duplicates = self.put_entries(queue, [entry_of(one) for one in puts])
        return [
            Accepted(id=one.message.id, duplicate=duplicate)
            for one, duplicate in zip(puts, duplicates, strict=True)
        ]

    def put_entries(self, queue: str, entries: Sequence[NewEntry]) -> list[bool]:
        """Accept all or none; return which were duplicates."""
        return put(self._parts, self._parts.queues.make(_checked(queue)), entries)

    def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove waiting messages; return how many there were."""
        there = self._parts.queues.named(queue)
        if there is None:
            return 0
        seqs = [seq for id_ in dict.fromkeys(ids) for seq in seen.find(self._parts, there, id_)]
        return drop(self._parts, there, seqs)

    def ack(self, tokens: Sequence[str]) -> list[str]:
        """Finish these leases; return the tokens that were lost."""
        held = {token: self._parts.leases.get(token) for token in tokens}
        finish(self._parts, [one for one in held.values() if one is not None])
        return [token for token, one in held.items() if one is None]

    def nack(self, token: str, *, delay_s: float, reason: str, burn: bool) -> None:
        """Give a job back; raise `LeaseLost`."""
        give_back(self._parts, self.held(token), delay_s=delay_s, reason=reason, burn=burn)

    def bury(self, token: str, reason: str) -> None:
        """Make a job dead; raise `LeaseLost`."""
        held = self.held(token)
        bury_held(self._parts, held, reason=reason, attempt=held.attempt)

    def held(self, token: str) -> Held:
        """Return the lease in force; raise `LeaseLost`."""
        held = self._parts.leases.get(token)
        if held is None:
            raise LeaseLost(
                "somebody else has this job by now, or it is done", next="drop what was done for it"
            )
        return held

    def lease(self, token: str) -> Lease | None:
        """Return the lease in force, without its message's data, or None."""
        held = self._parts.leases.get(token)
        if held is None:
            return None
        (attributes,) = self.db.execute(
            "SELECT attributes FROM messages WHERE seq = ?", (held.seq,)
        ).fetchone()
        return Lease(
            queue=held.queue.name,
            message=from_attributes(json.loads(attributes), b""),
            token=held.token,
            attempt=held.attempt,
            expires_at=self.unix_s + held.deadline_s - self._parts.monotonic_s,
            key=held.key,
        )

    def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Publish with the commit."""
        attributes = attributes_of(message)
        self.publish_bytes(_checked(topic), message.id, attributes, message.data, keep=keep_last)

    def publish_bytes(
        self, topic: str, id_: str, attributes: bytes, data: bytes, *, keep: bool
    ) -> None:
        """Feed bound queues, keep the value if asked to, deliver after the commit."""
        for queue in self._store.present.fed_by(topic):
            put(self._parts, queue, [NewEntry(id_, attributes, data)])
        if keep:
            self._store.present.keep(topic, attributes, data)
        self.after_commit(lambda: self._deliver(topic, attributes, data))

    def replay(self, queue: str, id_: str, message: tuple[str, bytes, bytes] | None) -> None:
        """Put a dead letter back with fresh attempts; raise `NoSuchEntry`, `BusFull`."""
        there = self._parts.queues.make(_checked(queue))
        letter = letters.pick(self._parts, there, id_)
        refuse_full(self._parts, there, 1)
        new_id, attributes, data = message or (letter.id, letter.attributes, letter.data)
        entry = NewEntry(
            new_id,
            attributes,
            data,
            key=letter.key,
            priority=letter.priority,
            attempts_max=letter.attempts_max,
        )
        seq = self._parts.next_seq(1)
        seen.note_again(self._parts, there, new_id, seq)
        insert(self._parts, there, [(seq, entry)])

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call this once the transaction is on the disk."""
        self._afters.append(then)

    def committed(self) -> None:
        """Call what waited for the commit."""
        for then in self._afters:
            then()

    def again(self) -> None:
        """Forget what waited: the transaction was undone, and is tried anew."""
        self._afters.clear()


def attributes_of(message: Message) -> bytes:
    """Return the envelope without its data, as it is kept and sent."""
    return json.dumps(to_attributes(message), separators=(",", ":"), ensure_ascii=False).encode()


def entry_of(one: Put) -> NewEntry:
    """Return a put as the store takes it."""
    return NewEntry(
        one.message.id,
        attributes_of(one.message),
        one.message.data,
        one.key,
        one.priority,
        one.not_before,
        one.expires_at,
        one.attempts_max,
    )


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except NameInvalid as error:
        raise BusRefused(str(error)) from None
