"""Passwords: judge, set, change, check.

Place:  logins, joining, pages, cli -> [service.passwords] -> hashing, guessing, breach,
        store
Rule:   hashing happens outside transactions; a set password ends every other proof of the person.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from sqlalchemy import update

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service import guessing
from mergepoint.identity.accounts.service.breach import Breached
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.hashing import PASSWORD_BYTES_MAX, Hasher, normal
from mergepoint.identity.accounts.service.people import end_sessions, row_of
from mergepoint.identity.accounts.service.person import Person, load_person
from mergepoint.identity.accounts.store.models import SubjectRow
from mergepoint.identity.accounts.store.unit import REVOKE_SUBJECT, Store, Work

DISTINCT_MIN = 4
NAME_CHARS_MIN = 4
"""Shorter names are in too many words to be held against them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a password is not good enough: a code for pages, a sentence for people."""

    code: str
    message: str


class Passwords:
    """The passwords of the site."""

    def __init__(
        self, store: Store, settings: AccountsSettings, hasher: Hasher, breached: Breached
    ) -> None:
        self._store = store
        self._settings = settings
        self._hasher = hasher
        self._breached = breached

    def warm(self) -> None:
        """Do now what the first login would otherwise wait for."""
        self._hasher.warm()
        guessing.warm()

    def judge(self, password: str, user: str, name: str = "", email: str = "") -> list[Fault]:
        """Return everything that is wrong with a new password; nothing when it is good."""
        least = self._settings.password_length_min
        size = len(normal(password))
        if size > PASSWORD_BYTES_MAX:
            return [Fault("long", f"{size} bytes; at most {PASSWORD_BYTES_MAX}")]
        faults = []
        length = len(unicodedata.normalize("NFC", password))
        if length < least:
            faults.append(Fault("short", f"{length} characters; at least {least}"))
        if len(set(password)) < DISTINCT_MIN:
            faults.append(Fault("monotonous", "it repeats the same few characters"))
        names = [user, name, email.partition("@")[0], self._settings.site, self._settings.title]
        contained = _contained(password, names)
        if contained:
            faults.append(Fault("name", f"it contains {contained!r}, which anybody would try"))
        if not faults and guessing.is_guessable(password, _words(names)):
            faults.append(
                Fault("common", "it is common, or built of what is; guessers begin there")
            )
        if not faults and self._breached(password):
            faults.append(Fault("breached", "it is known from a breach"))
        return faults

    def hashed(self, password: str, user: str, name: str = "", email: str = "") -> str:
        """Return the hash of a password that was judged good; raise `Refused` with every fault."""
        if not self._settings.passwords:
            raise Refused("passwords_off", "this site has no passwords")
        faults = self.judge(password, user, name, email)
        if faults:
            raise Refused("password", "; ".join(f"the password: {f.message}" for f in faults))
        return self._hasher.hash(password)

    def set(self, sub: str, password: str, by: Caller, *, keep: str | None = None) -> None:
        """Set a password; sessions but the one with id `keep` end. Raise `Refused`."""
        with self._store.read() as session:
            row = session.get(SubjectRow, sub)
            if row is None:
                raise unknown("person")
            user, name, email = row.user, row.name, row.email
        stored = self.hashed(password, user, name, email)
        with self._store.write(by) as work:
            self.set_in(work, sub, stored, keep=keep)

    def set_in(self, work: Work, sub: str, stored: str, *, keep: str | None = None) -> Person:
        """Set a hash inside a unit of work; see `set`."""
        row = work.lock_subject(sub)
        if row is None:
            raise unknown("person")
        row.password_hash, row.password_at = stored, work.now_s
        end_sessions(work, sub, keep=keep)
        work.revoke(REVOKE_SUBJECT, sub)
        work.audit(Event.PASSWORD_SET, sub, row.user)
        return load_person(work.session, row)

    def remove(self, sub: str, by: Caller) -> None:
        """Take the password away, for somebody who has another way in."""
        with self._store.write(by) as work:
            row = work.lock_subject(sub)
            if row is None:
                raise unknown("person")
            if row.password_hash is not None:
                row.password_hash = row.password_at = None
                work.revoke(REVOKE_SUBJECT, sub)
                work.audit(Event.PASSWORD_REMOVED, sub, row.user)

    def check(self, user: str, password: str, by: Caller) -> Person | None:
        """Return who this is; None takes as long, whoever it was and whatever was wrong.

        `user` is a user name, or an e-mail address that only one person has.
        No limit on tries: that is `logins`'. A hash of another cost is made anew on the way.
        """
        with self._store.read() as session:
            row = row_of(session, user)
            person = load_person(session, row) if row is not None else None
            stored = row.password_hash if row is not None else None
        if stored is None or not self._settings.passwords:
            self._hasher.waste(password)
            return None
        right = self._hasher.verify(stored, password)
        if person is None or not right or person.disabled:
            return None
        if self._hasher.is_stale(stored):
            self._rehash(person.sub, stored, password, by)
        return person

    def _rehash(self, sub: str, stored: str, password: str, by: Caller) -> None:
        """Write the same password down with today's cost, unless it was changed meanwhile."""
        fresh = self._hasher.hash(password)
        same = (SubjectRow.sub == sub, SubjectRow.password_hash == stored)
        with self._store.write(by) as work:
            work.session.execute(update(SubjectRow).where(*same).values(password_hash=fresh))


def _words(names: list[str]) -> list[str]:
    return [word for name in names for word in [name, *name.split()]]


def _contained(password: str, names: list[str]) -> str:
    """Return the first of these names, or word of one, that the password contains; or nothing."""
    text = password.casefold()
    return next((w for w in _words(names) if len(w) >= NAME_CHARS_MIN and w.casefold() in text), "")
