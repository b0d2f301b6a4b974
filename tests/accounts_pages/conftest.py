"""The accounts pages with a database of their own, seen by a Flask client that acts as a browser.

Place:  pytest -> [conftest] -> identity.accounts
Rule:   nothing of ours is replaced but the clock, which tests move instead of waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mergepoint.core.clock import SystemClock
from mergepoint.identity.accounts.application import assembled
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, Argon2Cost, checked
from mergepoint.identity.accounts.service.accounts import Accounts, open_accounts
from mergepoint.identity.accounts.service.person import Person

MOUNT = "/-/accounts"
ORIGIN = "http://localhost:8000"
PASSWORD = "seven pears on a wall"
CHEAP = Argon2Cost(passes=1, memory_kib=64, lanes=1)
BY_TEST = Caller(user="(test)")


class MovedClock(SystemClock):
    """The machine's clock, ahead by as much as a test says."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._stopped_at: tuple[float, float] | None = None

    def stop(self) -> None:
        """Let no time pass but what the test adds, however slow the machine is."""
        self._stopped_at = super().monotonic_s(), super().unix_s()

    def monotonic_s(self) -> float:
        now_s = self._stopped_at[0] if self._stopped_at else super().monotonic_s()
        return now_s + self.ahead_s

    def unix_s(self) -> float:
        now_s = self._stopped_at[1] if self._stopped_at else super().unix_s()
        return now_s + self.ahead_s


class Browser:
    """One browser at the site: keeps cookies, sends what browsers send with a form."""

    def __init__(self, app: Flask, origin: str = ORIGIN) -> None:
        self._origin = origin
        self.client: FlaskClient = app.test_client()

    def get(self, address: str, **options: Any) -> TestResponse:
        """Follow a link of the site."""
        return self._ask("GET", address, **options)

    def post(self, address: str, data: Any = None, **options: Any) -> TestResponse:
        """Send a form of the site."""
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self._origin}
        headers |= options.pop("headers", {})
        return self._ask("POST", address, data=data, headers=headers, **options)

    def _ask(self, method: str, address: str, **options: Any) -> TestResponse:
        parts = urlsplit(address)
        path = parts.path.removeprefix(MOUNT) + (f"?{parts.query}" if parts.query else "")
        return self.client.open(path, method=method, base_url=f"{self._origin}{MOUNT}", **options)

    def log_in(self, user: str, password: str = PASSWORD, **more: str) -> TestResponse:
        """Type a name and a password."""
        return self.post("/login", {"user": user, "password": password, **more})

    def is_in(self) -> bool:
        """Tell whether somebody is logged in."""
        return self.get("/whoami").status_code == 200


@dataclass
class House:
    """The accounts of one site and the app over them."""

    settings: AccountsSettings
    clock: MovedClock
    accounts: Accounts
    app: Flask
    links: list[str] = field(default_factory=list)

    def browser(self, origin: str = ORIGIN) -> Browser:
        """Return a browser nobody has used."""
        return Browser(self.app, origin)

    def person(self, user: str = "rosa", password: str = PASSWORD, **more: Any) -> Person:
        """Return somebody new who has a password."""
        stored = self.accounts.passwords.hashed(password, user) if password else None
        return self.accounts.people.add(user, BY_TEST, password_hash=stored, **more)

    def inside(self, user: str = "rosa", **more: Any) -> Browser:
        """Return a browser in which somebody new is logged in."""
        self.person(user, **more)
        browser = self.browser()
        assert browser.log_in(user).status_code == 303
        return browser

    def admin(self) -> Browser:
        """Return a browser in which an administrator is logged in."""
        return self.inside("ada", name="Ada", roles=("admin",))


Raise = Callable[..., House]


@pytest.fixture
def delivered() -> list[str]:
    """Lend the list of one-time links that were handed to whoever delivers them."""
    return []


@pytest.fixture
def raised(tmp_path: Path, delivered: list[str]) -> Iterator[Raise]:
    """Return a function that makes a house with settings of the test's choice."""
    opened: list[Accounts] = []

    def build(**changed: Any) -> House:
        place = tmp_path / f"house{len(opened)}"
        told: dict[str, Any] = {
            "site": "acme",
            "title": "Acme",
            "issuer": "mergepoint:acme",
            "database": f"sqlite:///{place / 'accounts.db'}",
            "keys_dir": place / "keys",
            "state_dir": place,
            "public_url": ORIGIN,
            "argon2": CHEAP,
            "roles": {"admin": ("*",), "reader": ("tickets.read",)},
        }
        settings = checked(AccountsSettings(**{**told, **changed}))
        clock = MovedClock()
        accounts = open_accounts(settings, clock)
        opened.append(accounts)
        app = assembled(accounts, lambda letter, _by: delivered.append(letter.link.url))
        return House(settings, clock, accounts, app)

    yield build
    for accounts in opened:
        accounts.store.close()


@pytest.fixture
def house(raised: Raise) -> House:
    """Lend a house with the settings a site has that says nothing."""
    return raised()


@pytest.fixture
def passed_on(delivered: list[str]) -> Callable[[], list[str]]:
    """Return a function that tells which one-time links were to be delivered."""
    return lambda: list(delivered)
