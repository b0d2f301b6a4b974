"""People: what may be a name, who may do what, and who cannot be taken away.

Place:  make test
Rule:   every change that alters a proof is followed into the feed.
"""

from __future__ import annotations

import threading

import pytest

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import Provider
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.logins import Status
from mergepoint.identity.accounts.service.person import Person

from .acting import PASSWORD, add, events, log_in

PROVIDER = Provider(
    name="kc",
    issuer="https://id.example",
    client_id="acme",
    groups_claim="groups",
    role_map={"devs": ("developer",), "boss": ("admin",)},
    allow_signup=True,
)


@pytest.mark.parametrize(
    "user",
    ["", "Ada", "-ada", ".ada", "a b", "a" * 65, "ada\n", "\u00e4da", "a/b", "__token__", "a@b"],
)
def test_what_cannot_be_a_user_name_is_refused(accounts: Accounts, by: Caller, user: str) -> None:
    with pytest.raises(Refused) as refused:
        accounts.people.add(user, by)
    assert refused.value.reason == "user_name"
    assert accounts.people.search() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 129),
        ("name", "a\nb"),
        ("name", "a\0b"),
        ("name", "\N{GRINNING FACE}" * 65),
        ("email", "nobody"),
        ("email", "a@b@c"),
        ("email", "a @b"),
        ("email", "a\0@b"),
        ("lang", "english please"),
        ("kind", "robot"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    accounts: Accounts, by: Caller, field: str, value: str
) -> None:
    with pytest.raises(Refused):
        accounts.people.add("ada", by, **{field: value})


@pytest.mark.parametrize("group", ["a,b", "a\nb", "x" * 129, "a\0b"])
def test_a_group_no_header_can_carry_is_refused(
    accounts: Accounts, ada: Person, by: Caller, group: str
) -> None:
    with pytest.raises(Refused):
        accounts.people.set_groups(ada.sub, [group], by)


def test_a_name_belongs_to_one(accounts: Accounts, ada: Person, by: Caller) -> None:
    bob = add(accounts, "bob", by)
    with pytest.raises(Refused, match="taken"):
        accounts.people.add("ada", by)
    with pytest.raises(Refused, match="taken"):
        accounts.people.rename(bob.sub, "ada", by)


def test_a_renamed_person_is_the_same_person(accounts: Accounts, ada: Person, by: Caller) -> None:
    renamed = accounts.people.rename(ada.sub, "lovelace", by)

    assert (renamed.sub, renamed.roles) == (ada.sub, ada.roles)
    assert accounts.people.find("ada") is None
    assert log_in(accounts, "lovelace")[0].status is Status.IN
    assert accounts.feed.read("", 0)["revocations"][-1]["id"] == ada.sub


def test_the_same_roles_again_change_nothing(accounts: Accounts, ada: Person, by: Caller) -> None:
    before = len(accounts.audit.read())
    accounts.people.set_roles(ada.sub, ["developer", "developer"], by)

    assert accounts.feed.read("", 0)["position"] == by.position == 0
    assert len(accounts.audit.read()) == before


def test_roles_and_groups_are_replaced_together_or_not_at_all(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    with pytest.raises(Refused):
        accounts.people.set_rights(ada.sub, by, roles=["reader"], groups=["a\0b"])
    assert accounts.people.get(ada.sub) == ada

    changed = accounts.people.set_rights(ada.sub, by, roles=["reader"], groups=["growers"])
    assert (changed.roles, changed.groups) == (("reader",), ("growers",))


@pytest.mark.parametrize("what", ["disable", "delete", "roles"])
def test_the_last_administrator_stays(accounts: Accounts, by: Caller, what: str) -> None:
    ada = add(accounts, "ada", by, roles=["admin"])
    accounts.people.add("robot", by, kind="service", roles=["admin"])
    accounts.people.disable(add(accounts, "old", by, roles=["admin"]).sub, by)

    def take() -> None:
        if what == "roles":
            accounts.people.set_roles(ada.sub, ["reader"], by)
        else:
            getattr(accounts.people, what)(ada.sub, by)

    with pytest.raises(Refused) as refused:
        take()
    assert refused.value.reason == "last_administrator"
    assert accounts.people.get(ada.sub) == ada
    add(accounts, "eve", by, roles=["admin"])
    take()


def test_a_deleted_person_leaves_nothing_but_the_log(accounts: Accounts, by: Caller) -> None:
    ada = add(accounts, "ada", by, roles=["reader"])
    _, browser = log_in(accounts)
    token = accounts.tokens.create(ada.sub, "t", by)
    accounts.factors.make_recovery(ada.sub, by)

    accounts.people.delete(ada.sub, by)

    assert accounts.people.get(ada.sub) is None
    assert accounts.sessions.refresh(browser.refresh, by) is None
    assert accounts.tokens.check("bearer", "", token.text, by) is None
    assert accounts.tokens.of() == []
    last = accounts.feed.read("", 0)["revocations"][-1]
    assert (last["kind"], last["id"]) == ("subject", ada.sub)
    again = add(accounts, "ada", by)
    assert again.sub != ada.sub


def test_a_search_finds_parts_of_names_and_pages(accounts: Accounts, by: Caller) -> None:
    for user, name in (("ada", "Ada L"), ("bob", "B_b%"), ("robin", "")):
        accounts.people.add(user, by, name=name)
    accounts.people.add("ci", by, kind="service")

    def users(*args: str, **more: object) -> list[str]:
        return [p.user for p in accounts.people.search(*args, **more)]  # type: ignore[arg-type]

    assert users() == ["ada", "bob", "ci", "robin"]
    assert users("OB") == ["bob", "robin"]
    assert users("%") == ["bob"]
    assert users("_") == ["bob"]
    assert users(after="bob", limit=1) == ["ci"]
    assert users(kind="service") == ["ci"]
    assert users("\0") == ["ada", "bob", "ci", "robin"]


def test_every_change_is_written_down_with_who_and_from_where(
    accounts: Accounts, ada: Person
) -> None:
    boss = Caller("sub9", "boss", "192.0.2.1", "Firefox\n", "r77")
    accounts.people.set_roles(ada.sub, ["reader"], boss)

    entry = accounts.audit.read(limit=1)[0]
    assert (entry.event, entry.actor, entry.actor_user) == ("person.roles_changed", "sub9", "boss")
    assert (entry.target, entry.target_user) == (ada.sub, "ada")
    assert (entry.address, entry.agent, entry.request_id) == ("192.0.2.1", "Firefox?", "r77")
    assert entry.detail == {"from": ["developer"], "to": ["reader"], "by": "local"}


def test_somebody_new_from_a_provider_becomes_a_person_once(accounts: Accounts, by: Caller) -> None:
    first = accounts.providers.arrive(
        PROVIDER, "s1", by, email="ada@x.org", name="Ada", user="Ada L", groups=["devs", "a,b", "x"]
    )
    again = accounts.providers.arrive(PROVIDER, "s1", by, user="other", groups=["x"])

    assert (first.user, first.roles, first.groups) == ("ada-l", ("developer",), ("devs", "x"))
    assert (again.sub, again.user, again.roles, again.groups) == (first.sub, "ada-l", (), ("x",))
    assert accounts.passwords.check("ada-l", PASSWORD, by) is None


def test_an_address_at_a_provider_makes_nobody_the_person_who_has_it_here(
    accounts: Accounts, by: Caller
) -> None:
    ada = add(accounts, "ada", by, email="ada@x.org", roles=["admin"])

    guest = accounts.providers.arrive(PROVIDER, "s1", by, email="ada@x.org", user="ada")

    assert guest.sub != ada.sub
    assert guest.user == "ada2"
    assert guest.roles == ()


def test_what_a_provider_gave_it_takes_and_nothing_else(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    accounts.providers.link(ada.sub, PROVIDER, "s1", by)
    accounts.people.set_roles(ada.sub, ["reader"], by)
    add(accounts, "root", by, roles=["admin"])

    came = accounts.providers.arrive(PROVIDER, "s1", by, groups=["boss"])
    gone = accounts.providers.arrive(PROVIDER, "s1", by, groups=[])

    assert came.roles == ("admin", "reader")
    assert gone.roles == ("reader",)
    accounts.providers.arrive(PROVIDER, "s1", by, groups=["boss"])
    accounts.providers.unlink(ada.sub, "kc", "s1", by)
    found = accounts.people.get(ada.sub)
    assert found is not None
    assert (found.roles, found.groups) == (("reader",), ())
    assert events(accounts, "provider.") == ["provider.unlinked", "provider.linked"]


def test_a_provider_with_too_many_groups_fills_the_token_and_no_more(
    accounts: Accounts, by: Caller
) -> None:
    groups = [f"group-{n:04}-{'x' * 40}" for n in range(300)]

    person = accounts.providers.arrive(PROVIDER, "s1", by, user="ada", groups=groups)
    started = accounts.sessions.start(person.sub, ["oidc"], by)

    assert 10 < len(person.groups) < 300
    assert started is not None
    assert len(started.token) <= 3800


def test_without_signup_a_stranger_stays_one(accounts: Accounts, by: Caller) -> None:
    closed = Provider(name="kc", issuer="https://id.example", client_id="acme")
    with pytest.raises(Refused) as refused:
        accounts.providers.arrive(closed, "s1", by, user="ada")
    assert refused.value.reason == "not_linked"


def test_of_two_who_take_one_name_at_once_one_has_it(accounts: Accounts) -> None:
    said: list[str] = []
    start = threading.Barrier(4)

    def take() -> None:
        start.wait(30)
        try:
            accounts.people.add("ada", Caller())
            said.append("done")
        except Refused as refused:
            said.append(refused.reason)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(said) == ["done", "user_taken", "user_taken", "user_taken"]
