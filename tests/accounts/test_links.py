"""One-time links: used once, expired, withdrawn; what they were for happens or nothing does.

Place:  make test
Rule:   on both databases; two who come at once are two threads.
"""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from mergepoint.identity.accounts.application import first_administrator_link
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, Register
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.joining import FIRST_ADMINISTRATOR_LIFE_S
from mergepoint.identity.accounts.service.links import Purpose
from mergepoint.identity.accounts.service.logins import Status
from mergepoint.identity.accounts.service.person import Person

from .acting import PASSWORD, MovedClock, add, events, log_in
from .conftest import Open


def secret_of(url: str | None) -> str:
    assert url is not None
    return url.rpartition("/")[2]


def test_the_first_administrator_is_made_by_a_link_and_only_once(
    accounts: Accounts, settings: AccountsSettings, by: Caller, clock: MovedClock
) -> None:
    old = first_administrator_link(settings, clock)
    url = first_administrator_link(settings, clock)
    assert url is not None
    assert url.startswith("https://acme.example/-/accounts/link/")

    with pytest.raises(Refused, match="withdrawn"):
        accounts.joining.accept(secret_of(old), "eve", PASSWORD, by)
    person = accounts.joining.accept(secret_of(url), "ada", PASSWORD, by)

    assert person.roles == ("admin",)
    assert log_in(accounts)[0].status is Status.IN
    assert first_administrator_link(settings, clock) is None
    with pytest.raises(Refused):
        accounts.joining.accept(secret_of(url), "eve", PASSWORD, by)


def test_a_first_link_is_worthless_once_there_is_an_administrator(
    accounts: Accounts, settings: AccountsSettings, by: Caller, clock: MovedClock
) -> None:
    url = first_administrator_link(settings, clock)
    add(accounts, "ada", by, roles=["admin"])

    with pytest.raises(Refused, match="an administrator already"):
        accounts.joining.accept(secret_of(url), "eve", PASSWORD, by)


def test_a_disabled_administrator_administers_nothing(
    accounts: Accounts, settings: AccountsSettings, by: Caller, clock: MovedClock
) -> None:
    ada = add(accounts, "ada", by, roles=["admin"])
    with accounts.store.write(by) as work:
        row = work.lock_subject(ada.sub)
        assert row is not None
        row.disabled = True

    assert first_administrator_link(settings, clock) is not None


@pytest.mark.parametrize(
    ("purpose", "life_s"),
    [
        (Purpose.INVITE, 7 * 86400.0),
        (Purpose.RESET, 3600.0),
        (Purpose.FIRST_ADMINISTRATOR, FIRST_ADMINISTRATOR_LIFE_S),
    ],
)
def test_a_link_expires(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock, purpose: Purpose, life_s: float
) -> None:
    issued = {
        Purpose.INVITE: lambda: accounts.joining.invite(by),
        Purpose.RESET: lambda: accounts.joining.reset_link(ada.sub, by),
        Purpose.FIRST_ADMINISTRATOR: lambda: accounts.joining.first_administrator(by),
    }[purpose]()
    assert issued is not None
    clock.pass_s(life_s - 1)
    assert accounts.links.read(issued.secret) is not None
    clock.pass_s(1)

    assert accounts.links.read(issued.secret) is None
    with pytest.raises(Refused):
        accounts.joining.accept(issued.secret, "eve", PASSWORD, by)
    with pytest.raises(Refused):
        accounts.joining.reset(issued.secret, PASSWORD, by)


def test_an_invite_gives_what_it_says_once(accounts: Accounts, by: Caller) -> None:
    issued = accounts.joining.invite(by, email="bob@x.org", roles=["reader"], groups=["berlin"])
    assert [link.id for link in accounts.links.open_links(Purpose.INVITE)] == [issued.info.id]

    bob = accounts.joining.accept(issued.secret, "bob", PASSWORD, by, name="Bob")

    assert (bob.roles, bob.groups) == (("reader",), ("berlin",))
    assert accounts.links.open_links(Purpose.INVITE) == []
    with pytest.raises(Refused):
        accounts.joining.accept(issued.secret, "eve", PASSWORD, by)
    assert events(accounts, "link.") == ["link.used", "link.issued"]


def test_a_link_refused_for_a_wrong_value_may_be_used_again(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    issued = accounts.joining.invite(by)
    for user, password in (("ada", PASSWORD), ("Not A Name", PASSWORD), ("bob", "short")):
        with pytest.raises(Refused):
            accounts.joining.accept(issued.secret, user, password, by)

    assert accounts.joining.accept(issued.secret, "bob", PASSWORD, by).user == "bob"


def test_of_two_who_use_one_invite_at_once_one_gets_in(accounts: Accounts, by: Caller) -> None:
    issued = accounts.joining.invite(by, roles=["reader"])
    start = threading.Barrier(3)
    said: list[str] = []

    def use(user: str) -> None:
        start.wait(30)
        try:
            said.append(accounts.joining.accept(issued.secret, user, PASSWORD, Caller()).user)
        except Refused as refused:
            said.append(refused.reason)

    threads = [threading.Thread(target=use, args=(f"user{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(said)[:2] == ["link", "link"]
    assert len(accounts.people.search()) == 1


def test_a_reset_ends_sessions_and_older_links(accounts: Accounts, ada: Person, by: Caller) -> None:
    _, browser = log_in(accounts)
    old = accounts.joining.reset_link(ada.sub, by)
    new = accounts.joining.reset_link(ada.sub, by)

    with pytest.raises(Refused):
        accounts.joining.reset(old.secret, "another plum tree", by)
    accounts.joining.reset(new.secret, "another plum tree", by)

    assert accounts.sessions.refresh(browser.refresh, by) is None
    assert log_in(accounts, password="another plum tree")[0].status is Status.IN
    with pytest.raises(Refused):
        accounts.joining.reset(new.secret, "a third plum tree", by)


def test_a_reset_link_is_no_invite_and_the_reverse(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    reset = accounts.joining.reset_link(ada.sub, by)
    invite = accounts.joining.invite(by)

    with pytest.raises(Refused):
        accounts.joining.accept(reset.secret, "eve", PASSWORD, by)
    with pytest.raises(Refused):
        accounts.joining.reset(invite.secret, PASSWORD, by)


def test_a_withdrawn_link_is_worthless(accounts: Accounts, by: Caller) -> None:
    issued = accounts.joining.invite(by)
    accounts.links.withdraw(issued.info.id, by)

    assert accounts.links.read(issued.secret) is None
    with pytest.raises(Refused):
        accounts.links.withdraw(issued.info.id, by)


def test_the_database_holds_no_link_anybody_could_use(accounts: Accounts, by: Caller) -> None:
    issued = accounts.joining.invite(by)

    with accounts.store.read() as session:
        rows = str(session.execute(text("SELECT * FROM accounts_link")).all())
        log = str(session.execute(text("SELECT * FROM accounts_audit")).all())
    assert issued.secret not in rows + log


@pytest.mark.parametrize("wrong", ["", "x", "\0", "\ud800", "y" * 1000])
def test_what_is_no_link_is_refused(accounts: Accounts, by: Caller, wrong: str) -> None:
    assert accounts.links.read(wrong) is None
    with pytest.raises(Refused):
        accounts.joining.accept(wrong, "eve", PASSWORD, by)


def test_who_may_make_an_account_is_the_site_s_decision(opened: Open, by: Caller) -> None:
    everybody = opened(register=Register.OPEN)
    invited = opened(register=Register.INVITE)
    nobody = opened(register=Register.CLOSED)

    person = everybody.joining.register("bob", PASSWORD, by)

    assert person.roles == ()
    for accounts in (invited, nobody):
        with pytest.raises(Refused):
            accounts.joining.register("eve", PASSWORD, by)
    with pytest.raises(Refused):
        nobody.joining.invite(by)
