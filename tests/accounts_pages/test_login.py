"""Logging in and out with a password, and what is refused."""

from __future__ import annotations

import re

import pyotp
import pytest

from mergepoint.identity.accounts.caller import Caller

PASSWORD = "seven pears on a wall"
BY_TEST = Caller(user="(test)")


def set_cookies(answer):  # type: ignore[no-untyped-def]
    return {c.split("=", 1)[0]: c for c in answer.headers.getlist("Set-Cookie")}


def with_totp(house, user: str = "rosa") -> tuple[str, tuple[str, ...]]:  # type: ignore[no-untyped-def]
    """Give somebody an authenticator and recovery codes; return its secret and the codes."""
    person, factors = house.person(user), house.accounts.factors
    secret = factors.begin_totp(person.sub, BY_TEST).secret
    assert factors.confirm_totp(person.sub, code_of(house, secret), BY_TEST)
    house.clock.ahead_s += 30
    return secret, factors.make_recovery(person.sub, BY_TEST)


def code_of(house, secret: str) -> str:  # type: ignore[no-untyped-def]
    return pyotp.TOTP(secret).at(int(house.clock.unix_s()))


def test_a_right_password_opens_a_session_and_leads_to_what_was_asked_for(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    browser = house.browser()

    answer = browser.log_in("rosa", next="/tickets/?open=1")

    assert (answer.status_code, answer.location) == (303, "/tickets/?open=1")
    assert browser.get("/whoami").json["user"] == "rosa"


def test_an_address_that_only_one_person_has_logs_in_too(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa", email="Rosa@orchard.example")

    assert house.browser().log_in("rosa@orchard.example").status_code == 303


def test_the_cookies_of_a_session_have_the_names_and_bounds_of_the_contract(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    plain = set_cookies(house.browser().log_in("rosa"))
    secure = set_cookies(house.browser("https://localhost:8000").log_in("rosa"))

    for name in ("session", "refresh"):
        found = plain[f"mergepoint-{name}"]
        assert "Path=/;" in found and "HttpOnly" in found and "SameSite=Lax" in found
        assert "Secure" not in found and "Domain" not in found
        found = secure[f"__Host-mergepoint-{name}"]
        assert "Path=/;" in found and "Secure" in found and "Domain" not in found
        assert f"mergepoint-{name}" not in secure


def test_cookies_of_the_other_kind_of_connection_are_not_looked_at(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    browser = house.browser()
    browser.log_in("rosa")
    value = browser.client.get_cookie("mergepoint-refresh").value
    stranger = house.browser("https://localhost:8000")
    stranger.client.set_cookie("mergepoint-refresh", value)

    assert browser.is_in()
    assert not stranger.is_in()


@pytest.mark.parametrize("user", ["rosa", "nobody", "disabled"])
def test_a_wrong_login_says_the_same_whoever_it_was(house, user: str) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    out = house.person("disabled")
    house.accounts.people.disable(out.sub, BY_TEST)

    typed = PASSWORD if user == "disabled" else "not the password"
    answer = house.browser().log_in(user, typed)

    assert answer.status_code == 422
    assert "User name and password do not match an account that may log in." in answer.text
    assert not any("session" in name for name in set_cookies(answer))


def test_the_form_keeps_the_name_and_never_the_password(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    answer = house.browser().log_in("rosa", "a wrong but private password")

    assert 'value="rosa"' in answer.text
    assert "private" not in answer.text


def test_an_empty_form_names_each_field_and_links_to_it(house) -> None:  # type: ignore[no-untyped-def]
    answer = house.browser().post("/login", {"user": "", "password": ""})

    assert answer.status_code == 422
    for name in ("user", "password"):
        assert f'href="#{name}"' in answer.text
        assert f'aria-describedby="{name}-wrong"' in answer.text
    assert "<title>Error: Log in" in answer.text


def test_too_many_tries_are_told_how_long_to_wait(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    house.clock.stop()
    browser = house.browser()
    answers = [browser.log_in("rosa", "wrong") for _ in range(11)]

    assert [a.status_code for a in answers] == [422] * 10 + [429]
    assert re.search(r"Please wait \d+ (seconds|minutes)", answers[-1].text)
    assert browser.log_in("rosa").status_code == 429


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/%2f%2fevil.example",
     "/\t/evil.example", "evil.example", "javascript:alert(1)", "/%5cevil.example", ""],
)  # fmt: skip
def test_a_login_never_leads_to_another_site(house, target: str) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")

    assert house.browser().log_in("rosa", next=target).location == "/-/accounts/"


def test_a_second_factor_comes_between_the_password_and_the_session(house) -> None:  # type: ignore[no-untyped-def]
    secret, _ = with_totp(house)
    browser = house.browser()

    first = browser.log_in("rosa", next="/wiki/")
    assert first.location == "/-/accounts/login/second?next=/wiki/"
    assert not any("session" in name for name in set_cookies(first))
    assert not browser.is_in()

    asked = browser.get(first.location)
    assert 'autocomplete="one-time-code"' in asked.text
    done = browser.post("/login/second", {"code": code_of(house, secret), "next": "/wiki/"})
    assert (done.status_code, done.location) == (303, "/wiki/")
    assert browser.get("/whoami").json["amr"] == ["pwd", "otp", "mfa"]


def test_a_code_works_once(house) -> None:  # type: ignore[no-untyped-def]
    secret, _ = with_totp(house)
    code = code_of(house, secret)
    first, second = house.browser(), house.browser()
    first.log_in("rosa")
    second.log_in("rosa")

    assert first.post("/login/second", {"code": code}).status_code == 303
    assert second.post("/login/second", {"code": code}).status_code == 422
    assert not second.is_in()


def test_a_recovery_code_stands_in_for_the_telephone_once(house) -> None:  # type: ignore[no-untyped-def]
    _, codes = with_totp(house)
    typed = {"code": codes[0].upper(), "way": "recovery"}
    for expected in (303, 422):
        browser = house.browser()
        browser.log_in("rosa")
        assert "recovery codes you kept" in browser.get("/login/second?way=recovery").text
        assert browser.post("/login/second", typed).status_code == expected


def test_a_second_step_without_a_first_leads_back_to_the_beginning(house) -> None:  # type: ignore[no-untyped-def]
    answer = house.browser().post("/login/second", {"code": "123456"})

    assert answer.status_code == 422
    assert "Please start again" in answer.text


def test_a_second_step_ends_after_five_wrong_codes(house) -> None:  # type: ignore[no-untyped-def]
    secret, _ = with_totp(house)
    browser = house.browser()
    browser.log_in("rosa")
    for _ in range(5):
        answer = browser.post("/login/second", {"code": "000000"})

    assert "Please start again" in answer.text
    assert "start again" in browser.post("/login/second", {"code": code_of(house, secret)}).text


def test_where_everybody_needs_a_second_factor_the_first_login_sets_one_up(raised) -> None:  # type: ignore[no-untyped-def]
    house = raised(second_factor="required")
    house.person("rosa")
    browser = house.browser()

    answer = browser.log_in("rosa", next="/wiki/")
    assert answer.location == "/-/accounts/login/enrol?next=/wiki/"
    assert not browser.is_in()
    page = browser.get(answer.location).text
    secret = re.search(r'id="seed">([A-Z2-7 ]+)<', page)
    assert secret
    wrong = browser.post("/login/enrol", {"code": "000000", "next": "/wiki/"})
    assert wrong.status_code == 422 and secret[1] in wrong.text

    code = code_of(house, secret[1].replace(" ", ""))
    done = browser.post("/login/enrol", {"code": code, "next": "/wiki/"})
    assert done.text.count("<li>") == 10 and 'href="/wiki/"' in done.text
    assert browser.is_in()


def test_logging_out_asks_first_and_then_ends_the_session_for_good(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    kept = browser.client.get_cookie("mergepoint-refresh").value

    assert 'method="post"' in browser.get("/logout").text
    assert browser.is_in()
    answer = browser.post("/logout")
    assert answer.status_code == 303
    assert int(answer.headers["Mergepoint-Feed"]) >= 1
    assert "You are logged out" in browser.get(answer.location).text

    browser.client.set_cookie("mergepoint-refresh", kept)
    assert not browser.is_in()


def test_whoever_is_logged_in_is_not_sent_round_in_circles(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    answer = browser.get("/login?next=/wiki/")

    assert answer.status_code == 200
    assert 'href="/wiki/"' in answer.text


def test_a_new_login_ends_the_session_the_browser_came_with(house) -> None:  # type: ignore[no-untyped-def]
    person = house.person("rosa")
    browser = house.browser()
    browser.log_in("rosa")
    browser.log_in("rosa")

    assert len(house.accounts.sessions.of(person.sub)) == 1


def test_a_page_asked_for_without_login_is_come_back_to(house) -> None:  # type: ignore[no-untyped-def]
    answer = house.browser().get("/admin/people?q=a%20b")

    assert answer.status_code == 303
    assert (
        answer.location == "/-/accounts/login?next=%2F-%2Faccounts%2Fadmin%2Fpeople%3Fq%3Da%2520b"
    )
