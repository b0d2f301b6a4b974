"""What a browser has begun and must finish: a second factor, a passkey, a provider's login.

Place:  logins, pages -> [service.attempts] -> store
Rule:   kept here, not in the browser: it expires, counts its failures, and finishes once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, select

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.proofs import digest, new_secret
from mergepoint.identity.accounts.store.models import AttemptRow
from mergepoint.identity.accounts.store.unit import Store

ATTEMPT_LIFE_S = 600.0
TRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something begun; `detail` is what the beginner wanted to know at the end."""

    purpose: str
    sub: str | None
    detail: Mapping[str, Any]
    tries: int


class Attempts:
    """Everything that was begun and not finished."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def begin(
        self,
        purpose: str,
        by: Caller,
        *,
        sub: str | None = None,
        detail: Mapping[str, Any] | None = None,
        life_s: float = ATTEMPT_LIFE_S,
    ) -> str:
        """Return the secret that finishes what begins here; give it to this browser alone."""
        secret = new_secret()
        with self._store.write(by) as work:
            work.session.execute(delete(AttemptRow).where(AttemptRow.expires_at < work.now_s))
            work.session.add(
                AttemptRow(
                    secret_hash=digest(secret),
                    purpose=purpose,
                    sub=sub,
                    detail=dict(detail or {}),
                    tries=0,
                    expires_at=work.now_s + life_s,
                )
            )
        return secret

    def read(self, secret: str, purpose: str) -> Attempt | None:
        """Return what was begun for this purpose, None when it is over."""
        with self._store.read() as session:
            row = session.get(AttemptRow, digest(secret))
            return _attempt(row, purpose, self._clock.unix_s())

    def finish(self, secret: str, purpose: str, by: Caller) -> Attempt | None:
        """Return what was begun and end it; None for whoever comes second."""
        with self._store.write(by) as work:
            row = work.session.scalar(_held(secret))
            found = _attempt(row, purpose, work.now_s)
            if row is not None and found is not None:
                work.session.delete(row)
            return found

    def fail(self, secret: str, by: Caller) -> int:
        """Count one failure; return how many tries are left. At none it is over."""
        with self._store.write(by) as work:
            row = work.session.scalar(_held(secret))
            if row is None:
                return 0
            row.tries += 1
            if row.tries >= TRIES_MAX:
                work.session.delete(row)
            return max(0, TRIES_MAX - row.tries)


def _held(secret: str) -> Select[AttemptRow]:
    return select(AttemptRow).where(AttemptRow.secret_hash == digest(secret)).with_for_update()


def _attempt(row: AttemptRow | None, purpose: str, now_s: float) -> Attempt | None:
    if row is None or row.purpose != purpose or row.expires_at <= now_s:
        return None
    return Attempt(row.purpose, row.sub, row.detail, row.tries)
