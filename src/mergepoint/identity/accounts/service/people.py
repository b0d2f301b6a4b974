"""People and services: add, find, change, disable, delete.

Place:  pages, cli, logins -> [service.people] -> store
Rule:   whatever changes what a proof says revokes the old proofs in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Select, delete, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.person import (
    GROUP,
    LOCAL,
    PERSON,
    ROLE,
    SERVICE,
    Person,
    checked_email,
    checked_groups,
    checked_lang,
    checked_name,
    checked_roles,
    checked_size,
    checked_user,
    load_people,
    load_person,
)
from mergepoint.identity.accounts.service.proofs import new_id
from mergepoint.identity.accounts.store.models import GrantRow, SessionRow, SubjectRow
from mergepoint.identity.accounts.store.unit import REVOKE_SUBJECT, Store, Work

LIST_MAX = 500


class People:
    """The people and services of the site."""

    def __init__(self, store: Store, settings: AccountsSettings) -> None:
        self._store = store
        self._settings = settings

    def get(self, sub: str) -> Person | None:
        """Return the subject of that id, None when there is none."""
        return self._one(select(SubjectRow).where(SubjectRow.sub == sub))

    def find(self, user: str) -> Person | None:
        """Return who logs in with that name, None when nobody does."""
        return self._one(select(SubjectRow).where(SubjectRow.user == user))

    def find_login(self, login: str) -> Person | None:
        """Return whom a login name means: a user name, or an address only one person has."""
        with self._store.read() as session:
            row = row_of(session, login)
            return load_person(session, row) if row is not None else None

    def search(
        self, text: str = "", *, after: str = "", limit: int = 100, kind: str = ""
    ) -> list[Person]:
        """Return subjects by user name, those after `after`; `text` is a part of any name."""
        wanted = select(SubjectRow).where(SubjectRow.user > after).order_by(SubjectRow.user)
        if kind:
            wanted = wanted.where(SubjectRow.kind == kind)
        if text and text.isprintable():
            columns = (SubjectRow.user, SubjectRow.name, SubjectRow.email)
            wanted = wanted.where(
                or_(*(func.lower(c).contains(text.lower(), autoescape=True) for c in columns))
            )
        with self._store.read() as session:
            rows = session.scalars(wanted.limit(max(1, min(limit, LIST_MAX))))
            return load_people(session, rows)

    def has_administrator(self) -> bool:
        """Tell whether anybody who can log in may do everything."""
        with self._store.read() as session:
            return self._others_administer(session, "")

    def add(
        self,
        user: str,
        by: Caller,
        *,
        name: str = "",
        email: str = "",
        lang: str = "",
        kind: str = PERSON,
        roles: Iterable[str] = (),
        groups: Iterable[str] = (),
        password_hash: str | None = None,
    ) -> Person:
        """Make a person or service; raise `Refused` when a value is wrong or the name is taken."""
        with self._store.write(by) as work:
            row = SubjectRow(
                kind=kind, user=user, name=name, email=email, lang=lang, password_hash=password_hash
            )
            return self.add_in(work, row, roles, groups)

    def add_in(
        self, work: Work, row: SubjectRow, roles: Iterable[str], groups: Iterable[str]
    ) -> Person:
        """Make a subject inside a unit of work; see `add`."""
        row.user = checked_user(row.user)
        row.name, row.email = checked_name(row.name or ""), checked_email(row.email or "")
        row.lang = checked_lang(row.lang or "")
        if row.kind not in {PERSON, SERVICE}:
            raise Refused("kind", f"{row.kind!r} is not a kind: person or service")
        wanted = checked_roles(roles, self._settings.roles)
        names = checked_groups(groups)
        checked_size(wanted, names)
        row.sub, row.created_at = new_id(), work.now_s
        row.disabled, row.valid_from = False, 0.0
        row.password_at = work.now_s if row.password_hash else None
        work.session.add(row)
        try:
            work.session.flush()
        except IntegrityError:
            raise Refused("user_taken", f"the user name {row.user!r} is taken") from None
        for kind, values in ((ROLE, wanted), (GROUP, names)):
            work.session.add_all(
                GrantRow(sub=row.sub, kind=kind, name=value, source=LOCAL) for value in values
            )
        detail = {"kind": row.kind, "roles": list(wanted), "groups": list(names)}
        work.audit(Event.PERSON_ADDED, row.sub, row.user, detail)
        work.session.flush()
        return load_person(work.session, row)

    def edit(
        self,
        sub: str,
        by: Caller,
        *,
        name: str | None = None,
        email: str | None = None,
        lang: str | None = None,
    ) -> Person:
        """Change what is not None; proofs are renewed with the new values."""
        wanted = {
            "name": None if name is None else checked_name(name),
            "email": None if email is None else checked_email(email),
            "lang": None if lang is None else checked_lang(lang),
        }
        with self._store.write(by) as work:
            row = _held(work, sub)
            changed = {k: v for k, v in wanted.items() if v is not None and getattr(row, k) != v}
            for key, value in changed.items():
                setattr(row, key, value)
            if changed:
                work.revoke(REVOKE_SUBJECT, sub)
                work.audit(Event.PERSON_CHANGED, sub, row.user, {"changed": sorted(changed)})
            return load_person(work.session, row)

    def rename(self, sub: str, user: str, by: Caller) -> Person:
        """Give another name to log in with; `sub` stays. Raise `Refused` when it is taken."""
        with self._store.write(by) as work:
            row = _held(work, sub)
            old, row.user = row.user, checked_user(user)
            try:
                work.session.flush()
            except IntegrityError:
                raise Refused("user_taken", f"the user name {user!r} is taken") from None
            work.revoke(REVOKE_SUBJECT, sub)
            work.audit(Event.PERSON_RENAMED, sub, user, {"from": old})
            return load_person(work.session, row)

    def set_roles(
        self, sub: str, roles: Iterable[str], by: Caller, *, source: str = LOCAL
    ) -> Person:
        """Replace the roles that came from `source`; the same roles again change nothing."""
        wanted = checked_roles(roles, self._settings.roles)
        return self._grant(sub, ROLE, wanted, source, by)

    def set_groups(
        self, sub: str, groups: Iterable[str], by: Caller, *, source: str = LOCAL
    ) -> Person:
        """Replace the groups that came from `source`; the same groups again change nothing."""
        return self._grant(sub, GROUP, checked_groups(groups), source, by)

    def set_rights(
        self, sub: str, by: Caller, *, roles: Iterable[str], groups: Iterable[str] | None = None
    ) -> Person:
        """Replace roles, and groups unless None: both, or neither when either is refused."""
        wanted = checked_roles(roles, self._settings.roles)
        names = None if groups is None else checked_groups(groups)
        with self._store.write(by) as work:
            row = _held(work, sub)
            person = self.grant_in(work, row, ROLE, wanted, LOCAL)
            if names is not None:
                person = self.grant_in(work, row, GROUP, names, LOCAL)
            return person

    def disable(self, sub: str, by: Caller) -> Person:
        """Keep somebody out: sessions end, tokens are refused. Again changes nothing."""
        with self._store.write(by) as work:
            row = _held(work, sub)
            if not row.disabled:
                self._keep_an_administrator(work.session, row)
                row.disabled = True
                end_sessions(work, sub)
                work.revoke(REVOKE_SUBJECT, sub)
                work.audit(Event.PERSON_DISABLED, sub, row.user)
            return load_person(work.session, row)

    def enable(self, sub: str, by: Caller) -> Person:
        """Let somebody in again; old sessions stay ended. Again changes nothing."""
        with self._store.write(by) as work:
            row = _held(work, sub)
            if row.disabled:
                row.disabled = False
                work.audit(Event.PERSON_ENABLED, sub, row.user)
            return load_person(work.session, row)

    def delete(self, sub: str, by: Caller) -> None:
        """Remove somebody with everything they have; the audit log keeps what it wrote.

        Sessions, tokens and live connections end as far as the feed reaches. A name that is free
        again gives whoever takes it another `sub`.
        """
        with self._store.write(by) as work:
            row = _held(work, sub)
            self._keep_an_administrator(work.session, row)
            work.audit(Event.PERSON_DELETED, sub, row.user)
            work.session.delete(row)
            work.session.flush()
            work.revoke(REVOKE_SUBJECT, sub)

    def _grant(
        self, sub: str, kind: str, names: tuple[str, ...], source: str, by: Caller
    ) -> Person:
        with self._store.write(by) as work:
            return self.grant_in(work, _held(work, sub), kind, names, source)

    def grant_in(
        self, work: Work, row: SubjectRow, kind: str, names: tuple[str, ...], source: str
    ) -> Person:
        """Replace the grants of one source inside a unit of work that holds the row."""
        before = load_person(work.session, row)
        of_source = (GrantRow.sub == row.sub, GrantRow.kind == kind, GrantRow.source == source)
        work.session.execute(delete(GrantRow).where(*of_source))
        work.session.add_all(
            GrantRow(sub=row.sub, kind=kind, name=name, source=source) for name in names
        )
        work.session.flush()
        after = load_person(work.session, row)
        if (before.roles, before.groups) == (after.roles, after.groups):
            return after
        checked_size(after.roles, after.groups)
        lost = set(before.roles) - set(after.roles)
        if lost & set(self._settings.administrator_roles):
            self._keep_an_administrator(work.session, row, after)
        old, new = (before.roles, after.roles) if kind == ROLE else (before.groups, after.groups)
        event = Event.ROLES_CHANGED if kind == ROLE else Event.GROUPS_CHANGED
        work.audit(event, row.sub, row.user, {"from": list(old), "to": list(new), "by": source})
        work.revoke(REVOKE_SUBJECT, row.sub)
        return after

    def _keep_an_administrator(
        self, session: Session, row: SubjectRow, after: Person | None = None
    ) -> None:
        """Refuse to take the site its last administrator."""
        admin = set(self._settings.administrator_roles)
        if after is not None and admin & set(after.roles):
            return
        if after is None and not admin & set(load_person(session, row).roles):
            return
        if not row.disabled and not self._others_administer(session, row.sub):
            raise Refused(
                "last_administrator",
                f"{row.user!r} is the last who may administer the site; make another one first",
            )

    def _others_administer(self, session: Session, sub: str) -> bool:
        granted = exists().where(
            GrantRow.sub == SubjectRow.sub,
            GrantRow.kind == ROLE,
            GrantRow.name.in_(self._settings.administrator_roles),
        )
        able = (~SubjectRow.disabled, SubjectRow.kind == PERSON, SubjectRow.sub != sub, granted)
        return session.scalar(select(SubjectRow.sub).where(*able).limit(1)) is not None

    def _one(self, wanted: Select[SubjectRow]) -> Person | None:
        with self._store.read() as session:
            row = session.scalar(wanted)
            return load_person(session, row) if row is not None else None


def row_of(session: Session, login: str) -> SubjectRow | None:
    """Return whom a login name means: a user name, or an e-mail address only one person has."""
    if not login.isprintable():
        return None  # no name has such characters, and PostgreSQL takes no zero byte
    if "@" not in login:
        return session.scalar(select(SubjectRow).where(SubjectRow.user == login))
    same = func.lower(SubjectRow.email) == login.strip().lower()
    found = session.scalars(select(SubjectRow).where(same).limit(2)).all()
    return found[0] if len(found) == 1 else None


def _held(work: Work, sub: str) -> SubjectRow:
    row = work.lock_subject(sub)
    if row is None:
        raise unknown("person")
    return row


def end_sessions(work: Work, sub: str, *, keep: str | None = None) -> int:
    """End a subject's open sessions but `keep`; return how many. The revocation is the caller's."""
    ended = work.session.execute(
        update(SessionRow)
        .where(SessionRow.sub == sub, SessionRow.ended_at.is_(None), SessionRow.sid != (keep or ""))
        .values(ended_at=work.now_s)
    )
    return int(getattr(ended, "rowcount", 0))
