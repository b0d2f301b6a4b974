"""How many tries a guesser has, so that a guesser cannot keep the owner out.

Place:  logins, edge_calls -> [service.throttle] -> store
Rule:   an allowance is taken before the costly check and given back when the try was right.

Why two doors. A limit per account alone lets anybody lock anybody out: ten wrong passwords, and the
owner waits. A limit per address alone lets a botnet guess. So both count for a browser that has
never logged in to this account, and neither counts for one that has: it carries a signed device
cookie and has an allowance of its own. The guesser exhausts the account's allowance for unknown
browsers and the owner, on a known one, does not notice. On a new browser the owner, meanwhile, has
passkeys, providers and reset links, which are not guessable and do not pass here.

The measure is GCRA: `burst` tries at once, then one every `every_s`. An account can be guessed at
10 + 288 times a day from all unknown browsers of the world together; with 12 characters that are
neither breached nor a name this is nothing. A name that does not exist has the same allowance.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.store.models import ThrottleRow
from mergepoint.identity.accounts.store.unit import Store, Work

TELL_EVERY_S = 600.0
"""A bucket that stays exhausted is written to the audit log once in this time."""
FORGET_AT_ONCE_MAX = 100


@dataclass(frozen=True, slots=True)
class Allowance:
    """`burst` tries at once, then one every `every_s`."""

    burst: int
    every_s: float


DEVICE = Allowance(10, 60.0)
ACCOUNT = Allowance(10, 300.0)
ADDRESS = Allowance(60, 5.0)
"""An office behind one address: sixty people may mistype at nine o'clock."""
FACTOR = Allowance(5, 300.0)
CREDENTIAL = Allowance(60, 1.0)
"""Wrong API tokens from one address; right ones are never counted."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One count: what it is for, of whom."""

    kind: str
    value: str
    allowance: Allowance

    @property
    def key(self) -> str:
        """Return the row's key: a hash, since people type passwords into the field for names."""
        text = f"{self.kind}|{self.value}"
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a try: refused when `retry_after_s` is above zero."""

    buckets: tuple[Bucket, ...]
    retry_after_s: float = 0.0


def gcra(arrival_at: float, now_s: float, allowance: Allowance) -> tuple[float, float]:
    """Return the new arrival time and 0, or the old one and the seconds until a try is free."""
    arrival = max(arrival_at, now_s) + allowance.every_s
    late = arrival - now_s - allowance.burst * allowance.every_s
    return (arrival, 0.0) if late <= 1e-6 else (arrival_at, late)


def network_of(address: str) -> str:
    """Return what counts as one address: itself, or the /64 of IPv6, which is one household."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class Throttle:
    """Allowances in the database, so that they hold for all workers together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, buckets: Iterable[Bucket], by: Caller) -> Taken:
        """Take one try from every bucket, or from none and say how long to wait."""
        wanted = tuple(buckets)
        with self._store.write(by) as work:
            rows = self._rows(work, wanted)
            answers = [gcra(rows[b.key].arrival_at, work.now_s, b.allowance) for b in wanted]
            wait_s = max((late for _, late in answers), default=0.0)
            if wait_s > 0:
                self._tell(work, wanted, rows, [late for _, late in answers])
                return Taken(wanted, wait_s)
            for bucket, (arrival, _) in zip(wanted, answers, strict=True):
                rows[bucket.key].arrival_at = arrival
            self._forget(work)
        return Taken(wanted)

    def give_back(self, taken: Taken, by: Caller) -> None:
        """Return the try, because it was right; never more than was taken."""
        if taken.retry_after_s > 0 or not taken.buckets:
            return
        with self._store.write(by) as work:
            rows = self._rows(work, taken.buckets)
            for bucket in taken.buckets:
                row = rows[bucket.key]
                row.arrival_at = max(work.now_s, row.arrival_at - bucket.allowance.every_s)

    def _rows(self, work: Work, buckets: tuple[Bucket, ...]) -> dict[str, ThrottleRow]:
        """Return the rows, made where missing and held in the order of their keys."""
        keys = sorted({b.key for b in buckets})
        dialect = work.session.get_bind().dialect.name
        insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        values = [{"bucket": key, "arrival_at": 0.0, "told_at": 0.0} for key in keys]
        work.session.execute(insert(ThrottleRow.__table__).values(values).on_conflict_do_nothing())
        held = select(ThrottleRow).where(ThrottleRow.key.in_(keys))
        held = held.order_by(ThrottleRow.key).with_for_update()
        return {row.key: row for row in work.session.scalars(held)}

    def _tell(
        self,
        work: Work,
        buckets: tuple[Bucket, ...],
        rows: dict[str, ThrottleRow],
        waits: list[float],
    ) -> None:
        """Write the refusal down, but not every refusal: a flood must not fill the log."""
        for bucket, wait_s in zip(buckets, waits, strict=True):
            row = rows[bucket.key]
            if wait_s > 0 and work.now_s - row.told_at >= TELL_EVERY_S:
                row.told_at = work.now_s
                work.audit(Event.LOGIN_THROTTLED, detail={"by": bucket.kind})

    def _forget(self, work: Work) -> None:
        """Remove rows that have recovered; new names must not make the table grow for ever."""
        old = work.now_s - TELL_EVERY_S
        idle = select(ThrottleRow.key).where(ThrottleRow.arrival_at < old).limit(FORGET_AT_ONCE_MAX)
        if work.session.get_bind().dialect.name == "postgresql":
            idle = idle.with_for_update(skip_locked=True)
        work.session.execute(delete(ThrottleRow).where(ThrottleRow.key.in_(idle.scalar_subquery())))
