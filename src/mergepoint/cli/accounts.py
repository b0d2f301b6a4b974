"""The accounts of the site a command is about, and how a password gets in.

Place:  cli.commands.users, .tokens, .keys -> [cli.accounts] -> identity.accounts
Rule:   a password comes from a terminal or from stdin, never from the command line, where every
        user of the machine could read it.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import Exit, MergepointError

if TYPE_CHECKING:
    from mergepoint.identity.accounts.caller import Caller
    from mergepoint.identity.accounts.config import AccountsSettings
    from mergepoint.identity.accounts.service.accounts import Accounts
    from mergepoint.identity.accounts.service.person import Person

PASSWORD_CHARS_MAX = 1024
ANSWER_CHARS_MAX = 16
NEXT = {
    "user_taken": "mergepoint users list",
    "role": "mergepoint users roles NAME",
    "password": "choose another one, or give --link instead",
    "passwords_off": "mergepoint users invite",
    "register": "mergepoint users add NAME --link",
    "last_administrator": "mergepoint users roles NAME admin",
    "scope": "mergepoint users roles NAME",
    "tokens": "mergepoint tokens list",
    "unknown": "mergepoint tokens list",
}
"""What to type after a refusal of the service, which knows nothing of commands."""


class LoginMissing(MergepointError):
    """The libraries of the accounts app are not installed here."""

    code = "cli.login_missing"


class UnknownUser(MergepointError):
    """Nobody logs in with that name."""

    code = "cli.unknown_user"
    exit = Exit.USAGE


class NotConfirmed(MergepointError):
    """Something that cannot be taken back was asked for where nobody can be asked."""

    code = "cli.not_confirmed"
    exit = Exit.USAGE


class NoPassword(MergepointError):
    """No password was given, or the two did not agree."""

    code = "cli.no_password"
    exit = Exit.USAGE


def site_accounts_settings(asked: Invocation) -> AccountsSettings:
    """Return what the site's accounts app is told; the site that runs, or the one asked for."""
    from mergepoint.cli.site import load, running

    site = running(asked).site or load(asked)
    try:
        from mergepoint.identity.accounts.from_site import site_settings
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    return site_settings(site)


@contextmanager
def site_accounts(asked: Invocation) -> Iterator[tuple[Accounts, Caller]]:
    """Give the accounts of the site, and the caller who stands in the audit log for a command."""
    settings = site_accounts_settings(asked)
    try:
        from mergepoint.core.clock import SystemClock
        from mergepoint.identity.accounts.caller import console
        from mergepoint.identity.accounts.service.accounts import open_accounts
        from mergepoint.identity.accounts.service.errors import Refused
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    accounts = open_accounts(settings, SystemClock())
    try:
        yield accounts, console(getpass.getuser())
    except Refused as refused:
        refused.next = refused.next or NEXT.get(refused.reason, "")
        raise
    finally:
        accounts.store.close()


def person_named(accounts: Accounts, user: str) -> Person:
    """Return who logs in as `user`; raise `UnknownUser` naming the next command."""
    found = accounts.people.find(user)
    if found is None:
        raise UnknownUser(f"nobody logs in as {user!r}", next="mergepoint users list")
    return found


def ask_password(*, from_stdin: bool, instead: str) -> str:
    """Return a password from stdin (its first line), or typed twice at a terminal.

    `instead` is the command to type when there is neither.
    """
    if from_stdin:
        password = sys.stdin.readline(PASSWORD_CHARS_MAX + 2).rstrip("\r\n")
        if not password:
            raise NoPassword("stdin gave no password", next=instead)
        return password
    if not sys.stdin.isatty():
        raise NoPassword("a password is asked for at a terminal, and this is none", next=instead)
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise NoPassword("the two passwords differ; nothing was changed", next="type it again")
    return password


def confirmed(question: str, *, instead: str) -> bool:
    """Ask at a terminal and return whether the answer was yes; nothing and all else are no.

    Raises `NotConfirmed` where nobody can answer; `instead` is what to type there.
    """
    if not sys.stdin.isatty():
        raise NotConfirmed("this is asked first, at a terminal, and this is none", next=instead)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline(ANSWER_CHARS_MAX).strip().casefold() in {"y", "yes"}


def _missing(error: ModuleNotFoundError) -> LoginMissing:
    return LoginMissing(
        f"accounts need libraries that are not installed here ({error.name})",
        next="pip install 'mergepoint[login]'",
    )
