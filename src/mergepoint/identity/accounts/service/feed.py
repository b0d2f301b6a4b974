"""The feed of revocations: what edges ask for several times a second.

Place:  edge_calls -> [service.feed] -> store, rings
Rule:   writes nothing; one row is read while nothing has happened, the rest is remembered.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.service.rings import Rings
from mergepoint.identity.accounts.store.models import FeedRow, RevocationRow
from mergepoint.identity.accounts.store.unit import Store


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry; see docs/reference/contracts.md section 5."""

    position: int
    kind: str
    target: str
    before: float
    at: float

    def told(self) -> dict[str, Any]:
        """Return the entry as the edge reads it."""
        return {
            "position": self.position,
            "kind": self.kind,
            "id": self.target,
            "before": self.before,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the database said last, whole."""

    epoch: str
    position: int
    pruned: int
    entries: tuple[Revocation, ...]


class Feed:
    """Answers what has ended since a position."""

    def __init__(self, store: Store, rings: Rings, clock: Clock) -> None:
        self._store = store
        self._rings = rings
        self._clock = clock
        self._kept = _Kept("", 0, 0, ())
        self._lock = threading.Lock()

    def read(self, epoch: str, after: int) -> dict[str, Any]:
        """Return the answer to an edge that has read `after` of `epoch`."""
        kept = self._now()
        reset = epoch != kept.epoch or after > kept.position or after < kept.pruned
        entries = kept.entries if reset else tuple(e for e in kept.entries if e.position > after)
        return {
            "epoch": kept.epoch,
            "position": kept.position,
            "reset": reset,
            "keys": [
                {"kid": key.kid, "x": key.x, "not_after": key.not_after}
                for key in self._rings.session().verifying(self._clock.unix_s())
            ],
            "revocations": [e.told() for e in entries],
        }

    def _now(self) -> _Kept:
        """Return the feed as it is; entries are read only when the position has moved."""
        with self._store.read() as session:
            row = session.scalars(select(FeedRow)).one()
            kept = self._kept
            if (row.epoch, row.position, row.pruned) == (kept.epoch, kept.position, kept.pruned):
                return kept
            same = row.epoch == kept.epoch and row.position >= kept.position
            known = tuple(e for e in kept.entries if e.position > row.pruned) if same else ()
            since = max(kept.position, row.pruned) if same else row.pruned
            wanted = select(RevocationRow).where(RevocationRow.position > since)
            fresh = tuple(
                Revocation(r.position, r.kind, r.target, r.before, r.at)
                for r in session.scalars(wanted.order_by(RevocationRow.position))
                if r.position <= row.position
            )
            kept = _Kept(row.epoch, row.position, row.pruned, (*known, *fresh))
        with self._lock:
            newer = self._kept.epoch != kept.epoch or self._kept.position <= kept.position
            if newer:
                self._kept = kept
        return kept
