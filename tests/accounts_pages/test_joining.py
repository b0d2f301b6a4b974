"""Getting in for the first time, or again: registration, invitations, resets."""

from __future__ import annotations

import logging
import re

import pyotp
import pytest

from mergepoint.identity.accounts.application import assembled
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import Register
from mergepoint.identity.accounts.service.links import Purpose
from mergepoint.identity.accounts.service.mailer import Letter

PASSWORD = "seven pears on a wall"
NEW = "nine plums under the hedge"
BY_ADMIN = Caller(user="ada")


def path_of(link: str) -> str:
    return link.split("/-/accounts", 1)[1]


def test_the_first_administrator_comes_by_a_link_that_works_once(house) -> None:  # type: ignore[no-untyped-def]
    link = path_of(house.accounts.joining.first_administrator(Caller()).url)
    browser = house.browser()
    assert "Set up Acme" in browser.get(link).text
    assert browser.get(link).status_code == 200

    answer = browser.post(link, {"user": "ada", "name": "Ada", "email": "", "password": PASSWORD})

    assert answer.status_code == 303
    assert browser.get("/whoami").json["roles"] == ["admin"]
    again = house.browser().post(link, {"user": "eve", "password": PASSWORD})
    assert again.status_code == 410 and "no longer works" in again.text


def test_an_invitation_brings_its_address_roles_and_groups(house) -> None:  # type: ignore[no-untyped-def]
    issued = house.accounts.joining.invite(
        BY_ADMIN, email="rosa@orchard.example", roles=("reader",), groups=("growers",)
    )
    browser = house.browser()
    assert 'value="rosa@orchard.example"' in browser.get(path_of(issued.url)).text

    sent = {"user": "rosa", "email": "rosa@orchard.example", "password": PASSWORD}
    browser.post(path_of(issued.url), sent)

    known = browser.get("/whoami").json
    assert (known["roles"], known["groups"]) == (["reader"], ["growers"])


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"user": "Rosa Quince", "password": PASSWORD}, "user"),
        ({"user": "taken", "password": PASSWORD}, "user"),
        ({"user": "rosa", "password": "short"}, "password"),
        ({"user": "rosa", "password": PASSWORD, "email": "nowhere"}, "email"),
        ({"user": "", "password": PASSWORD}, "user"),
    ],
)
def test_an_invitation_survives_a_mistake_in_the_form(house, sent, field: str) -> None:  # type: ignore[no-untyped-def]
    house.person("taken")
    link = path_of(house.accounts.joining.invite(BY_ADMIN).url)
    browser = house.browser()
    wrong = browser.post(link, {"name": "", "email": "", **sent})
    assert wrong.status_code == 422
    assert f'href="#{field}"' in wrong.text

    done = browser.post(link, {"user": "rosa", "name": "", "email": "", "password": PASSWORD})
    assert done.status_code == 303 and browser.is_in()


def test_an_old_link_says_so_and_nothing_else(house) -> None:  # type: ignore[no-untyped-def]
    link = path_of(house.accounts.joining.invite(BY_ADMIN).url)
    house.clock.ahead_s += 8 * 86400

    assert house.browser().get(link).status_code == 410
    assert house.browser().get("/link/never-made").status_code == 410


def test_registration_is_there_only_where_it_is_open(raised) -> None:  # type: ignore[no-untyped-def]
    assert raised().browser().get("/register").status_code == 404
    house = raised(register=Register.OPEN)
    browser = house.browser()
    assert "Create account" in browser.get("/login").text

    sent = {"user": "rosa", "name": "", "email": "", "password": PASSWORD, "next": "/wiki/"}
    assert browser.post("/register", sent).location == "/wiki/"
    assert browser.get("/whoami").json["roles"] == []


def test_a_forgotten_password_is_answered_the_same_for_everybody(house, passed_on) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa", email="rosa@orchard.example")
    answers = [house.browser().post("/forgot", {"user": user}).text for user in ("rosa", "nobody")]

    assert answers[0] == answers[1] and "If that account exists" in answers[0]
    assert len(passed_on()) == 1


def test_a_reset_link_sets_the_password_once_and_ends_every_session(house, passed_on) -> None:  # type: ignore[no-untyped-def]
    old = house.inside("rosa", email="rosa@orchard.example")
    house.browser().post("/forgot", {"user": "rosa@orchard.example"})
    [link] = passed_on()
    browser = house.browser()
    assert "For the account rosa" in browser.get(path_of(link)).text
    assert browser.post(path_of(link), {"password": "short"}).status_code == 422

    assert browser.post(path_of(link), {"password": NEW}).status_code == 303
    assert browser.is_in() and not old.is_in()
    assert house.browser().post(path_of(link), {"password": PASSWORD}).status_code == 410
    assert house.browser().log_in("rosa", NEW).status_code == 303


def test_asking_takes_nobody_the_link_an_administrator_made(house, passed_on) -> None:  # type: ignore[no-untyped-def]
    person = house.person("rosa")
    made = house.accounts.joining.reset_link(person.sub, BY_ADMIN)
    house.browser().post("/forgot", {"user": "rosa"})

    assert passed_on() == []
    assert house.browser().get(path_of(made.url)).status_code == 200


def test_asking_without_end_is_slowed_down(house) -> None:  # type: ignore[no-untyped-def]
    house.clock.stop()
    browser = house.browser()
    answers = [browser.post("/forgot", {"user": "nobody"}).status_code for _ in range(61)]

    assert answers == [200] * 60 + [429]


def test_a_reset_link_of_somebody_disabled_is_worth_nothing(house) -> None:  # type: ignore[no-untyped-def]
    person = house.person("rosa")
    link = path_of(house.accounts.joining.reset_link(person.sub, BY_ADMIN).url)
    house.accounts.people.disable(person.sub, BY_ADMIN)

    assert house.browser().post(link, {"password": NEW}).status_code == 410


def test_without_passwords_an_invitation_leads_to_a_passkey(raised) -> None:  # type: ignore[no-untyped-def]
    house = raised(passwords=False)
    link = path_of(house.accounts.joining.invite(BY_ADMIN).url)
    browser = house.browser()
    assert 'name="password"' not in browser.get(link).text

    answer = browser.post(link, {"user": "rosa", "name": "", "email": ""})

    assert answer.location == "/-/accounts/security"
    assert "Add a passkey" in browser.get("/security").text


def test_who_forgot_a_password_is_told_to_the_operator_and_the_link_is_not(house, caplog) -> None:  # type: ignore[no-untyped-def]
    house.app = assembled(house.accounts)
    house.person("rosa", email="rosa@orchard.example")
    with caplog.at_level(logging.DEBUG):
        house.browser().post("/forgot", {"user": "rosa"})

    assert "mergepoint users passwd rosa --link" in caplog.text
    assert "/link/" not in caplog.text


def test_a_link_is_delivered_with_its_purpose_and_to_whom(house) -> None:  # type: ignore[no-untyped-def]
    sent: list[Letter] = []
    house.app = assembled(house.accounts, lambda letter, _by: sent.append(letter))
    house.person("rosa", email="rosa@orchard.example", lang="de")
    house.browser().post("/forgot", {"user": "rosa"})

    [letter] = sent
    told = (letter.link.info.purpose, letter.user, letter.email, letter.lang)
    assert told == (Purpose.RESET, "rosa", "rosa@orchard.example", "de")
    assert re.fullmatch(r"http://localhost:8000/-/accounts/link/[\w-]{43}", letter.link.url)
    assert letter.link.secret not in repr(letter)


def test_a_reset_link_is_no_way_around_the_second_factor(house, passed_on) -> None:  # type: ignore[no-untyped-def]
    person, factors = house.person("rosa"), house.accounts.factors
    secret = factors.begin_totp(person.sub, BY_ADMIN).secret
    now_s = house.clock.unix_s()
    assert factors.confirm_totp(person.sub, pyotp.TOTP(secret).at(now_s), BY_ADMIN)
    house.browser().post("/forgot", {"user": "rosa"})
    [link] = passed_on()
    browser = house.browser()

    assert browser.post(path_of(link), {"password": NEW}).status_code == 303
    assert not browser.is_in()
