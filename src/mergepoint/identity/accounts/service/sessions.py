"""Sessions: begin, refresh, rotate, end, list.

Place:  logins, edge_calls, pages -> [service.sessions] -> store, rings
Rule:   random id and row; the signed token is a copy that lives `token_life_s`. A login and a
        second factor always make a new id and secret, so a planted one is never promoted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.claims import SESSION_TYP, session_claims
from mergepoint.identity.accounts.service.cookies import ended_cookies, session_cookies
from mergepoint.identity.accounts.service.errors import unknown
from mergepoint.identity.accounts.service.issuing import Held, hold
from mergepoint.identity.accounts.service.people import end_sessions
from mergepoint.identity.accounts.service.person import Person, load_person
from mergepoint.identity.accounts.service.proofs import (
    digest,
    matches,
    new_id,
    new_secret,
    split_refresh,
)
from mergepoint.identity.accounts.service.rings import Rings
from mergepoint.identity.accounts.store.models import SessionRow, SubjectRow
from mergepoint.identity.accounts.store.unit import (
    REVOKE_SESSION,
    REVOKE_SITE,
    REVOKE_SUBJECT,
    Store,
    Work,
)

SESSIONS_MAX = 50
"""Open sessions of one person; a new one beyond ends the one unused for longest."""
REMEMBER_ENDED_S = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session as its owner sees it; times in Unix seconds."""

    sid: str
    sub: str
    amr: tuple[str, ...]
    auth_at: float
    created_at: float
    seen_at: float
    expires_at: float
    address: str
    agent: str
    keep: bool
    """Whether the browser keeps it when it is closed."""


@dataclass(frozen=True, slots=True)
class Started:
    """A new or refreshed session: what the browser is to be told."""

    session: SessionInfo
    person: Person
    token: str
    set_cookie: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Current:
    """Who a refresh cookie belongs to, as the database says now."""

    session: SessionInfo
    person: Person


class Sessions:
    """The sessions of the site."""

    def __init__(
        self, store: Store, rings: Rings, settings: AccountsSettings, clock: Clock
    ) -> None:
        self._store = store
        self._rings = rings
        self._settings = settings
        self._clock = clock

    def start(
        self, sub: str, amr: Iterable[str], by: Caller, *, keep: bool = True, replaces: str = ""
    ) -> Started | None:
        """Begin a session; None when the subject is gone or disabled.

        `replaces` is the refresh cookie the browser came with, whose session ends.
        """
        with self._store.write(by) as work:
            held = hold(work, sub, self._clock, change=True)
            if held is None:
                return None
            self._end_replaced(work, replaces)
            self._make_room(work, sub)
            held.row.seen_at = work.now_s
            expires_at = held.issued_at + self._settings.session_life_s
            row, secret = self._row(held, list(amr), expires_at, keep, by)
            work.session.add(row)
            by.sub, by.user = sub, held.person.user
            work.audit(Event.LOGIN, sub, held.person.user, {"amr": list(amr), "sid": row.sid})
            return self._told(held, row, secret, by)

    def refresh(self, cookie: str, by: Caller) -> Started | None:
        """Return a new token for a session that still stands, None for any other."""
        parts = split_refresh(cookie)
        if parts is None:
            return None
        sid, secret = parts
        with self._store.write(by) as work:
            sub = work.session.scalar(select(SessionRow.sub).where(SessionRow.sid == sid))
            held = hold(work, sub, self._clock) if sub else None
            row = _held_session(work, sid)
            if held is None or row is None or not self._stands(row, secret, held.issued_at):
                return None
            row.seen_at = held.issued_at
            row.address, row.agent = by.address, by.agent
            return self._told(held, row, None, by)

    def rotate(self, sid: str, amr: Iterable[str], by: Caller) -> Started | None:
        """Replace a session after a further proof: new id and secret, `amr` added, same end."""
        with self._store.write(by) as work:
            sub = work.session.scalar(select(SessionRow.sub).where(SessionRow.sid == sid))
            held = hold(work, sub, self._clock) if sub else None
            old = _held_session(work, sid)
            if held is None or old is None or old.ended_at is not None:
                return None
            methods = list(dict.fromkeys([*old.amr, *amr]))
            row, secret = self._row(held, methods, old.expires_at, old.keep, by)
            row.created_at = old.created_at
            old.ended_at = work.now_s
            work.session.add(row)
            work.revoke(REVOKE_SESSION, sid)
            work.audit(Event.LOGIN, held.person.sub, held.person.user, {"amr": methods})
            return self._told(held, row, secret, by)

    def current(self, cookie: str) -> Current | None:
        """Return whose refresh cookie this is, without changing anything; None for nobody's."""
        parts = split_refresh(cookie)
        if parts is None:
            return None
        with self._store.read() as session:
            row = session.get(SessionRow, parts[0])
            if row is None or not self._stands(row, parts[1], self._clock.unix_s()):
                return None
            subject = session.get_one(SubjectRow, row.sub)
            return None if subject.disabled else Current(_info(row), load_person(session, subject))

    def of(self, sub: str) -> list[SessionInfo]:
        """Return a person's open sessions, the one used last first."""
        now_s = self._clock.unix_s()
        wanted = select(SessionRow).where(
            SessionRow.sub == sub,
            SessionRow.ended_at.is_(None),
            SessionRow.expires_at > now_s,
            SessionRow.seen_at > now_s - self._settings.session_idle_s,
        )
        with self._store.read() as session:
            rows = session.scalars(wanted.order_by(SessionRow.seen_at.desc()).limit(SESSIONS_MAX))
            return [_info(row) for row in rows]

    def end(self, sid: str, by: Caller, *, sub: str | None = None) -> None:
        """End one session; ending it again changes nothing. With `sub`, only one of that person."""
        with self._store.write(by) as work:
            row = _held_session(work, sid)
            if row is None or (sub is not None and row.sub != sub):
                raise unknown("session")
            if row.ended_at is None:
                row.ended_at = work.now_s
                work.revoke(REVOKE_SESSION, sid)
                work.audit(Event.SESSION_ENDED, row.sub, detail={"sid": sid})

    def end_all(self, sub: str, by: Caller, *, keep: str | None = None) -> int:
        """End every session of a person but the one with id `keep`; return how many."""
        with self._store.write(by) as work:
            row = work.lock_subject(sub)
            if row is None:
                raise unknown("person")
            count = end_sessions(work, sub, keep=keep)
            work.revoke(REVOKE_SUBJECT, sub)
            work.audit(Event.SESSIONS_ENDED, sub, row.user, {"count": count})
            return count

    def end_everybody(self, by: Caller) -> int:
        """End every session of the site; return how many."""
        with self._store.write(by) as work:
            ended = work.session.execute(
                update(SessionRow).where(SessionRow.ended_at.is_(None)).values(ended_at=work.now_s)
            )
            count = int(getattr(ended, "rowcount", 0))
            work.revoke(REVOKE_SITE)
            work.audit(Event.EVERYBODY_OUT, detail={"count": count})
            return count

    def ended_cookies(self, by: Caller) -> list[str]:
        """Return the `Set-Cookie` values of somebody who is nobody now."""
        return ended_cookies(secure=by.secure)

    def _stands(self, row: SessionRow, secret: str, now_s: float) -> bool:
        idle_until = row.seen_at + self._settings.session_idle_s
        open_ = row.ended_at is None and now_s < min(row.expires_at, idle_until)
        return matches(secret, row.secret_hash) and open_

    def _row(
        self, held: Held, amr: list[str], expires_at: float, keep: bool, by: Caller
    ) -> tuple[SessionRow, str]:
        secret = new_secret()
        row = SessionRow(
            sid=new_id(),
            sub=held.person.sub,
            secret_hash=digest(secret),
            amr=amr,
            auth_at=held.issued_at,
            created_at=held.issued_at,
            seen_at=held.issued_at,
            expires_at=expires_at,
            keep=keep,
            address=by.address,
            agent=by.agent,
        )
        return row, secret

    def _told(self, held: Held, row: SessionRow, secret: str | None, by: Caller) -> Started:
        claims = session_claims(
            self._settings,
            held.person,
            sid=row.sid,
            issued_at=held.issued_at,
            ends_at=row.expires_at,
            auth_at=row.auth_at,
            amr=row.amr,
        )
        token = self._rings.sign(claims, SESSION_TYP)
        left_s = max(0.0, row.expires_at - held.issued_at) if row.keep else None
        refresh = f"{row.sid}.{secret}" if secret else None
        cookies = session_cookies(token, refresh, secure=by.secure, max_age_s=left_s)
        return Started(_info(row), held.person, token, tuple(cookies))

    def _end_replaced(self, work: Work, cookie: str) -> None:
        parts = split_refresh(cookie)
        old = _held_session(work, parts[0]) if parts else None
        if parts and old and old.ended_at is None and matches(parts[1], old.secret_hash):
            old.ended_at = work.now_s
            work.revoke(REVOKE_SESSION, old.sid)

    def _make_room(self, work: Work, sub: str) -> None:
        """End the sessions beyond the bound, forget those that ended long ago."""
        forget = work.now_s - REMEMBER_ENDED_S
        work.session.execute(
            delete(SessionRow).where(SessionRow.sub == sub, SessionRow.expires_at < forget)
        )
        open_ = (
            select(SessionRow)
            .where(SessionRow.sub == sub, SessionRow.ended_at.is_(None))
            .order_by(SessionRow.seen_at.desc())
            .offset(SESSIONS_MAX - 1)
        )
        for row in work.session.scalars(open_):
            row.ended_at = work.now_s
            work.revoke(REVOKE_SESSION, row.sid)
            work.audit(Event.SESSION_ENDED, sub, detail={"sid": row.sid, "why": "too many"})


def _held_session(work: Work, sid: str) -> SessionRow | None:
    wanted = select(SessionRow).where(SessionRow.sid == sid).with_for_update()
    return work.session.scalar(wanted.execution_options(populate_existing=True))


def _info(row: SessionRow) -> SessionInfo:
    return SessionInfo(
        sid=row.sid,
        sub=row.sub,
        amr=tuple(row.amr),
        auth_at=row.auth_at,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        address=row.address,
        agent=row.agent,
        keep=row.keep,
    )
