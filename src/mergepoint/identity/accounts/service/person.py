"""A person or service as everybody but the store sees it, and what names it may bear.

Place:  [service.person] -> service, pages, cli
Rule:   frozen; the rules are pure and say what is wrong with the value they name.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.store.models import GrantRow, SubjectRow

PERSON, SERVICE = "person", "service"
ROLE, GROUP = "role", "group"
LOCAL = "local"
USER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_MAX = 128
EMAIL_MAX = 254
GRANT_MAX = 128
NAME_BYTES_MAX = 256
GRANTS_BYTES_MAX = 1600
"""All roles and groups of one subject: what still fits a session token of 3,800 bytes."""


@dataclass(frozen=True, slots=True)
class Person:
    """One subject; times in Unix seconds. Roles and groups are sorted."""

    sub: str
    kind: str
    user: str
    name: str
    email: str
    lang: str
    disabled: bool
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    created_at: float
    seen_at: float | None
    password_at: float | None
    """When the password was set; None: there is none."""

    @property
    def title(self) -> str:
        """Return what people call them: the name, or the user name."""
        return self.name or self.user


def load_people(session: Session, rows: Iterable[SubjectRow]) -> list[Person]:
    """Return these rows with their grants, in the same order, by one more query."""
    found = list(rows)
    grants: dict[tuple[str, str], set[str]] = {}
    wanted = select(GrantRow).where(GrantRow.sub.in_([row.sub for row in found]))
    for grant in session.scalars(wanted):
        grants.setdefault((grant.sub, grant.kind), set()).add(grant.name)
    return [_person(row, grants) for row in found]


def load_person(session: Session, row: SubjectRow) -> Person:
    """Return one row with its grants."""
    return load_people(session, [row])[0]


def _person(row: SubjectRow, grants: Mapping[tuple[str, str], set[str]]) -> Person:
    return Person(
        sub=row.sub,
        kind=row.kind,
        user=row.user,
        name=row.name,
        email=row.email,
        lang=row.lang,
        disabled=row.disabled,
        roles=tuple(sorted(grants.get((row.sub, ROLE), ()))),
        groups=tuple(sorted(grants.get((row.sub, GROUP), ()))),
        created_at=row.created_at,
        seen_at=row.seen_at,
        password_at=row.password_at if row.password_hash else None,
    )


def checked_user(user: str) -> str:
    """Return a user name that may be used; raise `Refused`."""
    if not USER.fullmatch(user):
        raise Refused(
            "user_name",
            f"{user[:80]!r} cannot be a user name: 1 to 64 of a-z, 0-9, '.', '_', '-', beginning "
            "with a letter or digit",
        )
    return user


def checked_name(name: str) -> str:
    """Return a name for people, without surrounding spaces; raise `Refused`."""
    name = unicodedata.normalize("NFC", name).strip()
    size = len(name.encode())
    if len(name) > NAME_MAX or size > NAME_BYTES_MAX or not name.isprintable():
        raise Refused(
            "name",
            f"a name of {len(name)} characters ({size} bytes); at most {NAME_MAX} printable "
            f"characters in {NAME_BYTES_MAX} bytes",
        )
    return name


def checked_email(email: str) -> str:
    """Return an e-mail address, or nothing for none; raise `Refused`."""
    email = email.strip()
    if email and (len(email.encode()) > EMAIL_MAX or not re.fullmatch(r"[^\s@,]+@[^\s@,]+", email)):
        raise Refused("email", f"{email[:80]!r} is not an e-mail address")
    if not email.isprintable():
        raise Refused("email", "an e-mail address has no control characters")
    return email


def checked_lang(lang: str) -> str:
    """Return a language tag such as ``de`` or ``pt-BR``, or nothing; raise `Refused`."""
    if lang and not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,1}", lang):
        raise Refused("lang", f"{lang[:20]!r} is not a language: de, en, pt-BR")
    return lang


def checked_roles(roles: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return roles sorted, each once; raise `Refused` for one the site does not have."""
    wanted = sorted(set(roles))
    names = sorted(known)
    for name in wanted:
        if name not in names:
            raise Refused("role", f"there is no role {name[:80]!r}; roles: {', '.join(names)}")
    return tuple(wanted)


def checked_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """Return groups sorted, each once; raise `Refused` for a name that no header can carry."""
    wanted = sorted({g.strip() for g in groups} - {""})
    for name in wanted:
        if len(name) > GRANT_MAX or "," in name or not name.isprintable():
            raise Refused(
                "group",
                f"{name[:80]!r} cannot be a group: at most {GRANT_MAX} characters, no comma",
            )
    return tuple(wanted)


def checked_size(roles: Iterable[str], groups: Iterable[str]) -> None:
    """Raise `Refused` when roles and groups together do not fit a session token."""
    size = len(json.dumps([*roles, *groups]))
    if size > GRANTS_BYTES_MAX:
        raise Refused(
            "grants_size",
            f"roles and groups take {size} bytes of the session token; at most {GRANTS_BYTES_MAX}",
        )
