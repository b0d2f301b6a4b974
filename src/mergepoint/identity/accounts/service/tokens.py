"""API tokens: made once, shown once, checked by their hash, narrowed by scopes.

Place:  edge_calls, pages, cli -> [service.tokens] -> store
Rule:   the secret is never stored; a scope can only take away what the owner has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.claims import (
    GROUP_SCOPE,
    ROLE_SCOPE,
    permissions_of,
    token_claims,
)
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.issuing import hold
from mergepoint.identity.accounts.service.person import Person, checked_name, load_person
from mergepoint.identity.accounts.service.proofs import (
    digest,
    matches,
    new_secret,
    new_short_id,
    split_token,
    token_text,
)
from mergepoint.identity.accounts.store.models import TokenRow
from mergepoint.identity.accounts.store.unit import REVOKE_TOKEN, Store
from mergepoint.identity.permissions import PermissionRefused, checked, grants

TOKENS_MAX = 100
SCOPES_MAX = 50
TOKEN_LIFE_S_MAX = 400 * 86400.0
CLAIMS_LIFE_S = 3600.0
"""How long the answer to one check may be used at most; edges keep it far shorter."""
USED_EVERY_S = 60.0
"""How exact the time of last use is: a write for every check would be a write for every request."""
ANY_USER = "__token__"


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """One token as its owner sees it; times in Unix seconds, None for never."""

    id: str
    sub: str
    name: str
    scopes: tuple[str, ...] | None
    created_at: float
    expires_at: float | None
    used_at: float | None
    used_address: str


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; `text` is shown now and never again."""

    info: TokenInfo
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a right token stands for, until `expires_at`."""

    claims: dict[str, Any]
    expires_at: float


class Tokens:
    """The API tokens of the site."""

    def __init__(self, store: Store, settings: AccountsSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def create(
        self,
        sub: str,
        name: str,
        by: Caller,
        *,
        scopes: Iterable[str] | None = None,
        life_s: float | None = None,
    ) -> NewToken:
        """Make a token; `scopes` None: all its owner may do; `life_s` None: until revoked.

        Scopes are ``role:NAME``, ``group:NAME`` or permissions, and must be the owner's.
        """
        if life_s is not None and not 0 < life_s <= TOKEN_LIFE_S_MAX:
            days = int(TOKEN_LIFE_S_MAX // 86400)
            raise Refused("token_life", f"a token lives above 0 and at most {days} days")
        with self._store.write(by) as work:
            row = work.lock_subject(sub)
            if row is None:
                raise unknown("person")
            live = (TokenRow.sub == sub, TokenRow.revoked_at.is_(None))
            count = work.session.scalar(select(func.count()).select_from(TokenRow).where(*live))
            if (count or 0) >= TOKENS_MAX:
                raise Refused("tokens", f"{row.user!r} has {count} tokens; at most {TOKENS_MAX}")
            person = load_person(work.session, row)
            secret = new_secret()
            token_id = new_short_id()
            text = token_text(token_id, secret)
            token = TokenRow(
                id=token_id,
                sub=sub,
                name=checked_name(name),
                secret_hash=digest(text),
                scopes=None if scopes is None else self._scopes(scopes, person),
                created_at=work.now_s,
                expires_at=None if life_s is None else work.now_s + life_s,
            )
            work.session.add(token)
            detail = {"token": token_id, "name": token.name, "scopes": token.scopes}
            work.audit(Event.TOKEN_CREATED, sub, row.user, detail)
            work.session.flush()
            return NewToken(_info(token), text)

    def of(self, sub: str | None = None) -> list[TokenInfo]:
        """Return the tokens not revoked, of one owner or of all, the newest first."""
        wanted = select(TokenRow).where(TokenRow.revoked_at.is_(None))
        if sub is not None:
            wanted = wanted.where(TokenRow.sub == sub)
        with self._store.read() as session:
            rows = session.scalars(wanted.order_by(TokenRow.created_at.desc()).limit(1000))
            return [_info(row) for row in rows]

    def revoke(self, token_id: str, by: Caller, *, sub: str | None = None) -> TokenInfo:
        """End a token; again changes nothing. With `sub`, only a token of that owner."""
        with self._store.write(by) as work:
            row = work.session.get(TokenRow, token_id, with_for_update=True)
            if row is None or (sub is not None and row.sub != sub):
                raise unknown("token")
            if row.revoked_at is None:
                row.revoked_at = work.now_s
                work.revoke(REVOKE_TOKEN, token_id)
                detail = {"token": token_id, "name": row.name}
                work.audit(Event.TOKEN_REVOKED, row.sub, detail=detail)
            return _info(row)

    def check(self, scheme: str, user: str, secret: str, by: Caller) -> Checked | None:
        """Return what a credential stands for, None when it is not right (any more).

        `secret` is the token; under ``basic`` the user name is its owner's or ``__token__``.
        """
        parts = split_token(secret)
        if parts is None or not self._is_known(parts[0], secret):
            return None
        with self._store.write(by) as work:
            sub = work.session.scalar(select(TokenRow.sub).where(TokenRow.id == parts[0]))
            held = hold(work, sub, self._clock) if sub else None
            row = work.session.get(TokenRow, parts[0], with_for_update=True, populate_existing=True)
            if held is None or row is None or row.revoked_at is not None:
                return None
            if row.expires_at is not None and row.expires_at <= held.issued_at:
                return None
            if scheme == "basic" and user not in {held.person.user, ANY_USER}:
                return None
            if row.used_at is None or held.issued_at - row.used_at >= USED_EVERY_S:
                row.used_at, row.used_address = held.issued_at, by.address
            end = held.issued_at + CLAIMS_LIFE_S
            expires_at = end if row.expires_at is None else min(end, row.expires_at)
            claims = token_claims(
                self._settings,
                held.person,
                token=row.id,
                issued_at=held.issued_at,
                expires_at=expires_at,
                scopes=row.scopes,
            )
            return Checked(claims, expires_at)

    def _is_known(self, token_id: str, text: str) -> bool:
        """Tell whether the secret is right, by reading alone: a wrong one must not take a lock."""
        with self._store.read() as session:
            stored = session.scalar(select(TokenRow.secret_hash).where(TokenRow.id == token_id))
        return matches(text, stored or digest("")) and stored is not None

    def _scopes(self, scopes: Iterable[str], person: Person) -> list[str]:
        wanted = sorted(set(scopes))
        if not 0 < len(wanted) <= SCOPES_MAX:
            raise Refused("scopes", f"{len(wanted)} scopes; 1 to {SCOPES_MAX}, or none for all")
        held = permissions_of(self._settings.roles, person.roles)
        for scope in wanted:
            if not _has(person, held, scope):
                raise Refused(
                    "scope",
                    f"{person.user!r} does not have {scope[:80]!r}, so a token cannot; scopes are "
                    "role:NAME, group:NAME or permissions",
                )
        return wanted


def _has(person: Person, held: set[str], scope: str) -> bool:
    if scope.startswith(ROLE_SCOPE):
        return scope.removeprefix(ROLE_SCOPE) in person.roles
    if scope.startswith(GROUP_SCOPE):
        return scope.removeprefix(GROUP_SCOPE) in person.groups
    try:
        return grants(held, checked(scope))
    except PermissionRefused:
        return False


def _info(row: TokenRow) -> TokenInfo:
    return TokenInfo(
        id=row.id,
        sub=row.sub,
        name=row.name,
        scopes=None if row.scopes is None else tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        used_address=row.used_address,
    )
