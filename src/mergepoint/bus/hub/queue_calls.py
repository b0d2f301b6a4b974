"""Calls about queues: put, take, ack and their kin.

Place:  bus.hub.server -> [bus.hub.queue_calls] -> bus.hub.groups
Rule:   reads the head, makes the work; what is done in a transaction stands in bus.hub.inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mergepoint.bus.contract import PRIORITY_MAX, EntryState
from mergepoint.bus.errors import BusRefused, MessageTooLarge
from mergepoint.bus.hub import fields, letters, looking
from mergepoint.bus.hub.arrivals import NewEntry
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.fields import Head
from mergepoint.bus.hub.holding import Taken, give_back
from mergepoint.bus.hub.inside import Inside
from mergepoint.bus.hub.leases import Held
from mergepoint.bus.hub.parts import Parts

TAKE_MAX = 1_000
LEASE_S_MAX = 7 * 86_400.0
WAIT_S_MAX = 3_600.0
NOT_BEFORE_MAX = 1e11


class Answer(NamedTuple):
    """What an operation returns: a value for the head, and bytes behind it."""

    value: Any = None
    parts: Sequence[bytes] = ()


class Op(NamedTuple):
    """An operation that can be part of a batch."""

    run: Callable[[Inside, Head, bytes], Answer]
    grows: bool = False
    synced: bool = True
    apart: bool = False


def entries(head: Head, rest: bytes, message_bytes_max: int) -> list[NewEntry]:
    """Return the messages of a put: `puts` is `[[id, length, length, how?], ...]`."""
    puts = head.get("puts")
    if not isinstance(puts, list) or len(puts) > fields.LIST_MAX:
        raise BusRefused(f"call put: puts is a list of at most {fields.LIST_MAX}")
    found = []
    at = 0
    for one in puts:
        id_, attributes, data, how = _shape(one)
        if data > message_bytes_max:
            raise MessageTooLarge(f"a message of {data} bytes; at most {message_bytes_max}")
        middle = at + attributes
        end = middle + data
        if how is None:
            found.append(NewEntry(id_, rest[at:middle], rest[middle:end]))
        else:
            found.append(_special(id_, rest[at:middle], rest[middle:end], how))
        at = end
    if at != len(rest):
        raise BusRefused(f"call put: lengths add up to {at} bytes; {len(rest)} came")
    return found


def _shape(one: Any) -> tuple[str, int, int, Head | None]:  # Any: unchecked
    if isinstance(one, list) and 3 <= len(one) <= 4:
        id_, attributes, data = one[0], one[1], one[2]
        how = one[3] if len(one) == 4 else None
        lengths = type(attributes) is int and type(data) is int and attributes >= 0 and data >= 0
        fits = isinstance(id_, str) and 0 < len(id_) <= 4096 and lengths
        if fits and (how is None or isinstance(how, Mapping)):
            return id_, attributes, data, how
    raise BusRefused("call put: one of puts is no [id, length, length, how]")


def _special(id_: str, attributes: bytes, data: bytes, how: Head) -> NewEntry:
    return NewEntry(
        id_,
        attributes,
        data,
        key=fields.text(how, "key", "")[:4096],
        priority=fields.whole(how, "priority", 4, PRIORITY_MAX),
        not_before=fields.number(how, "not_before", 0.0, NOT_BEFORE_MAX),
        expires_at=fields.number(how, "expires_at", 0.0, NOT_BEFORE_MAX),
        attempts_max=fields.whole(how, "attempts_max", 0, 1_000_000),
    )


def jobs(taken: Sequence[Taken], unix_s: float) -> Answer:
    """Return jobs as they are told: `[queue, token, attempt, key, length, length]` each."""
    rows = [
        (h.queue.name, h.token, h.attempt, h.key, len(attributes), len(data))
        for h, attributes, data in taken
    ]
    expires_at = unix_s + (taken[0].held.lease_s if taken else 0.0)
    parts = [part for one in taken for part in (one.attributes, one.data)]
    return Answer({"jobs": rows, "expires_at": expires_at}, parts)


def ops(parts: Parts) -> dict[str, Op]:
    """Return the operations on queues that a transaction may hold."""
    most = parts.limits.message_bytes_max

    def put(inside: Inside, head: Head, rest: bytes) -> Answer:
        name = fields.named(head, "queue")
        return Answer(duplicates_told(inside.put_entries(name, entries(head, rest, most))))

    def ack(inside: Inside, head: Head, _rest: bytes) -> Answer:
        return Answer(inside.ack(fields.texts(head, "tokens")))

    def nack(inside: Inside, head: Head, _rest: bytes) -> Answer:
        inside.nack(
            fields.text(head, "token"),
            delay_s=fields.number(head, "delay_s", 0.0),
            reason=fields.text(head, "reason", ""),
            burn=head.get("burn") is not False,
        )
        return Answer()

    def bury(inside: Inside, head: Head, _rest: bytes) -> Answer:
        inside.bury(fields.text(head, "token"), fields.text(head, "reason", ""))
        return Answer()

    def drop(inside: Inside, head: Head, _rest: bytes) -> Answer:
        return Answer(inside.drop(fields.named(head, "queue"), fields.texts(head, "ids")))

    def replay(inside: Inside, head: Head, rest: bytes) -> Answer:
        message = None
        if "n" in head:
            message = (fields.text(head, "as"), *fields.message(head, rest))
        inside.replay(fields.named(head, "queue"), fields.text(head, "id"), message)
        return Answer()

    def discard(_inside: Inside, head: Head, _rest: bytes) -> Answer:
        queue = parts.queues.named(fields.named(head, "queue"))
        ids = fields.texts(head, "ids")
        return Answer(0 if queue is None else letters.discard(parts, queue, ids))

    return {
        "put": Op(put, grows=True),
        "ack": Op(ack),
        "nack": Op(nack),
        "bury": Op(bury),
        "drop": Op(drop),
        "replay": Op(replay, grows=True, apart=True),
        "discard": Op(discard),
        "dead": Op(lambda _i, head, _r: _dead(parts, head), synced=False),
        "browse": Op(lambda _i, head, _r: _browse(parts, head), synced=False),
        "queues": Op(lambda _i, _h, _r: _queues(parts), synced=False),
    }


def duplicates_told(duplicates: Sequence[bool]) -> list[int]:
    """Return the places of duplicates: mostly none."""
    return [place for place, duplicate in enumerate(duplicates) if duplicate]


def extend(parts: Parts, call: Call) -> None:
    """Hold leases longer: memory alone, since after a restart the hub waits for its workers."""
    lease_s = fields.number(call.head, "lease_s", None, LEASE_S_MAX)
    lost = []
    deadline_s = parts.ages.monotonic_s() + lease_s
    for token in fields.texts(call.head, "tokens"):
        held = parts.leases.get(token)
        # One that is over but was not taken back yet is still its worker's: a hub that was
        # stopped for a while hears first who is alive.
        if held is None:
            lost.append(token)
        else:
            parts.leases.extend(held, lease_s, deadline_s)
    call.ok({"lost": lost, "expires_at": parts.ages.unix_s() + lease_s})


def resume(parts: Parts, session: object, head: Head) -> Answer:
    """Take up leases of a connection that is no more; return the tokens that were lost.

    A client names all it holds: what else its session has was in an answer that never came, and
    goes back.
    """
    lost: list[str] = []
    tokens = fields.texts(head, "tokens")
    named = frozenset(tokens)
    for mine in parts.leases.of(session):
        if mine.token not in named:
            give_back(parts, mine, delay_s=0.0, reason="", burn=False)
    for token in tokens:
        held = parts.leases.get(token)
        if held is None:
            lost.append(token)
        elif held.session is None:
            before = (held, None, held.deadline_s)
            parts.leases.move(held, session, parts.monotonic_s + held.lease_s)
            parts.journal.add(_move_back, parts, *before)
    return Answer(lost)


def _move_back(parts: Parts, held: Held, session: object, deadline_s: float) -> None:
    parts.leases.move(held, session, deadline_s)


def _dead(parts: Parts, head: Head) -> Answer:
    queue = parts.queues.named(fields.named(head, "queue"))
    if queue is None:
        return Answer([])
    limit, after = fields.whole(head, "limit", 100, 1_000), fields.text(head, "after", "")
    found = looking.browse(parts, queue, states=(EntryState.DEAD,), limit=limit, after=after)
    return _told(found)


def _browse(parts: Parts, head: Head) -> Answer:
    queue = parts.queues.named(fields.named(head, "queue"))
    try:
        states = {EntryState(state) for state in fields.texts(head, "states")}
    except ValueError as error:
        raise BusRefused(f"call browse: {error}") from None
    if queue is None:
        return Answer([])
    limit, after = fields.whole(head, "limit", 100, 1_000), fields.text(head, "after", "")
    return _told(looking.browse(parts, queue, states=states, limit=limit, after=after))


def _told(found: Sequence[looking.Found]) -> Answer:
    rows = [
        {
            "state": one.state,
            "attempt": one.attempt,
            "not_before": one.not_before,
            "priority": one.priority,
            "key": one.key,
            "worker": one.worker,
            "reason": one.reason,
            "at": one.at,
            "n": [len(one.attributes), len(one.data)],
        }
        for one in found
    ]
    return Answer(rows, [part for one in found for part in (one.attributes, one.data)])


def _queues(parts: Parts) -> Answer:
    names = ("name", "ready", "delayed", "leased", "dead", "oldest_s", "bytes")
    stats = [looking.stats(parts, queue) for queue in parts.queues]
    return Answer([{name: getattr(one, name) for name in names} for one in stats])
