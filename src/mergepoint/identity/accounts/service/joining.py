"""How somebody gets in for the first time, or again: registration, invites, resets.

Place:  pages, cli -> [service.joining] -> links, people, passwords
Rule:   the link is used up in the transaction of what it was for: both happen, or neither.
"""

from __future__ import annotations

from collections.abc import Iterable

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, Register
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.links import IssuedLink, LinkInfo, Links, Purpose
from mergepoint.identity.accounts.service.passwords import Passwords
from mergepoint.identity.accounts.service.people import People
from mergepoint.identity.accounts.service.person import (
    PERSON,
    Person,
    checked_email,
    checked_groups,
    checked_name,
    checked_roles,
    checked_size,
    checked_user,
    load_person,
)
from mergepoint.identity.accounts.store.models import SubjectRow
from mergepoint.identity.accounts.store.unit import REVOKE_SUBJECT, Store

FIRST_ADMINISTRATOR_LIFE_S = 86400.0


class Joining:
    """Makes people out of links and forms."""

    def __init__(
        self,
        store: Store,
        settings: AccountsSettings,
        links: Links,
        people: People,
        passwords: Passwords,
    ) -> None:
        self._store = store
        self._settings = settings
        self._links = links
        self._people = people
        self._passwords = passwords

    def register(
        self,
        user: str,
        password: str,
        by: Caller,
        *,
        name: str = "",
        email: str = "",
        lang: str = "",
    ) -> Person:
        """Make an account where anybody may; raise `Refused` where not, or for a wrong value."""
        if self._settings.register is not Register.OPEN:
            raise Refused("register", "this site makes accounts by invitation")
        stored = self._passwords.hashed(password, checked_user(user), name, email)
        counts = self._counted(email, "")
        return self._people.add(user, by, name=name, email=counts, lang=lang, password_hash=stored)

    def invite(
        self,
        by: Caller,
        *,
        email: str = "",
        name: str = "",
        roles: Iterable[str] = (),
        groups: Iterable[str] = (),
    ) -> IssuedLink:
        """Return a link with which one person may make an account with these roles and groups."""
        if self._settings.register is Register.CLOSED:
            raise Refused("register", "this site takes nobody new (register = closed)")
        wanted, names = checked_roles(roles, self._settings.roles), checked_groups(groups)
        checked_size(wanted, names)
        detail = {
            "email": checked_email(email),
            "name": checked_name(name),
            "roles": list(wanted),
            "groups": list(names),
        }
        return self._links.issue(Purpose.INVITE, by, detail=detail)

    def first_administrator(self, by: Caller) -> IssuedLink | None:
        """Return a link that makes the first administrator; None when there is one already."""
        if self._people.has_administrator():
            return None
        detail = {"roles": list(self._settings.administrator_roles[:1])}
        return self._links.issue(
            Purpose.FIRST_ADMINISTRATOR, by, detail=detail, life_s=FIRST_ADMINISTRATOR_LIFE_S
        )

    def reset_link(self, sub: str, by: Caller) -> IssuedLink:
        """Return a link with which this person may set a new password."""
        if self._people.get(sub) is None:
            raise unknown("person")
        return self._links.issue(Purpose.RESET, by, sub=sub)

    def address_link(self, sub: str, email: str, by: Caller) -> IssuedLink:
        """Return a link that proves, to whoever gets it by mail, that the address is theirs."""
        if self._people.get(sub) is None:
            raise unknown("person")
        detail = {"email": checked_email(email)}
        return self._links.issue(Purpose.ADDRESS, by, sub=sub, detail=detail)

    def prove_address(self, secret: str, by: Caller) -> Person:
        """Use an address link: from now on the person has that address. Raise `Refused`."""
        link = self._usable(secret, Purpose.ADDRESS)
        with self._store.write(by) as work:
            self._links.use(work, secret)
            row = work.lock_subject(link.sub or "")
            if row is None or row.disabled:
                raise Refused("link", "this link belongs to nobody who may log in")
            row.email = str(link.detail["email"])
            work.revoke(REVOKE_SUBJECT, row.sub)
            work.audit(Event.ADDRESS_PROVEN, row.sub, row.user, {"email": row.email})
            return load_person(work.session, row)

    def _counted(self, email: str, vouched: str) -> str:
        """Return the address as it counts at once.

        Where the site sends mail, that is only one somebody else vouches for: others are proven by
        a link that is sent there, since apps and forgotten passwords believe them.
        """
        checked = checked_email(email)
        if self._settings.mail is None or checked.casefold() == vouched.casefold():
            return checked
        return ""

    def accept(
        self,
        secret: str,
        user: str,
        password: str | None,
        by: Caller,
        *,
        name: str = "",
        email: str = "",
        lang: str = "",
    ) -> Person:
        """Use an invite, or the first administrator's link, and make the person.

        `password` None where the person goes on with a passkey. Raise `Refused`; a link that was
        refused for a wrong value may be used again.
        """
        link = self._usable(secret, Purpose.INVITE, Purpose.FIRST_ADMINISTRATOR)
        if link.purpose is Purpose.FIRST_ADMINISTRATOR and self._people.has_administrator():
            raise Refused("link", "this site has an administrator already")
        stored = None
        if password is not None:
            stored = self._passwords.hashed(password, checked_user(user), name, email)
        with self._store.write(by) as work:
            self._links.use(work, secret)
            first = link.purpose is Purpose.FIRST_ADMINISTRATOR
            vouched = email.strip() if first else str(link.detail.get("email") or "")
            row = SubjectRow(
                kind=PERSON,
                user=user,
                name=name,
                email=self._counted(email, vouched),
                lang=lang,
                password_hash=stored,
            )
            known = set(self._settings.roles)
            roles = [r for r in link.detail.get("roles", []) if r in known]
            return self._people.add_in(work, row, roles, link.detail.get("groups", []))

    def reset(self, secret: str, password: str, by: Caller) -> Person:
        """Use a reset link and set the password; every session ends. Raise `Refused`."""
        link = self._usable(secret, Purpose.RESET)
        person = self._people.get(link.sub or "")
        if person is None or person.disabled:
            raise Refused("link", "this link belongs to nobody who may log in")
        stored = self._passwords.hashed(password, person.user, person.name, person.email)
        with self._store.write(by) as work:
            self._links.use(work, secret)
            return self._passwords.set_in(work, person.sub, stored)

    def _usable(self, secret: str, *purposes: Purpose) -> LinkInfo:
        link = self._links.read(secret)
        if link is None or link.purpose not in purposes:
            raise Refused("link", "this link was used before, has expired, or was withdrawn")
        return link
