"""What a session of somebody would say now: for `explain --as`, without making one.

Place:  cli -> [identity.accounts.lookup] -> service.people, store
Rule:   only reads; a site whose accounts were never used has no database made for it.
"""

from __future__ import annotations

from typing import Any

from mergepoint.core.clock import Clock
from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.service.claims import session_claims
from mergepoint.identity.accounts.service.people import People
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.store.engine import parse_url, sqlite_path
from mergepoint.identity.accounts.store.unit import Store

NEAR_MAX = 5


class NobodyOfThatName(MergepointError):
    """No person or service of the site logs in with that name, or may."""

    code = "accounts.unknown"


def claims_of(settings: AccountsSettings, user: str, clock: Clock) -> dict[str, Any]:
    """Return the claims of a session that `user` would begin now.

    Raise `NobodyOfThatName` for an unknown or disabled name, `StoreLost` when the database is away.
    """
    path = sqlite_path(parse_url(settings.database))
    if path is not None and not path.is_file():
        raise NobodyOfThatName(
            f"nobody has an account yet: there is no {path}", next=f"mergepoint users add {user}"
        )
    store = Store(settings.database, clock)
    try:
        people = People(store, settings)
        person = people.find(user)
        if person is None or person.disabled:
            raise _nobody(user, person, people)
    finally:
        store.close()
    now_s = clock.unix_s()
    return session_claims(
        settings,
        person,
        sid="",
        issued_at=now_s,
        ends_at=now_s + settings.session_life_s,
        auth_at=now_s,
        amr=(),
    )


def _nobody(user: str, person: Person | None, people: People) -> NobodyOfThatName:
    if person is not None:
        following = f"mergepoint users enable {user}"
        return NobodyOfThatName(f"{user} is disabled and proves nobody", next=following)
    known = [one.user for one in people.search(limit=NEAR_MAX)]
    if not known:
        following = f"mergepoint users add {user}"
        return NobodyOfThatName("nobody has an account yet", next=following)
    some = f"there are: {', '.join(known)}" + (", ..." if len(known) == NEAR_MAX else "")
    return NobodyOfThatName(f"nobody logs in as {user!r}; {some}", next="mergepoint users list")
