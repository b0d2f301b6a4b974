"""What the hub tells, as the values of the contract.

Place:  bus.adapters.hub -> [bus.adapters.hub_answers]
Rule:   pure.
"""

from __future__ import annotations

from typing import Any

from mergepoint.bus.adapters.hub_live import unpacked
from mergepoint.bus.adapters.hub_wire import Answer
from mergepoint.bus.contract import Entry, EntryState, Lease, Put


def row_of(put: Put, attributes: int, data: int, attempts_max: int) -> list[Any]:
    """Return `[id, length, length]`, and how it wants to be treated where that is unusual."""
    how: dict[str, Any] = {}
    if put.key:
        how["key"] = put.key
    if put.priority != 4:
        how["priority"] = put.priority
    if put.not_before:
        how["not_before"] = max(0.0, put.not_before)
    if put.expires_at:
        how["expires_at"] = put.expires_at
    if put.attempts_max or attempts_max:
        how["attempts_max"] = put.attempts_max or attempts_max
    row: list[Any] = [put.message.id, attributes, data]
    return [*row, how] if how else row


def leases_of(answer: Answer) -> list[Lease]:
    """Return the jobs of a take."""
    expires_at = answer.value["expires_at"]
    parts = answer.parts()
    return [
        Lease(
            queue=queue,
            message=unpacked(parts[2 * at], parts[2 * at + 1]),
            token=token,
            attempt=attempt,
            expires_at=expires_at,
            key=key,
        )
        for at, (queue, token, attempt, key, _, _) in enumerate(answer.value["jobs"])
    ]


def entries_of(queue: str, answer: Answer) -> list[Entry]:
    """Return what was found in a queue."""
    parts = answer.parts()
    return [
        Entry(
            queue=queue,
            message=unpacked(parts[2 * at], parts[2 * at + 1]),
            state=EntryState(row["state"]),
            attempt=row["attempt"],
            not_before=row["not_before"],
            priority=row["priority"],
            key=row["key"],
            worker=row["worker"],
            reason=row["reason"],
            at=row["at"],
        )
        for at, row in enumerate(answer.value)
    ]
