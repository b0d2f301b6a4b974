"""Second factors: codes of an authenticator (TOTP, RFC 6238) and recovery codes.

Place:  logins, pages -> [service.factors] -> store, rings
Rule:   a code works once, also within its half minute; secrets are sealed, recovery codes hashed.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.proofs import digest
from mergepoint.identity.accounts.service.rings import Rings
from mergepoint.identity.accounts.store.models import (
    PasskeyRow,
    RecoveryRow,
    SubjectRow,
    TotpRow,
)
from mergepoint.identity.accounts.store.unit import Store, Work

PURPOSE = "totp"
STEP_S = 30
SEALED_AT_ONCE_MAX = 200
"""Authenticators sealed anew in one transaction, so that nobody waits long for their row."""
WINDOW = 1
"""Steps before and after now that still count: clocks of telephones differ by half a minute."""
RECOVERY_CODES = 10
RECOVERY_CHARS = 16
"""80 random bits in base32: too many to guess, so a plain hash is enough to store."""


@dataclass(frozen=True, slots=True)
class FactorsInfo:
    """What somebody has beside a password."""

    totp: bool
    passkeys: int
    recovery_left: int

    @property
    def any(self) -> bool:
        """Tell whether a login can ask for a second factor."""
        return self.totp or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class NewTotp:
    """An authenticator to be confirmed; `uri` is what the QR code holds."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """How many authenticators were sealed anew, and how many no key opens any more."""

    anew: int
    lost: int


class Factors:
    """The second factors of the site's people."""

    def __init__(self, store: Store, rings: Rings, settings: AccountsSettings) -> None:
        self._store = store
        self._rings = rings
        self._settings = settings

    def of(self, sub: str) -> FactorsInfo:
        """Return what this person has; an unconfirmed authenticator does not count."""
        with self._store.read() as session:
            totp = session.get(TotpRow, sub)
            count = select(func.count()).select_from(PasskeyRow).where(PasskeyRow.sub == sub)
            passkeys = session.scalar(count) or 0
            left = _left(session, sub)
        confirmed = totp is not None and totp.confirmed_at is not None
        return FactorsInfo(confirmed, passkeys if self._settings.passkeys else 0, left)

    def begin_totp(self, sub: str, by: Caller) -> NewTotp:
        """Make a secret for a new authenticator; beginning again replaces an unconfirmed one."""
        secret = pyotp.random_base32()
        with self._store.write(by) as work:
            subject = _subject(work, sub)
            row = work.session.get(TotpRow, sub)
            if row is not None and row.confirmed_at is not None:
                raise Refused("totp_exists", "there is an authenticator; remove it first")
            if row is None:
                row = TotpRow(sub=sub, last_step=0)
                work.session.add(row)
            row.sealed = self._rings.seal(PURPOSE, sub, secret)
            row.created_at, row.confirmed_at, row.last_step = work.now_s, None, 0
            issuer = self._settings.title or self._settings.site
            uri = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(
                name=subject.user, issuer_name=issuer
            )
        return NewTotp(secret, uri)

    def pending_totp(self, sub: str) -> NewTotp | None:
        """Return the authenticator that waits to be confirmed, for showing it once more."""
        with self._store.read() as session:
            row, subject = session.get(TotpRow, sub), session.get(SubjectRow, sub)
        if row is None or subject is None or row.confirmed_at is not None:
            return None
        secret = self._rings.open(PURPOSE, sub, row.sealed)
        if secret is None:
            return None
        issuer = self._settings.title or self._settings.site
        uri = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(
            name=subject.user, issuer_name=issuer
        )
        return NewTotp(secret, uri)

    def confirm_totp(self, sub: str, code: str, by: Caller) -> bool:
        """Switch an authenticator on with a first right code; False when the code is wrong."""
        with self._store.write(by) as work:
            subject = _subject(work, sub)
            row = work.session.get(TotpRow, sub, with_for_update=True)
            if row is None or row.confirmed_at is not None or not self._fits(work, row, code):
                return False
            row.confirmed_at = work.now_s
            work.audit(Event.TOTP_ADDED, sub, subject.user)
            return True

    def remove_totp(self, sub: str, by: Caller) -> None:
        """Switch the authenticator off; its recovery codes go with it. Again changes nothing."""
        with self._store.write(by) as work:
            subject = _subject(work, sub)
            row = work.session.get(TotpRow, sub, with_for_update=True)
            if row is None:
                return
            work.session.delete(row)
            work.session.execute(delete(RecoveryRow).where(RecoveryRow.sub == sub))
            work.audit(Event.TOTP_REMOVED, sub, subject.user)

    def check_totp(self, sub: str, code: str, by: Caller) -> bool:
        """Tell whether a code is right now; the same code is right only once."""
        with self._store.write(by) as work:
            row = work.session.get(TotpRow, sub, with_for_update=True)
            return row is not None and row.confirmed_at is not None and self._fits(work, row, code)

    def seal_anew(self, by: Caller) -> Sealed:
        """Seal every authenticator with the newest key, so that older keys may end.

        A second time changes nothing. Those that no key of the ring opens are counted, not touched.
        """
        kid, anew, lost, after = self._rings.accounts().keys[0].kid, 0, 0, ""
        while True:
            with self._store.write(by) as work:
                old = select(TotpRow).where(TotpRow.sub > after)
                old = old.where(~TotpRow.sealed.startswith(f"{kid}.", autoescape=True))
                old = old.order_by(TotpRow.sub).limit(SEALED_AT_ONCE_MAX).with_for_update()
                rows = list(work.session.scalars(old))
                for row in rows:
                    secret = self._rings.open(PURPOSE, row.sub, row.sealed)
                    if secret is None:
                        lost += 1
                    else:
                        row.sealed = self._rings.seal(PURPOSE, row.sub, secret)
                        anew += 1
            if not rows:
                return Sealed(anew, lost)
            after = rows[-1].sub

    def make_recovery(self, sub: str, by: Caller) -> tuple[str, ...]:
        """Return fresh recovery codes, shown now and never again; older ones stop working."""
        codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
        with self._store.write(by) as work:
            subject = _subject(work, sub)
            work.session.execute(delete(RecoveryRow).where(RecoveryRow.sub == sub))
            work.session.add_all(
                RecoveryRow(sub=sub, code_hash=_code_digest(sub, code), created_at=work.now_s)
                for code in codes
            )
            work.audit(Event.RECOVERY_MADE, sub, subject.user)
        return codes

    def use_recovery(self, sub: str, code: str, by: Caller) -> bool:
        """Use a recovery code up; False when it is wrong or was used."""
        one = (
            RecoveryRow.sub == sub,
            RecoveryRow.code_hash == _code_digest(sub, code),
            RecoveryRow.used_at.is_(None),
        )
        with self._store.write(by) as work:
            done = work.session.execute(update(RecoveryRow).where(*one).values(used_at=work.now_s))
            right = getattr(done, "rowcount", 0) == 1
            if right:
                subject = _subject(work, sub)
                left = _left(work.session, sub)
                work.audit(Event.RECOVERY_USED, sub, subject.user, {"left": left})
            return right

    def _fits(self, work: Work, row: TotpRow, code: str) -> bool:
        """Tell whether the code is of a step not used before, and remember that step."""
        secret = self._rings.open(PURPOSE, row.sub, row.sealed)
        digits = re.sub(r"\s", "", code)
        if secret is None or not re.fullmatch(r"\d{6}", digits, re.ASCII):
            return False
        made, now = pyotp.TOTP(secret, interval=STEP_S), int(work.now_s // STEP_S)
        for step in range(now - WINDOW, now + WINDOW + 1):
            right = hmac.compare_digest(made.generate_otp(step), digits)
            if right and step > row.last_step:
                row.last_step = step
                # Sealed anew with the key of today, so that old keys of the ring fall out of use.
                row.sealed = self._rings.seal(PURPOSE, row.sub, secret)
                return True
        return False


def _subject(work: Work, sub: str) -> SubjectRow:
    row = work.session.get(SubjectRow, sub)
    if row is None:
        raise unknown("person")
    return row


def _left(session: Session, sub: str) -> int:
    unused = (RecoveryRow.sub == sub, RecoveryRow.used_at.is_(None))
    return session.scalar(select(func.count()).select_from(RecoveryRow).where(*unused)) or 0


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_CHARS * 5 // 8)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, RECOVERY_CHARS, 4))


def _code_digest(sub: str, code: str) -> str:
    return digest(f"{sub}:{re.sub(r'[^a-z2-7]', '', code.lower())}")
