"""One-time links: invites, password resets, and the first administrator's.

Place:  joining, pages, cli -> [service.links] -> store
Rule:   hashed, expiring, used once: of two who use one at the same moment, one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.proofs import digest, new_secret, new_short_id
from mergepoint.identity.accounts.store.models import LinkRow
from mergepoint.identity.accounts.store.unit import Store, Work

SECRET_CHARS_MAX = 64
OPEN_MAX = 1000
"""Links of one purpose that wait to be used."""
FORGET_S = 30 * 86400.0
ADDRESS_LIFE_S = 86400.0


class Purpose(StrEnum):
    """What a link is for."""

    FIRST_ADMINISTRATOR = "first_administrator"
    INVITE = "invite"
    RESET = "reset"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link without its secret; `detail` of an invite holds ``email, name, roles, groups``."""

    id: str
    purpose: Purpose
    sub: str | None
    detail: Mapping[str, Any]
    created_by: str
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A link just made; `url` is shown now and never again."""

    info: LinkInfo
    secret: str
    url: str


class Links:
    """The one-time links of the site."""

    def __init__(self, store: Store, settings: AccountsSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def issue(
        self,
        purpose: Purpose,
        by: Caller,
        *,
        sub: str | None = None,
        detail: Mapping[str, Any] | None = None,
        life_s: float | None = None,
    ) -> IssuedLink:
        """Make a link; one for the same person or the first administrator replaces the last."""
        with self._store.write(by) as work:
            self._forget(work, purpose, sub)
            waiting = select(LinkRow.id).where(LinkRow.purpose == str(purpose), *_open(work.now_s))
            if len(work.session.scalars(waiting.limit(OPEN_MAX)).all()) >= OPEN_MAX:
                raise Refused("links", f"{OPEN_MAX} links wait to be used; withdraw some first")
            secret = new_secret()
            row = LinkRow(
                secret_hash=digest(secret),
                id=new_short_id(),
                purpose=str(purpose),
                sub=sub,
                detail=dict(detail or {}),
                created_by=by.user[:64],
                created_at=work.now_s,
                expires_at=work.now_s + (life_s or self._life_s(purpose)),
            )
            work.session.add(row)
            work.session.flush()
            about = {"link": row.id, "purpose": row.purpose, **row.detail}
            work.audit(Event.LINK_ISSUED, sub or "", detail=about)
            return IssuedLink(_info(row), secret, self._settings.link(secret))

    def read(self, secret: str) -> LinkInfo | None:
        """Return what a link is for, None when it is unknown, used, withdrawn or expired."""
        with self._store.read() as session:
            row = self._find(session, secret, self._clock.unix_s())
            return _info(row) if row is not None else None

    def use(self, work: Work, secret: str) -> LinkInfo:
        """Use a link up, in the transaction of what it is used for; raise `Refused`."""
        row = self._find(work.session, secret, work.now_s)
        used = update(LinkRow).where(LinkRow.secret_hash == digest(secret), *_open(work.now_s))
        done = work.session.execute(used.values(used_at=work.now_s))
        if row is None or getattr(done, "rowcount", 0) != 1:
            raise Refused("link", "this link was used before, has expired, or was withdrawn")
        work.audit(Event.LINK_USED, row.sub or "", detail={"link": row.id, "purpose": row.purpose})
        return _info(row)

    def open_links(self, purpose: Purpose) -> list[LinkInfo]:
        """Return the links that wait to be used, the newest first."""
        wanted = select(LinkRow).where(
            LinkRow.purpose == str(purpose), *_open(self._clock.unix_s())
        )
        with self._store.read() as session:
            rows = session.scalars(wanted.order_by(LinkRow.created_at.desc()).limit(OPEN_MAX))
            return [_info(row) for row in rows]

    def withdraw(self, link_id: str, by: Caller) -> None:
        """Make a link worthless; raise `Refused` when there is none waiting of that id."""
        with self._store.write(by) as work:
            row = work.session.scalar(
                select(LinkRow).where(LinkRow.id == link_id, *_open(work.now_s)).with_for_update()
            )
            if row is None:
                raise unknown("link")
            row.used_at = work.now_s
            work.audit(Event.LINK_WITHDRAWN, row.sub or "", detail={"link": link_id})

    def _find(self, session: Session, secret: str, now_s: float) -> LinkRow | None:
        if not 0 < len(secret) <= SECRET_CHARS_MAX:
            return None
        wanted = select(LinkRow).where(LinkRow.secret_hash == digest(secret), *_open(now_s))
        return session.scalar(wanted)

    def _life_s(self, purpose: Purpose) -> float:
        if purpose is Purpose.RESET:
            return self._settings.reset_life_s
        if purpose is Purpose.ADDRESS:
            return ADDRESS_LIFE_S
        return self._settings.invite_life_s

    def _forget(self, work: Work, purpose: Purpose, sub: str | None) -> None:
        old = delete(LinkRow).where(LinkRow.expires_at < work.now_s - FORGET_S)
        work.session.execute(old)
        if sub is not None or purpose is Purpose.FIRST_ADMINISTRATOR:
            earlier = update(LinkRow).where(
                LinkRow.purpose == str(purpose),
                LinkRow.sub == sub if sub is not None else LinkRow.sub.is_(None),
                *_open(work.now_s),
            )
            work.session.execute(earlier.values(used_at=work.now_s))


def _open(now_s: float) -> tuple[Any, Any]:
    return (LinkRow.used_at.is_(None), LinkRow.expires_at > now_s)


def _info(row: LinkRow) -> LinkInfo:
    return LinkInfo(
        id=row.id,
        purpose=Purpose(row.purpose),
        sub=row.sub,
        detail=row.detail,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
