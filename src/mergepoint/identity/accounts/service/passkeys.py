"""Passkeys as records: which credential is whose. The ceremony with the browser is the pages'.

Place:  pages, logins -> [service.passkeys] -> store
Rule:   a credential belongs to one person; a count that goes backwards is written down as a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.person import checked_name
from mergepoint.identity.accounts.store.models import PasskeyRow
from mergepoint.identity.accounts.store.unit import Store

PASSKEYS_MAX = 20
CREDENTIAL_CHARS_MAX = 1400


@dataclass(frozen=True, slots=True)
class Passkey:
    """One credential; `credential_id` is base64url without padding."""

    credential_id: str
    sub: str
    name: str
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool
    created_at: float
    used_at: float | None


class Passkeys:
    """The passkeys of the site's people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, sub: str) -> list[Passkey]:
        """Return a person's passkeys, the oldest first."""
        wanted = select(PasskeyRow).where(PasskeyRow.sub == sub).order_by(PasskeyRow.created_at)
        with self._store.read() as session:
            return [_passkey(row) for row in session.scalars(wanted)]

    def find(self, credential_id: str) -> Passkey | None:
        """Return the passkey of that id, None when nobody has it."""
        with self._store.read() as session:
            row = session.get(PasskeyRow, credential_id)
            return _passkey(row) if row is not None else None

    def add(
        self,
        sub: str,
        credential_id: str,
        public_key: bytes,
        by: Caller,
        *,
        name: str = "",
        sign_count: int = 0,
        transports: Iterable[str] = (),
        backed_up: bool = False,
    ) -> Passkey:
        """Keep a credential whose ceremony succeeded; raise `Refused` when somebody has it."""
        if not 0 < len(credential_id) <= CREDENTIAL_CHARS_MAX:
            raise Refused("passkey", f"a credential id of {len(credential_id)} characters")
        with self._store.write(by) as work:
            subject = work.lock_subject(sub)
            if subject is None:
                raise unknown("person")
            owned = select(func.count()).select_from(PasskeyRow).where(PasskeyRow.sub == sub)
            if (work.session.scalar(owned) or 0) >= PASSKEYS_MAX:
                raise Refused("passkeys", f"at most {PASSKEYS_MAX} passkeys")
            row = PasskeyRow(
                credential_id=credential_id,
                sub=sub,
                name=checked_name(name),
                public_key=public_key,
                sign_count=sign_count,
                transports=sorted(set(transports)),
                backed_up=backed_up,
                created_at=work.now_s,
            )
            work.session.add(row)
            try:
                work.session.flush()
            except IntegrityError:
                raise Refused("passkey_taken", "this passkey is known already") from None
            work.audit(Event.PASSKEY_ADDED, sub, subject.user, {"name": row.name})
            return _passkey(row)

    def used(self, credential_id: str, sign_count: int, by: Caller) -> bool:
        """Note a successful use; False when the count shows a copied credential: refuse it then."""
        with self._store.write(by) as work:
            row = work.session.get(PasskeyRow, credential_id, with_for_update=True)
            if row is None:
                return False
            counts = sign_count > 0 or row.sign_count > 0
            if counts and sign_count <= row.sign_count:
                work.audit(Event.PASSKEY_CLONED, row.sub, detail={"name": row.name})
                return False
            row.sign_count, row.used_at = sign_count, work.now_s
            return True

    def rename(self, credential_id: str, name: str, by: Caller, *, sub: str) -> None:
        """Give a passkey of this person another name."""
        with self._store.write(by) as work:
            row = work.session.get(PasskeyRow, credential_id, with_for_update=True)
            if row is None or row.sub != sub:
                raise unknown("passkey")
            row.name = checked_name(name)

    def remove(self, credential_id: str, by: Caller, *, sub: str) -> None:
        """Forget a passkey of this person."""
        with self._store.write(by) as work:
            row = work.session.get(PasskeyRow, credential_id, with_for_update=True)
            if row is None or row.sub != sub:
                raise unknown("passkey")
            work.session.delete(row)
            work.audit(Event.PASSKEY_REMOVED, sub, detail={"name": row.name})


def _passkey(row: PasskeyRow) -> Passkey:
    return Passkey(
        credential_id=row.credential_id,
        sub=row.sub,
        name=row.name,
        public_key=row.public_key,
        sign_count=row.sign_count,
        transports=tuple(row.transports),
        backed_up=row.backed_up,
        created_at=row.created_at,
        used_at=row.used_at,
    )
