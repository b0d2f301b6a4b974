"""Logging in, from the first password to the session: limits, factors, refusals, the audit log.

Place:  pages -> [service.logins] -> passwords, factors, throttle, devices, attempts, sessions
Rule:   the only way to a session; every refusal looks the same until the password was right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, SecondFactor
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.attempts import Attempt, Attempts
from mergepoint.identity.accounts.service.cookies import device_cookie
from mergepoint.identity.accounts.service.devices import Devices
from mergepoint.identity.accounts.service.errors import Busy
from mergepoint.identity.accounts.service.factors import Factors
from mergepoint.identity.accounts.service.passwords import Passwords
from mergepoint.identity.accounts.service.people import row_of
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.sessions import Sessions, Started
from mergepoint.identity.accounts.service.throttle import (
    ACCOUNT,
    ADDRESS,
    DEVICE,
    FACTOR,
    Bucket,
    Taken,
    Throttle,
    network_of,
)
from mergepoint.identity.accounts.store.models import SubjectRow
from mergepoint.identity.accounts.store.unit import Store

SECOND, ENROL = "login.second", "login.enrol"
"""Purposes of attempts: a second factor is asked for; one has to be set up first."""


class Status(StrEnum):
    """Where a login stands."""

    IN = "in"
    """Done: `started` holds the session."""
    FACTOR = "factor"
    """The password was right; one of `methods` is needed, with `attempt`."""
    ENROL = "enrol"
    """The password was right; this site wants a second factor and there is none yet."""
    WRONG = "wrong"
    """Name, password or code are not right, or the account is disabled."""
    WAIT = "wait"
    """Too many tries; `retry_after_s` says how long."""
    OVER = "over"
    """What was begun has expired or failed too often: begin again."""


@dataclass(frozen=True, slots=True)
class Step:
    """The answer to one try."""

    status: Status
    person: Person | None = None
    """Whose login it is, once the password was right."""
    attempt: str = ""
    methods: tuple[str, ...] = ()
    """Of ``totp``, ``recovery``, ``passkey``."""
    retry_after_s: float = 0.0
    started: Started | None = None
    set_cookie: tuple[str, ...] = ()
    """Everything the browser is to keep: session, refresh and device."""


@dataclass(frozen=True, slots=True)
class Browser:
    """What a browser came with."""

    device: str = ""
    """Value of its device cookie."""
    refresh: str = ""
    """Value of its refresh cookie; that session ends when another begins."""
    keep: bool = True
    """Whether it keeps the session when it is closed."""


class Logins:
    """Turns proofs into sessions."""

    def __init__(
        self,
        store: Store,
        settings: AccountsSettings,
        passwords: Passwords,
        factors: Factors,
        throttle: Throttle,
        devices: Devices,
        attempts: Attempts,
        sessions: Sessions,
    ) -> None:
        self._store = store
        self._settings = settings
        self._passwords = passwords
        self._factors = factors
        self._throttle = throttle
        self._devices = devices
        self._attempts = attempts
        self._sessions = sessions

    def password(self, user: str, password: str, by: Caller, browser: Browser) -> Step:
        """Try a name and a password; the name may be an e-mail address only one person has."""
        user = user.strip()[:254].lower()
        sub = self._sub_of(user)
        taken = self._take(sub, user, by, browser)
        if taken.retry_after_s > 0:
            return Step(Status.WAIT, retry_after_s=taken.retry_after_s)
        try:
            person = self._passwords.check(user, password, by)
        except Busy:
            self._throttle.give_back(taken, by)
            raise
        if person is None:
            self._refused(Event.LOGIN_REFUSED, sub, user if sub else "", by)
            return Step(Status.WRONG)
        self._throttle.give_back(taken, by)
        return self.after_password(person, by, browser)

    def code(self, attempt: str, code: str, by: Caller, browser: Browser) -> Step:
        """Try a code of the authenticator, or a recovery code, for a login that was begun."""
        begun = self._attempts.read(attempt, SECOND)
        if begun is None or begun.sub is None:
            return Step(Status.OVER)
        taken = self._throttle.take([self._factor_bucket(begun.sub, browser)], by)
        if taken.retry_after_s > 0:
            return Step(Status.WAIT, attempt=attempt, retry_after_s=taken.retry_after_s)
        method = self._right_code(begun.sub, code, by)
        if method is None:
            left = self._attempts.fail(attempt, by)
            self._refused(Event.FACTOR_REFUSED, begun.sub, "", by)
            return Step(Status.WRONG if left else Status.OVER, attempt=attempt if left else "")
        self._throttle.give_back(taken, by)
        return self.complete(attempt, [method, "mfa"], by, browser)

    def complete(self, attempt: str, amr: Iterable[str], by: Caller, browser: Browser) -> Step:
        """Finish a login whose second factor somebody else proved: a passkey, or a new enrolment.

        The caller has checked that the proof belongs to `begun(attempt).sub`.
        """
        done = self._attempts.finish(attempt, SECOND, by) or self._attempts.finish(
            attempt, ENROL, by
        )
        if done is None or done.sub is None:
            return Step(Status.OVER)
        keep = Browser(browser.device, browser.refresh, bool(done.detail.get("keep", True)))
        return self._enter(done.sub, [*done.detail.get("amr", []), *amr], by, keep)

    def begun(self, attempt: str) -> Attempt | None:
        """Return the login that waits for its second factor, or for one to be set up."""
        return self._attempts.read(attempt, SECOND) or self._attempts.read(attempt, ENROL)

    def proven(self, sub: str, amr: Iterable[str], by: Caller, browser: Browser) -> Step:
        """Begin a session for somebody proven otherwise: a passkey, a provider, a one-time link.

        No second factor is asked for: a passkey is two by itself, and a provider has its own.
        """
        return self._enter(sub, list(amr), by, browser)

    def again(self, sid: str, sub: str, password: str, by: Caller, browser: Browser) -> Step:
        """Prove a password once more inside a session; the session gets a new id and secret."""
        with self._store.read() as session:
            row = session.get(SubjectRow, sub)
            user = row.user if row is not None else ""
        taken = self._take(sub, user, by, browser)
        if taken.retry_after_s > 0:
            return Step(Status.WAIT, retry_after_s=taken.retry_after_s)
        person = self._passwords.check(user, password, by)
        if person is None or person.sub != sub:
            self._refused(Event.LOGIN_REFUSED, sub, user, by)
            return Step(Status.WRONG)
        self._throttle.give_back(taken, by)
        return self.stronger(sid, ["pwd"], by)

    def again_code(self, sid: str, sub: str, code: str, by: Caller, browser: Browser) -> Step:
        """Prove a second factor inside a session; the session gets a new id and secret."""
        taken = self._throttle.take([self._factor_bucket(sub, browser)], by)
        if taken.retry_after_s > 0:
            return Step(Status.WAIT, retry_after_s=taken.retry_after_s)
        method = self._right_code(sub, code, by)
        if method is None:
            self._refused(Event.FACTOR_REFUSED, sub, "", by)
            return Step(Status.WRONG)
        self._throttle.give_back(taken, by)
        return self.stronger(sid, [method, "mfa"], by)

    def stronger(self, sid: str, amr: Iterable[str], by: Caller) -> Step:
        """Add a proof somebody else checked, a passkey, to a session; it gets a new id."""
        started = self._sessions.rotate(sid, amr, by)
        if started is None:
            return Step(Status.OVER)
        return Step(Status.IN, started.person, started=started, set_cookie=started.set_cookie)

    def after_password(self, person: Person, by: Caller, browser: Browser) -> Step:
        """Go on after a right password, or one set just now through a link: factors count."""
        wanted = self._settings.second_factor
        have = self._factors.of(person.sub)
        if wanted is SecondFactor.OFF or (wanted is SecondFactor.OPTIONAL and not have.any):
            return self._enter(person.sub, ["pwd"], by, browser)
        detail: dict[str, Any] = {"amr": ["pwd"], "keep": browser.keep}
        if not have.any:
            attempt = self._attempts.begin(ENROL, by, sub=person.sub, detail=detail)
            return Step(Status.ENROL, person, attempt)
        named = (
            ("totp", have.totp),
            ("recovery", have.recovery_left > 0),
            ("passkey", have.passkeys > 0),
        )
        methods = tuple(name for name, there in named if there)
        attempt = self._attempts.begin(SECOND, by, sub=person.sub, detail=detail)
        return Step(Status.FACTOR, person, attempt, methods)

    def _enter(self, sub: str, amr: list[str], by: Caller, browser: Browser) -> Step:
        started = self._sessions.start(sub, amr, by, keep=browser.keep, replaces=browser.refresh)
        if started is None:
            return Step(Status.WRONG)
        device = device_cookie(
            self._devices.issue(sub, browser.device),
            self._settings.mount,
            secure=by.secure,
            max_age_s=self._settings.device_life_s,
        )
        cookies = (*started.set_cookie, device)
        return Step(Status.IN, started.person, started=started, set_cookie=cookies)

    def _take(self, sub: str | None, user: str, by: Caller, browser: Browser) -> Taken:
        """Take a try from where it counts; see `throttle` for why a known device is apart."""
        device = self._devices.read(browser.device, sub) if sub else None
        if device is not None:
            return self._throttle.take([Bucket("device", device, DEVICE)], by)
        account = Bucket("account", sub or user, ACCOUNT)
        address = Bucket("address", network_of(by.address), ADDRESS)
        return self._throttle.take([account, address], by)

    def _factor_bucket(self, sub: str, browser: Browser) -> Bucket:
        device = self._devices.read(browser.device, sub)
        return Bucket("factor", device or sub, FACTOR)

    def _right_code(self, sub: str, code: str, by: Caller) -> str | None:
        if self._factors.check_totp(sub, code, by):
            return "otp"
        return "recovery" if self._factors.use_recovery(sub, code, by) else None

    def _sub_of(self, user: str) -> str | None:
        with self._store.read() as session:
            row = row_of(session, user)
            return row.sub if row is not None else None

    def _refused(self, event: Event, sub: str | None, user: str, by: Caller) -> None:
        """Write a refusal down; a name nobody has is left out, since it may be a password."""
        with self._store.write(by) as work:
            work.audit(event, sub or "", user)
