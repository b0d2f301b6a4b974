"""The moment a proof is issued: the subject is held first, the clock is read second.

Place:  sessions, tokens -> [service.issuing] -> store
Rule:   whoever issues calls `hold` before anything else; see store.unit for why.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.service.person import Person, load_person
from mergepoint.identity.accounts.store.models import FeedRow, SubjectRow
from mergepoint.identity.accounts.store.unit import Work


@dataclass(frozen=True, slots=True)
class Held:
    """A subject nobody can change until the transaction ends, and the time a proof of it bears."""

    row: SubjectRow
    person: Person
    issued_at: float


def hold(work: Work, sub: str, clock: Clock, *, change: bool = False) -> Held | None:
    """Return the subject as it is and stays, None when there is none or it may not come in.

    `change` says that the row will be written: two who share a lock could not both widen it.
    """
    wanted = select(SubjectRow).where(SubjectRow.sub == sub).with_for_update(read=not change)
    row = work.session.scalar(wanted.execution_options(populate_existing=True))
    if row is None or row.disabled:
        return None
    site = work.session.scalar(select(FeedRow.valid_from)) or 0.0
    issued_at = max(clock.unix_s(), row.valid_from, site)
    return Held(row, load_person(work.session, row), issued_at)
