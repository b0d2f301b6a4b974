"""Acting as people and browsers do, on accounts with a clock the tests move.

Place:  tests/accounts -> [acting] -> identity.accounts
Rule:   through the service alone; nothing of ours is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.logins import Browser, Step
from mergepoint.identity.accounts.service.person import Person

PASSWORD = "plum tree in march"
NOW_S = 1_800_000_000.0
NEW_BROWSER = Browser()


@dataclass
class MovedClock:
    """Time that stands still until a test moves it."""

    now_s: float = NOW_S

    def unix_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_s - NOW_S

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds

    async def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)


def add(accounts: Accounts, user: str, by: Caller, **more: Any) -> Person:
    """Make a person who logs in with `PASSWORD`."""
    stored = accounts.passwords.hashed(more.pop("password", PASSWORD), user)
    return accounts.people.add(user, by, password_hash=stored, **more)


def log_in(
    accounts: Accounts, user: str = "ada", password: str = PASSWORD, **more: Any
) -> tuple[Step, Browser]:
    """Try to log in from a browser of its own; return the answer and the browser afterwards."""
    by = Caller(address=more.pop("address", "192.0.2.7"), agent="Firefox", secure=True)
    browser = more.pop("browser", NEW_BROWSER)
    step = accounts.logins.password(user, password, by, browser)
    return step, kept(step, browser)


def kept(step: Step, before: Browser = NEW_BROWSER) -> Browser:
    """Return the browser with the cookies of the answer."""
    jar = dict(cookie.partition(";")[0].split("=", 1) for cookie in step.set_cookie)
    return Browser(
        device=jar.get("__Secure-mergepoint-device", before.device),
        refresh=jar.get("__Host-mergepoint-refresh", before.refresh),
    )


def events(accounts: Accounts, beginning: str = "") -> list[str]:
    """Return the names of what happened, the newest first."""
    return [entry.event for entry in accounts.audit.read(event=beginning, limit=500)]
