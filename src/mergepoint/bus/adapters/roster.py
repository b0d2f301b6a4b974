"""Who is there, for engines that hear signs of life: known members, and changes for a watch.

Place:  bus.adapters.nats, bus.adapters.zeromq -> [roster] -> whoever watches
Rule:   decisions are pure: seconds are handed in; a member is gone when it was silent too long.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from mergepoint.bus.contract import Change, Member, PresenceChange
from mergepoint.wire.names import address_matches


@dataclass(frozen=True)
class Sign:
    """One sign of life, or of leaving; `id` is one joining of one process."""

    id: str
    member: Member
    left: bool = False


def to_bytes(sign: Sign) -> bytes:
    """Return the sign as one JSON document."""
    document = {
        "id": sign.id,
        "address": sign.member.address,
        "info": dict(sign.member.info),
        "since": sign.member.since,
        "left": sign.left,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def from_bytes(data: bytes) -> Sign | None:
    """Return the sign; None when this is none, for anybody may send to a shared carrier."""
    try:
        document = json.loads(data)
        member = Member(
            address=str(document["address"]),
            info={str(name): str(text) for name, text in document["info"].items()},
            since=float(document["since"]),
        )
        return Sign(str(document["id"]), member, bool(document["left"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass
class _Known:
    member: Member
    heard_at: float


class Roster:
    """The members one watch knows of."""

    def __init__(self, pattern: str, silence_s_max: float) -> None:
        self._pattern = pattern
        self._silence_s_max = silence_s_max
        self._known: dict[str, _Known] = {}

    def hear(self, sign: Sign, now: float) -> list[PresenceChange]:
        """Take one sign in; return what changed by it."""
        if not address_matches(self._pattern, sign.member.address):
            return []
        known = self._known.get(sign.id)
        if sign.left:
            self._known.pop(sign.id, None)
            return [PresenceChange(change=Change.LEFT, member=known.member)] if known else []
        self._known[sign.id] = _Known(sign.member, now)
        if known is None:
            return [PresenceChange(change=Change.JOINED, member=sign.member)]
        if known.member.info != sign.member.info:
            return [PresenceChange(change=Change.UPDATED, member=sign.member)]
        return []

    def sweep(self, now: float) -> list[PresenceChange]:
        """Return who was silent too long, and forget them."""
        silent = [
            id_ for id_, known in self._known.items() if known.heard_at + self._silence_s_max <= now
        ]
        gone = [self._known.pop(id_).member for id_ in silent]
        return [PresenceChange(change=Change.LEFT, member=member) for member in gone]

    def excuse(self, now: float) -> None:
        """Begin everybody's silence anew: it was the listener who was cut off."""
        self._known = {id_: replace(known, heard_at=now) for id_, known in self._known.items()}

    def next_sweep(self) -> float:
        """Return when somebody may be gone next; infinity for nobody."""
        return min(
            (known.heard_at + self._silence_s_max for known in self._known.values()),
            default=float("inf"),
        )


class ChangeBuffer:
    """Changes for one reader; past its bound, only the latest of each address."""

    def __init__(self, changes_max: int) -> None:
        self._changes_max = changes_max
        self._changes: deque[PresenceChange] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self.on_close: Callable[[], None] = lambda: None

    def tell(self, changes: list[PresenceChange]) -> None:
        """Keep these for the reader."""
        if self._closed or not changes:
            return
        self._changes.extend(changes)
        if len(self._changes) > self._changes_max:
            latest = {one.member.address: one for one in self._changes}
            self._changes = deque(latest.values(), maxlen=self._changes_max)
        self._came.set()

    def end(self) -> None:
        """End the iteration; what nobody read is forgotten."""
        self._closed = True
        self._changes.clear()
        self._came.set()

    async def close(self) -> None:
        """End the iteration and be told no more; a second call does nothing."""
        if not self._closed:
            self.end()
            self.on_close()

    async def __aiter__(self) -> AsyncIterator[PresenceChange]:
        while True:
            while self._changes:
                yield self._changes.popleft()
            if self._closed:
                return
            self._came.clear()
            await self._came.wait()
