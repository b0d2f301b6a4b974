"""Logging in: who gets in, who waits, and what a stranger can learn or break.

Place:  make test
Rule:   the clock is moved; costs are compared as ratios of one run, with much slack.
"""

from __future__ import annotations

import pytest

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import SecondFactor
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.logins import Browser, Status
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.throttle import (
    ACCOUNT,
    ADDRESS,
    DEVICE,
    FACTOR,
    TELL_EVERY_S,
    network_of,
)

from .acting import NEW_BROWSER, PASSWORD, MovedClock, add, events, kept, log_in
from .conftest import Open
from .test_factors import code_of, enrol


def fail(accounts: Accounts, times: int, user: str = "ada", address: str = "203.0.113.9") -> None:
    """Guess wrong passwords as a stranger does, from another address each time."""
    for n in range(times):
        where = address if address != "everywhere" else f"198.51.100.{n % 250}"
        log_in(accounts, user, "not the password", address=where)


def test_the_right_password_opens_and_a_wrong_one_does_not(accounts: Accounts, ada: Person) -> None:
    right, _ = log_in(accounts)
    wrong, browser = log_in(accounts, password=PASSWORD + "x")

    assert (right.status, right.person) == (
        Status.IN,
        accounts.people.get(ada.sub) and right.person,
    )
    assert right.person is not None
    assert right.person.sub == ada.sub
    assert wrong.status is Status.WRONG
    assert wrong.person is None
    assert wrong.set_cookie == ()
    assert browser == NEW_BROWSER
    assert events(accounts, "login.") == ["login.refused", "login.done"]


def test_an_unknown_a_disabled_and_a_wrong_one_look_the_same(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    add(accounts, "bob", by)
    accounts.people.disable(add(accounts, "eve", by).sub, by)
    accounts.people.add("robot", by, kind="service")

    answers = [
        log_in(accounts, user, password)[0]
        for user, password in (
            ("nobody", PASSWORD),
            ("eve", PASSWORD),
            ("robot", PASSWORD),
            ("ada", "wrong"),
            ("ada", ""),
            ("ada", "x" * 5000),
            ("a\0da", PASSWORD),
            ("\ud800", PASSWORD),
        )
    ]

    assert all(answer == answers[0] for answer in answers)
    assert answers[0].status is Status.WRONG


def test_a_name_nobody_has_is_not_written_down(accounts: Accounts, ada: Person) -> None:
    log_in(accounts, "my secret password", "x")
    log_in(accounts, "ada", "x")

    told = [(e.target_user, e.target) for e in accounts.audit.read(event="login.refused")]
    assert told == [("ada", ada.sub), ("", "")]


def test_an_address_only_one_person_has_is_a_name_too(accounts: Accounts, by: Caller) -> None:
    add(accounts, "ada", by, email="Ada@Acme.Example")
    add(accounts, "bob", by, email="team@acme.example")
    add(accounts, "eve", by, email="team@acme.example")

    assert log_in(accounts, "ada@acme.example")[0].status is Status.IN
    assert log_in(accounts, "team@acme.example")[0].status is Status.WRONG


def test_a_guesser_is_stopped_whatever_addresses_he_has(accounts: Accounts, ada: Person) -> None:
    fail(accounts, ACCOUNT.burst, address="everywhere")

    step, _ = log_in(accounts, address="203.0.113.200")

    assert step.status is Status.WAIT
    assert 0 < step.retry_after_s <= ACCOUNT.every_s


def test_whoever_has_logged_in_from_here_is_never_locked_out_by_others(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    _, home = log_in(accounts)
    for _ in range(3):
        fail(accounts, 3 * ACCOUNT.burst, address="everywhere")
        fail(accounts, 2 * ADDRESS.burst, user="nobody", address="192.0.2.7")

        assert log_in(accounts, address="192.0.2.7")[0].status is Status.WAIT
        step, home = log_in(accounts, browser=home, address="192.0.2.7")
        assert step.status is Status.IN
        clock.pass_s(86400)


def test_a_known_browser_has_an_allowance_of_its_own_and_no_more(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    _, home = log_in(accounts)
    for _ in range(DEVICE.burst):
        assert log_in(accounts, password="wrong", browser=home)[0].status is Status.WRONG

    assert log_in(accounts, browser=home)[0].status is Status.WAIT
    clock.pass_s(DEVICE.every_s)
    assert log_in(accounts, browser=home)[0].status is Status.IN


def test_a_device_cookie_of_one_account_is_worth_nothing_for_another(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    add(accounts, "eve", by)
    _, browser = log_in(accounts, "eve")
    fail(accounts, ACCOUNT.burst, address="everywhere")

    assert log_in(accounts, "ada", browser=browser)[0].status is Status.WAIT
    assert accounts.devices.read(browser.device, ada.sub) is None


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_forged_device_cookie_is_none(accounts: Accounts, ada: Person, place: int) -> None:
    _, browser = log_in(accounts)
    parts = browser.device.split(".")
    swapped = {"0": "1"}.get(parts[place][-1], "0")
    parts[place] = parts[place][:-1] + swapped
    if place == 3:
        parts[3] = "A" * 43

    assert accounts.devices.read(browser.device, ada.sub) is not None
    assert accounts.devices.read(".".join(parts), ada.sub) is None


def test_a_device_cookie_ends(accounts: Accounts, ada: Person, clock: MovedClock) -> None:
    _, browser = log_in(accounts)
    clock.pass_s(accounts.settings.device_life_s)

    assert accounts.devices.read(browser.device, ada.sub) is None


def test_an_office_that_logs_in_correctly_uses_nothing_up(accounts: Accounts, by: Caller) -> None:
    add(accounts, "ada", by)
    for _ in range(ADDRESS.burst + 5):
        assert log_in(accounts)[0].status is Status.IN


def test_one_address_cannot_try_many_names_for_ever(accounts: Accounts, ada: Person) -> None:
    for n in range(ADDRESS.burst):
        assert log_in(accounts, f"user{n}", "x")[0].status is Status.WRONG

    assert log_in(accounts, "userx", "x")[0].status is Status.WAIT
    assert log_in(accounts, address="192.0.2.99")[0].status is Status.IN


def test_a_flood_does_not_fill_the_audit_log(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    fail(accounts, ACCOUNT.burst + 50)

    assert events(accounts, "login.refused") == ["login.refused"] * ACCOUNT.burst
    assert events(accounts, "login.throttled") == ["login.throttled"]
    clock.pass_s(TELL_EVERY_S)
    fail(accounts, 10)
    assert events(accounts, "login.throttled") == ["login.throttled"] * 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_household_of_ipv6_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


def test_with_a_second_factor_a_password_alone_opens_nothing(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    secret = enrol(accounts, ada, clock)
    clock.pass_s(60)
    step, browser = log_in(accounts)

    assert (step.status, step.started, step.set_cookie) == (Status.FACTOR, None, ())
    assert step.methods == ("totp",)
    by = Caller(secure=True)
    wrong = accounts.logins.code(step.attempt, "000000", by, browser)
    assert wrong.status is Status.WRONG
    right = accounts.logins.code(wrong.attempt, code_of(secret, clock), by, browser)
    assert right.status is Status.IN
    assert right.started is not None
    assert right.started.session.amr == ("pwd", "otp", "mfa")
    assert accounts.logins.code(step.attempt, code_of(secret, clock), by, browser).status is (
        Status.OVER
    )


def test_codes_cannot_be_guessed_through_many_attempts(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    enrol(accounts, ada, clock)
    by = Caller(address="203.0.113.9")
    said = []
    for _ in range(4):
        step, browser = log_in(accounts)
        for _ in range(5):
            answer = accounts.logins.code(step.attempt, "000000", by, browser)
            said.append(answer.status)
            if answer.status is Status.OVER:
                break

    assert said.count(Status.WRONG) + said.count(Status.OVER) <= FACTOR.burst + 4
    assert Status.WAIT in said


def test_a_known_browser_s_owner_is_asked_though_a_thief_of_the_password_guesses_codes(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    _, home = log_in(accounts)
    secret = enrol(accounts, ada, clock)
    clock.pass_s(60)
    thief = Caller(address="203.0.113.9")
    for _ in range(3):
        step, browser = log_in(accounts)
        for _ in range(5):
            accounts.logins.code(step.attempt, "000000", thief, browser)

    step, _ = log_in(accounts, browser=home)
    answer = accounts.logins.code(step.attempt, code_of(secret, clock), Caller(), home)
    assert answer.status is Status.IN


def test_where_a_second_factor_is_required_it_is_set_up_before_anything_opens(
    opened: Open, by: Caller, clock: MovedClock
) -> None:
    accounts = opened(second_factor=SecondFactor.REQUIRED)
    ada = add(accounts, "ada", by)
    step, browser = log_in(accounts)
    assert (step.status, step.started) == (Status.ENROL, None)
    assert accounts.logins.code(step.attempt, "000000", by, browser).status is Status.OVER
    begun = accounts.logins.begun(step.attempt)
    assert begun is not None
    assert begun.sub == ada.sub

    enrol(accounts, ada, clock)
    done = accounts.logins.complete(step.attempt, ["otp", "mfa"], by, browser)

    assert done.status is Status.IN
    assert accounts.logins.complete(step.attempt, ["otp"], by, browser).status is Status.OVER


def test_a_begun_login_expires(accounts: Accounts, ada: Person, clock: MovedClock) -> None:
    secret = enrol(accounts, ada, clock)
    clock.pass_s(60)
    step, browser = log_in(accounts)
    clock.pass_s(601)

    answer = accounts.logins.code(step.attempt, code_of(secret, clock), Caller(), browser)
    assert answer.status is Status.OVER


def test_a_fresh_proof_inside_a_session_gives_it_a_new_id(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    step, browser = log_in(accounts)
    assert step.started is not None
    sid = step.started.session.sid
    clock.pass_s(5000)

    wrong = accounts.logins.again(sid, ada.sub, "wrong", by, browser)
    right = accounts.logins.again(sid, ada.sub, PASSWORD, by, browser)

    assert wrong.status is Status.WRONG
    assert right.started is not None
    assert right.started.session.sid != sid
    assert right.started.session.auth_at >= clock.now_s
    assert accounts.sessions.refresh(browser.refresh, by) is None
    assert accounts.sessions.refresh(kept(right).refresh, by) is not None


def test_nobody_s_session_is_begun_for_somebody_who_is_gone(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    accounts.people.disable(ada.sub, by)

    assert accounts.logins.proven(ada.sub, ["hwk"], by, Browser()).status is Status.WRONG
    assert accounts.logins.proven("nobody", ["hwk"], by, Browser()).status is Status.WRONG
