"""People of a running site: made through its own accounts service, logged in as anybody logs in.

Place:  tests -> [people] -> mergepoint.identity.accounts, the site's login page
Rule:   nothing is signed or written here; whoever is let in was let in by the site itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mergepoint.core.clock import SystemClock
from mergepoint.identity.accounts import config
from mergepoint.identity.accounts.caller import console
from mergepoint.identity.accounts.service.accounts import Accounts, open_accounts
from mergepoint.identity.accounts.service.person import SERVICE
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Page, Visitor

MOUNT = "/-/accounts"
APP = "accounts"
PASSWORD = "kumquat 27 xylophone drizzle"
COOKIES = ("mergepoint-session", "__Host-mergepoint-session")


class NotLetIn(Exception):
    """The login page did not log somebody in; the message ends with what it answered."""


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person or service of the site, and what proves them."""

    sub: str
    user: str
    name: str = ""
    password: str = field(default="", repr=False)


class People:
    """The people of one site; see `people_of`."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self._by = console("tests")

    def add(self, user: str, *roles: str, name: str = "", password: str = PASSWORD) -> Somebody:
        """Make a person with these roles who logs in with `password`."""
        stored = self.accounts.passwords.hashed(password, user, name, "")
        made = self.accounts.people.add(
            user, self._by, name=name, roles=roles, password_hash=stored
        )
        return Somebody(made.sub, user, name, password)

    def add_service(self, user: str, *roles: str) -> Somebody:
        """Make a service with these roles; it has tokens and no password."""
        made = self.accounts.people.add(user, self._by, roles=roles, kind=SERVICE)
        return Somebody(made.sub, user)

    def set_roles(self, somebody: Somebody, *roles: str) -> None:
        """Give somebody exactly these roles from now on."""
        self.accounts.people.set_roles(somebody.sub, roles, self._by)

    def token(self, somebody: Somebody, scopes: Iterable[str] | None = None) -> tuple[str, str]:
        """Return the id and the text of a new API token."""
        made = self.accounts.tokens.create(somebody.sub, "for a test", self._by, scopes=scopes)
        return made.info.id, made.text

    def revoke(self, token_id: str) -> None:
        """End a token; edges learn of it from the feed."""
        self.accounts.tokens.revoke(token_id, self._by)


@contextmanager
def people_of(site: RunningSite) -> Iterator[People]:
    """Lend the people of a site whose accounts app runs: what that process was told opens them."""
    environ = Path(f"/proc/{site.pids(APP)[0]}/environ").read_bytes().decode().split("\0")
    told = dict(pair.split("=", 1) for pair in environ if "=" in pair)
    accounts = open_accounts(config.read(told), SystemClock())
    accounts.store.prepare()
    try:
        yield People(accounts)
    finally:
        accounts.store.close()


def log_in(visitor: Visitor, somebody: Somebody) -> Page:
    """Log somebody in over HTTP, as a browser does; raise `NotLetIn` when they are not."""
    page = visitor.request("GET", f"{MOUNT}/login?next=/")
    answer = visitor.submit(page, "password", user=somebody.user, password=somebody.password)
    if not any(visitor.cookies.get(name) for name in COOKIES):
        raise NotLetIn(f"{somebody.user}: {answer.status} {answer.document().words()}")
    return answer


def log_out(visitor: Visitor) -> Page:
    """Log out over HTTP; out everywhere on this browser once it returns."""
    answer = visitor.request("POST", f"{MOUNT}/logout", b"", {"Content-Length": "0"})
    if answer.status >= 400:
        raise NotLetIn(f"cannot log out: {answer.status} {answer.text[:400]}")
    return answer
