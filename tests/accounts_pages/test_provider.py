"""Logging in at a real OpenID Connect provider, through the pages."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from mergepoint_testkit.openid import SECRET, OpenId, log_in, running_provider

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import Provider

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
BACK = "http://localhost:8000/-/accounts/login/back/garden"
PASSWORD = "seven pears on a wall"
BY_TEST = Caller(user="(test)")


@pytest.fixture(scope="module")
def running() -> Iterator[OpenId]:
    with running_provider(BACK) as started:
        yield started


@pytest.fixture
def garden(running: OpenId) -> Provider:
    return Provider(
        name="garden",
        issuer=running.issuer,
        client_id="mergepoint",
        client_secret=SECRET,
        title="Garden ID",
        scopes=("openid", "profile", "email", "groups"),
        groups_claim="groups",
        role_map={"growers": ("reader",), "owners": ("admin",)},
    )


@pytest.fixture
def house(raised, garden):  # type: ignore[no-untyped-def]
    return raised(providers=(garden,))


@pytest.fixture
def open_house(raised, garden):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return raised(providers=(replace(garden, allow_signup=True),))


def go(browser, address: str = "/login/with/garden", account: str = "subject-rosa", **how):  # type: ignore[no-untyped-def]
    """Go to the provider, log in there, and come back; return the last answer."""
    there = browser.get(address)
    assert there.status_code == 303, there.text
    back = log_in(there.location, account, **how)
    assert back.startswith(f"{BACK}?")
    return browser.get(back, headers={"Sec-Fetch-Site": "cross-site"})


def test_the_login_page_offers_the_provider_by_its_title(house) -> None:  # type: ignore[no-untyped-def]
    assert "Continue with Garden ID" in house.browser().get("/login").text


def test_somebody_new_gets_an_account_where_the_provider_may_make_one(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()
    answer = go(browser, "/login/with/garden?next=/wiki/")

    assert answer.location == "/wiki/"
    known = browser.get("/whoami").json
    assert (known["user"], known["name"]) == ("rosa", "Rosa Quince")
    assert known["email"] == "rosa@orchard.example"
    assert (known["roles"], known["groups"]) == (["reader"], ["everybody", "growers"])
    assert known["amr"] == ["fed"]


def test_the_same_person_comes_back_to_the_same_account(open_house) -> None:  # type: ignore[no-untyped-def]
    first, second = open_house.browser(), open_house.browser()
    go(first)
    go(second)

    assert first.get("/whoami").json["sub"] == second.get("/whoami").json["sub"]


def test_an_equal_address_does_not_make_two_people_one(open_house) -> None:  # type: ignore[no-untyped-def]
    own = open_house.person("rosa", email="rosa@orchard.example")
    browser = open_house.browser()
    go(browser)

    assert browser.get("/whoami").json["sub"] != own.sub


def test_an_account_is_connected_only_after_its_password(house) -> None:  # type: ignore[no-untyped-def]
    own = house.person("rosa")
    browser = house.browser()
    assert go(browser, "/login/with/garden?next=/wiki/").location == "/-/accounts/login/link"
    assert not browser.is_in()
    assert "knows you as rosa@orchard.example" in browser.get("/login/link").text

    wrong = browser.post("/login/link", {"user": "rosa", "password": "wrong"})
    assert wrong.status_code == 422 and not browser.is_in()
    assert house.accounts.providers.of(own.sub) == []

    right = browser.post("/login/link", {"user": "rosa", "password": PASSWORD})
    assert right.location == "/wiki/"
    later = house.browser()
    go(later)
    assert later.get("/whoami").json["sub"] == own.sub
    assert later.get("/whoami").json["roles"] == ["reader"]


def test_an_ordinary_login_in_the_same_browser_connects_nothing(house) -> None:  # type: ignore[no-untyped-def]
    other = house.person("otto")
    browser = house.browser()
    go(browser)

    browser.log_in("otto")

    assert browser.is_in()
    assert house.accounts.providers.of(other.sub) == []


def test_a_connection_waits_for_the_second_factor_too(house) -> None:  # type: ignore[no-untyped-def]
    own = house.person("rosa")
    secret = house.accounts.factors.begin_totp(own.sub, BY_TEST).secret
    import pyotp

    code = pyotp.TOTP(secret)
    assert house.accounts.factors.confirm_totp(own.sub, code.at(int(house.clock.unix_s())), BY_TEST)
    house.clock.ahead_s += 30
    browser = house.browser()
    go(browser, "/login/with/garden?next=/wiki/")
    asked = browser.post("/login/link", {"user": "rosa", "password": PASSWORD})
    assert "second" in asked.location and "link=1" in asked.location
    assert house.accounts.providers.of(own.sub) == []

    typed = {"code": code.at(int(house.clock.unix_s())), "link": "1", "next": "/wiki/"}
    assert browser.post("/login/second", typed).location == "/wiki/"
    assert [link.subject for link in house.accounts.providers.of(own.sub)] == ["subject-rosa"]


def test_nobody_comes_in_where_there_are_neither_passwords_nor_sign_ups(raised, garden) -> None:  # type: ignore[no-untyped-def]
    house = raised(providers=(garden,), passwords=False)
    browser = house.browser()
    answer = go(browser)

    assert answer.status_code == 403 and "No account here" in answer.text
    assert not browser.is_in()


def test_one_connects_and_disconnects_from_inside(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    answer = go(browser, "/security/linked/garden/on")
    assert answer.location == "/-/accounts/security?said=linked"
    assert browser.get("/whoami").json["roles"] == ["reader"]

    browser.post("/security/linked/garden/off")
    assert browser.get("/whoami").json["roles"] == []


def test_an_account_elsewhere_belongs_to_one_person_only(house) -> None:  # type: ignore[no-untyped-def]
    go(house.inside("rosa"), "/security/linked/garden/on")
    otto = house.inside("otto")

    answer = go(otto, "/security/linked/garden/on")

    assert answer.status_code == 409 and "Already connected" in answer.text
    assert house.accounts.providers.of(otto.get("/whoami").json["sub"]) == []


def test_somebody_without_a_password_proves_again_at_the_provider(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()
    go(browser)
    open_house.clock.ahead_s += 1000
    asked = browser.post("/tokens", {"label": "x", "life": "30"})
    assert asked.status_code == 403 and "again=1" in asked.text

    # The provider's clock did not move; a login asked for now is fresh by ours as well.
    open_house.clock.ahead_s = 0
    done = go(browser, "/login/with/garden?again=1&next=/-/accounts/tokens")
    assert done.location == "/-/accounts/tokens"
    assert "fed" in browser.get("/whoami").json["amr"]


def test_another_account_there_proves_nothing_here(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()
    go(browser)
    answer = go(browser, "/login/with/garden?again=1&next=/-/accounts/tokens", "subject-otto")

    assert answer.status_code == 400
    assert browser.get("/whoami").json["user"] == "rosa"


def test_an_answer_in_another_browser_logs_nobody_in(open_house) -> None:  # type: ignore[no-untyped-def]
    back = log_in(open_house.browser().get("/login/with/garden").location, "subject-rosa")
    victim = open_house.browser()

    assert victim.get(back).status_code == 400
    assert not victim.is_in()


def test_an_answer_works_once(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()
    back = log_in(browser.get("/login/with/garden").location, "subject-rosa")
    browser.get(back)
    browser.post("/logout")

    assert browser.get(back).status_code == 400
    assert not browser.is_in()


def test_turning_back_at_the_provider_is_told_in_a_page(open_house) -> None:  # type: ignore[no-untyped-def]
    answer = go(open_house.browser(), agrees=False)

    assert answer.status_code == 403
    assert "Garden ID did not confirm who you are" in answer.text


def test_somebody_disabled_stays_out_whatever_the_provider_says(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()
    go(browser)
    open_house.accounts.people.disable(browser.get("/whoami").json["sub"], BY_TEST)
    again = open_house.browser()

    assert go(again).status_code == 403
    assert not again.is_in()


def test_a_login_elsewhere_never_leads_to_another_site(open_house) -> None:  # type: ignore[no-untyped-def]
    browser = open_house.browser()

    assert go(browser, "/login/with/garden?next=//evil.example").location == "/-/accounts/"


def test_a_provider_out_of_reach_is_a_page_that_says_so(raised) -> None:  # type: ignore[no-untyped-def]
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    house = raised(providers=(Provider(name="garden", issuer=nobody, client_id="x"),))
    answer = house.browser().get("/login/with/garden")

    assert answer.status_code == 503 and answer.headers["Retry-After"] == "30"
    assert "garden cannot be reached" in answer.text
    assert house.browser().get("/login").status_code == 200


def test_a_provider_nobody_configured_is_not_there(house) -> None:  # type: ignore[no-untyped-def]
    assert house.browser().get("/login/with/other").status_code == 404


def test_the_way_begins_at_the_public_address_where_it_will_end(house) -> None:  # type: ignore[no-untyped-def]
    answer = house.browser("http://127.0.0.1:8000").get("/login/with/garden?next=/wiki/")

    assert answer.location == "http://localhost:8000/-/accounts/login/with/garden?next=/wiki/"
    assert not answer.headers.getlist("Set-Cookie")
