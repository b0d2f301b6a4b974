"""What somebody does with their own account."""

from __future__ import annotations

import re

import pyotp
import pytest

from mergepoint.identity import Identity
from mergepoint.identity.accounts.caller import Caller

PASSWORD = "seven pears on a wall"
NEW = "nine plums under the hedge"
BY_TEST = Caller(user="(test)")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1"


def sub_of(browser) -> str:  # type: ignore[no-untyped-def]
    return browser.get("/whoami").json["sub"]


def test_name_email_and_language_are_changed_and_kept(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    sent = {"name": "Rosa Quince", "email": "rosa@orchard.example", "lang": "de"}
    answer = browser.post("/profile", sent)

    assert answer.status_code == 303
    assert "Gespeichert." in browser.get(answer.location).text
    known = browser.get("/whoami").json
    assert {key: known[key] for key in sent} == sent


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": "x" * 129, "email": "", "lang": "en"}, "name"),
        ({"name": "", "email": "not an address", "lang": "en"}, "email"),
        ({"name": "", "email": "", "lang": "tlh"}, "lang"),
    ],
)
def test_a_wrong_profile_says_where_and_changes_nothing(house, sent, field: str) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    answer = browser.post("/profile", sent)

    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert browser.get("/whoami").json["name"] == ""


def test_whoami_tells_programs_what_they_need_and_strangers_nothing(house) -> None:  # type: ignore[no-untyped-def]
    known = house.inside("rosa", roles=("reader",)).get("/whoami").json
    stranger = house.browser().get("/whoami")

    assert known["user"] == "rosa" and known["permissions"] == ["tickets.read"]
    assert stranger.status_code == 401
    assert stranger.json == {"code": "identity.required", "login": "/-/accounts/login"}


def test_whoami_of_an_api_token_is_what_the_edge_has_proven(house) -> None:  # type: ignore[no-untyped-def]
    told = Identity(sub="s1", user="builder", kind="service", roles=("reader",), amr=("token",))
    beside = {"mergepoint.identity": told}
    known = house.browser().get("/whoami", environ_overrides=beside).json
    forged = house.browser().get("/whoami", headers={"Mergepoint-Identity": "e30.e30.e30"})

    assert (known["user"], known["roles"], known["amr"]) == ("builder", ["reader"], ["token"])
    assert forged.status_code == 401


def test_a_new_password_needs_the_old_one_and_ends_every_other_session(house) -> None:  # type: ignore[no-untyped-def]
    browser, other = house.inside("rosa"), house.browser()
    other.log_in("rosa")
    wrong = browser.post("/security/password", {"old": "wrong", "password": NEW})
    assert wrong.status_code == 422 and "The password is not right." in wrong.text

    done = browser.post("/security/password", {"old": PASSWORD, "password": NEW})

    assert done.status_code == 303
    assert browser.is_in() and not other.is_in()
    assert house.browser().log_in("rosa").status_code == 422
    assert house.browser().log_in("rosa", NEW).status_code == 303


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("short", "at least 12 characters"),
        ("ababababababab", "repeats the same few characters"),
        ("rosa and her pears", "a name that anybody would try"),
        ("", "New password: please fill this in."),
    ],
)
def test_a_poor_password_is_refused_with_the_reason(house, password: str, told: str) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    answer = browser.post("/security/password", {"old": PASSWORD, "password": password})

    assert answer.status_code == 422
    assert told in answer.text
    assert not password or password not in answer.text.replace('value="rosa"', "")


def test_an_authenticator_is_set_up_by_its_first_code_and_switched_off_again(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    page = browser.get("/security/totp")
    secret = re.search(r'id="seed">([A-Z2-7 ]+)<', page.text)
    assert secret and "<svg" in page.text
    wrong = browser.post("/security/totp", {"code": "000000"})
    assert wrong.status_code == 422 and secret[1] in wrong.text

    code = pyotp.TOTP(secret[1].replace(" ", "")).at(int(house.clock.unix_s()))
    codes = re.findall(
        r"<li>([a-z2-7-]{19})</li>", browser.post("/security/totp", {"code": code}).text
    )
    assert len(set(codes)) == 10
    page = browser.get("/security").text
    assert "Recovery codes left: 10" in page and not any(c in page for c in codes)
    assert house.browser().log_in("rosa").location.startswith("/-/accounts/login/second")

    browser.post("/security/totp/off")
    assert house.browser().log_in("rosa").location == "/-/accounts/"


def test_new_recovery_codes_end_the_old_ones(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    sub = sub_of(browser)
    secret = house.accounts.factors.begin_totp(sub, BY_TEST).secret
    code = pyotp.TOTP(secret).at(int(house.clock.unix_s()))
    assert house.accounts.factors.confirm_totp(sub, code, BY_TEST)
    old = house.accounts.factors.make_recovery(sub, BY_TEST)

    shown = browser.post("/security/recovery").text

    assert shown.count("<li>") >= 10
    assert not house.accounts.factors.use_recovery(sub, old[0], BY_TEST)


def test_sessions_are_listed_by_device_and_ended_one_by_one_or_all(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    here, phone, old = house.browser(), house.browser(), house.browser()
    for browser, agent in ((here, CHROME), (phone, PHONE), (old, "curl/8.0")):
        browser.post(
            "/login", {"user": "rosa", "password": PASSWORD}, headers={"User-Agent": agent}
        )
    page = here.get("/sessions").text
    names = re.findall(r"<strong>(.*?)</strong>", page)
    assert names[0] == "Chrome on Linux" and page.count("This device") == 1
    assert sorted(names[1:]) == ["Safari on iPhone", "curl"]

    [end] = re.findall(r'action="([^"]+/end)"[^>]*><button[^>]*>Log out there<[^>]*> curl', page)
    assert here.post(end).status_code == 303
    assert not old.is_in() and phone.is_in()

    here.post("/sessions/end-others")
    assert here.is_in() and not phone.is_in()


def test_nobody_ends_the_session_of_somebody_else(house) -> None:  # type: ignore[no-untyped-def]
    rosa = house.inside("rosa")
    [theirs] = house.accounts.sessions.of(sub_of(rosa))
    otto = house.inside("otto")

    assert otto.post(f"/sessions/{theirs.sid}/end").status_code == 404
    assert rosa.is_in()


def test_a_token_is_shown_once_and_does_what_its_scopes_say_until_revoked(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa", roles=("reader",))
    sent = {"label": "build machine", "life": "30", "scopes": ["tickets.read"]}
    made = browser.post("/tokens", sent)
    [text] = re.findall(r"mpt_[a-z0-9]{12}_[A-Za-z0-9.-]{43}", made.text)
    checked = house.accounts.tokens.check("bearer", "", text, BY_TEST)
    assert checked is not None and checked.claims["permissions"] == ["tickets.read"]
    assert text not in browser.get("/tokens").text

    token = text.split("_")[1]
    assert house.inside("otto").post(f"/tokens/{token}/revoke").status_code == 404
    assert browser.post(f"/tokens/{token}/revoke").status_code == 303
    assert house.accounts.tokens.check("bearer", "", text, BY_TEST) is None


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"label": "", "life": "30"}, "label"),
        ({"label": "x", "life": "99999"}, "life"),
        ({"label": "x", "life": "30", "scopes": ["tickets.edit"]}, "scopes"),
    ],
)
def test_a_token_beyond_its_owner_or_without_a_label_is_not_made(house, sent, field: str) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa", roles=("reader",))
    answer = browser.post("/tokens", sent)

    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert house.accounts.tokens.of(sub_of(browser)) == []


def test_a_session_of_long_ago_proves_itself_again_and_loses_nothing_typed(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa", roles=("reader",))
    house.clock.ahead_s += 1000
    sent = {"label": "laptop", "life": "30", "scopes": ["tickets.read", "role:reader"]}
    asked = browser.post("/tokens", sent)
    assert asked.status_code == 403 and "Is it still you?" in asked.text
    held = re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', asked.text)
    assert held == [
        ("label", "laptop"),
        ("life", "30"),
        ("scopes", "tickets.read"),
        ("scopes", "role:reader"),
    ]
    wrong = browser.post("/tokens", {**sent, "proof_password": "wrong"})
    assert wrong.status_code == 422 and "The password is not right." in wrong.text
    assert house.accounts.tokens.of(sub_of(browser)) == []

    made = browser.post("/tokens", {**sent, "proof_password": PASSWORD})

    assert made.status_code == 200 and "mpt_" in made.text
    [token] = house.accounts.tokens.of(sub_of(browser))
    assert token.name == "laptop"
    assert browser.post("/tokens", {"label": "another", "life": "30"}).status_code == 200


def test_a_page_that_needs_a_fresh_proof_is_come_back_to(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    house.clock.ahead_s += 1000
    asked = browser.get("/security/totp")
    assert asked.location == "/-/accounts/prove?next=/-/accounts/security/totp"

    sent = {"next": "/-/accounts/security/totp", "proof_password": PASSWORD}
    assert browser.post("/prove", sent).location == "/-/accounts/security/totp"
    assert browser.get("/security/totp").status_code == 200


def test_a_proof_never_leads_to_another_site(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")

    assert browser.get("/prove?next=//evil.example").location == "/-/accounts/security"


def test_a_program_is_told_that_a_proof_is_needed(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    house.clock.ahead_s += 1000
    answer = browser.post("/security/passkeys/options", json={})

    assert (answer.status_code, answer.json["prove"]) == (403, True)


def test_the_last_way_in_is_not_removed(house) -> None:  # type: ignore[no-untyped-def]
    person = house.person("rosa", password="")
    house.accounts.passkeys.add(person.sub, "AAAA", b"key", BY_TEST, name="The only one")
    browser = house.browser()
    started = house.accounts.sessions.start(person.sub, ["hwk"], Caller())
    for cookie in started.set_cookie:
        name, _, value = cookie.split(";")[0].partition("=")
        browser.client.set_cookie(name, value)

    answer = browser.post("/security/passkeys/AAAA/remove")

    assert "said=last_way" in answer.location
    assert len(house.accounts.passkeys.of(person.sub)) == 1


@pytest.mark.parametrize(
    "sent",
    [{}, {"attempt": "x", "credential": {}}, {"attempt": [], "credential": "x"}, [], None],
)
def test_a_passkey_that_is_none_is_refused_without_a_word_about_whom(house, sent) -> None:  # type: ignore[no-untyped-def]
    answer = house.browser().post("/login/passkey", json=sent)

    assert answer.status_code == 403
    assert answer.json == {"code": "accounts.passkey", "message": "That passkey was not accepted."}


def test_a_challenge_is_used_up_by_the_first_answer(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.browser()
    asked = browser.post("/login/passkey/options").json
    sent = {"attempt": asked["attempt"], "credential": {"id": "AAAA", "response": {}}}
    assert house.accounts.attempts.read(asked["attempt"], "passkey.login") is not None

    browser.post("/login/passkey", json=sent)

    assert house.accounts.attempts.read(asked["attempt"], "passkey.login") is None


def test_beginning_passkey_logins_without_end_is_slowed_down(house) -> None:  # type: ignore[no-untyped-def]
    house.clock.stop()
    answers = [house.browser().post("/login/passkey/options") for _ in range(61)]

    assert [a.status_code for a in answers] == [200] * 60 + [429]
    assert "Please wait" in answers[-1].json["message"]


def test_a_site_reached_by_an_address_offers_no_passkeys(raised) -> None:  # type: ignore[no-untyped-def]
    house = raised(public_url="http://127.0.0.1:8000")
    page = house.browser("http://127.0.0.1:8000").get("/login")

    assert page.status_code == 200 and "passkey" not in page.text
    assert house.browser().post("/login/passkey/options").status_code in (404, 405)


def test_passkeys_are_offered_only_where_they_work(house) -> None:  # type: ignore[no-untyped-def]
    assert "data-passkey" in house.browser().get("/login").text
    assert "data-passkey" not in house.browser("http://127.0.0.1:8000").get("/login").text
