"""Who somebody is at an OpenID Connect provider. The protocol itself is the pages'.

Place:  pages -> [service.providers] -> store, people
Rule:   never joined by e-mail address: whoever controls an address at a provider is not thereby
        the person here. Only the person, logged in, links the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, Provider
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.people import People
from mergepoint.identity.accounts.service.person import (
    GRANT_MAX,
    GRANTS_BYTES_MAX,
    GROUP,
    PERSON,
    ROLE,
    Person,
    checked_email,
    checked_name,
    load_person,
)
from mergepoint.identity.accounts.store.models import ProviderLinkRow, SubjectRow
from mergepoint.identity.accounts.store.unit import Store, Work

NAME_TRIES_MAX = 100
SUBJECT_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class ProviderLink:
    """One account elsewhere that stands for a person here."""

    provider: str
    subject: str
    sub: str
    email: str
    created_at: float
    used_at: float | None


class Providers:
    """The accounts elsewhere of the site's people."""

    def __init__(self, store: Store, settings: AccountsSettings, people: People) -> None:
        self._store = store
        self._settings = settings
        self._people = people

    def of(self, sub: str) -> list[ProviderLink]:
        """Return a person's accounts elsewhere, by provider."""
        wanted = select(ProviderLinkRow).where(ProviderLinkRow.sub == sub)
        with self._store.read() as session:
            rows = session.scalars(wanted.order_by(ProviderLinkRow.provider))
            return [_link(row) for row in rows]

    def arrive(
        self,
        provider: Provider,
        subject: str,
        by: Caller,
        *,
        email: str = "",
        name: str = "",
        user: str = "",
        groups: Iterable[str] = (),
    ) -> Person:
        """Return the person of a proven login elsewhere, with that provider's roles as they are.

        Somebody new becomes a person when the provider has `allow_signup`, else `Refused`.
        """
        subject = _checked_subject(subject)
        with self._store.write(by) as work:
            link = work.session.get(ProviderLinkRow, (provider.name, subject), with_for_update=True)
            if link is None and not provider.allow_signup:
                raise Refused(
                    "not_linked", f"no account here belongs to this one at {_title(provider)}"
                )
            if link is None:
                sub = self._sign_up(work, email, name, user)
                link = self._link(work, sub, provider.name, subject, email)
            row = work.lock_subject(link.sub)
            if row is None or row.disabled:
                raise Refused("disabled", "this account is disabled")
            link.used_at, link.email = work.now_s, email[:254]
            return self._take_over(work, row, provider, list(groups))

    def link(
        self, sub: str, provider: Provider, subject: str, by: Caller, *, email: str = ""
    ) -> ProviderLink:
        """Let a proven account elsewhere stand for this person; raise `Refused` if taken."""
        subject = _checked_subject(subject)
        with self._store.write(by) as work:
            row = work.lock_subject(sub)
            if row is None:
                raise unknown("person")
            return _link(self._link(work, sub, provider.name, subject, email))

    def unlink(self, sub: str, provider: str, subject: str, by: Caller) -> None:
        """Part the two, and take back what the provider had given."""
        with self._store.write(by) as work:
            row = work.lock_subject(sub)
            link = work.session.get(ProviderLinkRow, (provider, subject), with_for_update=True)
            if row is None or link is None or link.sub != sub:
                raise unknown("link")
            work.session.delete(link)
            work.session.flush()
            for kind in (ROLE, GROUP):
                self._people.grant_in(work, row, kind, (), provider)
            work.audit(Event.PROVIDER_UNLINKED, sub, row.user, {"provider": provider})

    def _link(
        self, work: Work, sub: str, provider: str, subject: str, email: str
    ) -> ProviderLinkRow:
        row = ProviderLinkRow(
            provider=provider,
            subject=subject,
            sub=sub,
            email=email[:254],
            created_at=work.now_s,
        )
        work.session.add(row)
        try:
            work.session.flush()
        except IntegrityError:
            raise Refused("provider_taken", "this account belongs to somebody already") from None
        work.audit(Event.PROVIDER_LINKED, sub, detail={"provider": provider})
        return row

    def _sign_up(self, work: Work, email: str, name: str, user: str) -> str:
        row = SubjectRow(
            kind=PERSON,
            user=self._free_name(work, user or email.partition("@")[0] or name),
            name=_or_nothing(checked_name, name),
            email=_or_nothing(checked_email, email),
            lang="",
        )
        return self._people.add_in(work, row, (), ()).sub

    def _free_name(self, work: Work, wish: str) -> str:
        """Return a user name like the one wished for that nobody has."""
        start = re.sub(r"[^a-z0-9._-]+", "-", wish.lower()).strip("._-")[:60] or "person"
        for count in range(1, NAME_TRIES_MAX):
            user = start if count == 1 else f"{start}{count}"
            taken = select(SubjectRow.sub).where(SubjectRow.user == user)
            if work.session.scalar(taken) is None:
                return user
        raise Refused("user_taken", f"every user name like {start!r} is taken")

    def _take_over(
        self, work: Work, row: SubjectRow, provider: Provider, groups: list[str]
    ) -> Person:
        roles = {
            r for g in groups for r in provider.role_map.get(g, ()) if r in self._settings.roles
        }
        self._people.grant_in(work, row, ROLE, tuple(sorted(roles)), provider.name)
        if provider.groups_claim:
            mine = load_person(work.session, row)
            self._people.grant_in(work, row, GROUP, _fitting(groups, mine), provider.name)
        return load_person(work.session, row)


def _fitting(groups: Iterable[str], person: Person) -> tuple[str, ...]:
    """Return the groups a token can carry: those with a usable name, as many as fit."""
    left = GRANTS_BYTES_MAX - len(json.dumps([*person.roles, *person.groups]))
    taken: list[str] = []
    for name in sorted({g.strip() for g in groups} - {""}):
        if len(name) > GRANT_MAX or "," in name or not name.isprintable():
            continue
        left -= len(json.dumps(name)) + 2 if name not in person.groups else 0
        if left < 0:
            break
        taken.append(name)
    return tuple(taken)


def _or_nothing(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except Refused:
        return ""


def _checked_subject(subject: str) -> str:
    if not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
        raise Refused("provider_subject", f"a subject of {len(subject)} characters")
    return subject


def _title(provider: Provider) -> str:
    return provider.title or provider.name


def _link(row: ProviderLinkRow) -> ProviderLink:
    return ProviderLink(
        provider=row.provider,
        subject=row.subject,
        sub=row.sub,
        email=row.email,
        created_at=row.created_at,
        used_at=row.used_at,
    )
