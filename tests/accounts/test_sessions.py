"""Sessions begin, are refreshed, rotate and end, and the edge hears of every end.

Place:  make test
Rule:   on both databases; time is moved, never waited for.
"""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.claims import SESSION_TYP
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.sessions import SESSIONS_MAX, Started

from .acting import MovedClock, add, events, log_in


def claims(accounts: Accounts, token: str) -> dict[str, Any]:
    """Verify a token as the edge does: by the keys of the feed."""
    keys = {key["kid"]: key["x"] for key in accounts.feed.read("", 0)["keys"]}
    decoded = jwt.decode(
        token,
        lambda guest: OKPKey.import_key(
            {"kty": "OKP", "crv": "Ed25519", "x": keys[guest.headers()["kid"]]}
        ),
        algorithms=["EdDSA"],
    )
    assert decoded.header["typ"] == SESSION_TYP
    return dict(decoded.claims)


def ended(accounts: Accounts, started: Started) -> bool:
    """Tell whether the feed ends this token, by the contract's rule."""
    told = claims(accounts, started.token)
    ids = {"session": told["sid"], "subject": told["sub"], "site": ""}
    return any(
        entry["id"] == ids.get(entry["kind"]) and told["iat"] < entry["before"]
        for entry in accounts.feed.read("", 0)["revocations"]
    )


def begin(accounts: Accounts, user: str = "ada") -> tuple[Started, str]:
    step, browser = log_in(accounts, user)
    assert step.started is not None
    return step.started, browser.refresh


def test_a_token_says_what_the_contract_says(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    accounts.people.set_groups(ada.sub, ["berlin", "Domain Users"], Caller())
    started, _ = begin(accounts)

    told = claims(accounts, started.token)

    issued = told.pop("iat")
    assert clock.now_s <= issued < clock.now_s + 1
    assert told == {
        "iss": "mergepoint:acme",
        "aud": "acme",
        "sub": ada.sub,
        "sid": started.session.sid,
        "exp": issued + 600,
        "auth_time": issued,
        "amr": ["pwd"],
        "kind": "person",
        "user": "ada",
        "name": "",
        "email": "",
        "lang": "en",
        "roles": ["developer"],
        "groups": ["Domain Users", "berlin"],
    }


def test_the_largest_person_fits_a_session_token(accounts: Accounts, by: Caller) -> None:
    person = add(
        accounts,
        "a" * 64,
        by,
        name="\N{GRINNING FACE}" * 64,
        email="e" * 248 + "@x.org",
        lang="zh-Hant",
        roles=["developer"],
    )
    accounts.people.set_groups(person.sub, [f"{n:03}" + "g" * 97 for n in range(15)], by)

    started = accounts.sessions.start(person.sub, ["pwd", "otp", "recovery", "mfa"], by)

    assert started is not None
    assert 3000 < len(started.token) <= 3800
    with pytest.raises(Refused, match="at most 1600"):
        accounts.people.set_groups(person.sub, [f"{n:03}" + "g" * 97 for n in range(17)], by)


def test_a_refresh_carries_what_is_true_now(accounts: Accounts, ada: Person, by: Caller) -> None:
    started, refresh = begin(accounts)
    accounts.people.set_roles(ada.sub, ["reader"], by)

    again = accounts.sessions.refresh(refresh, by)

    assert again is not None
    assert ended(accounts, started)
    assert not ended(accounts, again)
    assert claims(accounts, again.token)["roles"] == ["reader"]
    assert [c.partition("=")[0] for c in again.set_cookie] == ["__Host-mergepoint-session"]


def test_a_proof_issued_in_the_same_instant_after_a_change_counts(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    """The clock does not move at all between these: order alone decides."""
    for roles in (["reader"], ["developer"], [], ["reader"]):
        before, refresh = begin(accounts)
        accounts.people.set_roles(ada.sub, roles, by)
        after = accounts.sessions.refresh(refresh, by)

        assert after is not None
        assert ended(accounts, before)
        assert not ended(accounts, after)


def test_a_session_not_used_for_its_idle_time_has_ended(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    _, refresh = begin(accounts)
    idle_s = accounts.settings.session_idle_s
    clock.pass_s(idle_s - 1)
    assert accounts.sessions.refresh(refresh, by) is not None
    clock.pass_s(idle_s - 1)
    assert accounts.sessions.refresh(refresh, by) is not None
    clock.pass_s(idle_s + 1)

    assert accounts.sessions.refresh(refresh, by) is None
    assert accounts.sessions.current(refresh) is None
    assert accounts.sessions.of(ada.sub) == []


def test_no_session_outlives_its_end_and_no_token_the_session(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    started, refresh = begin(accounts)
    end_s = started.session.expires_at
    while clock.now_s + 80_000 < end_s:
        clock.pass_s(80_000)
        assert accounts.sessions.refresh(refresh, by) is not None
    clock.now_s = end_s - 100
    last = accounts.sessions.refresh(refresh, by)

    assert last is not None
    assert claims(accounts, last.token)["exp"] == end_s
    clock.now_s = end_s
    assert accounts.sessions.refresh(refresh, by) is None


@pytest.mark.parametrize("wrong", ["", ".", "x", "a.b", "\0.\0", "a" * 22 + "." + "b" * 43])
def test_a_cookie_that_is_not_ours_is_nobody(accounts: Accounts, by: Caller, wrong: str) -> None:
    assert accounts.sessions.refresh(wrong, by) is None
    assert accounts.sessions.current(wrong) is None


def test_the_secret_of_one_session_does_not_open_another(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    _, first = begin(accounts)
    _, second = begin(accounts)
    swapped = f"{first.partition('.')[0]}.{second.partition('.')[2]}"

    assert accounts.sessions.refresh(swapped, by) is None
    assert accounts.sessions.refresh(first, by) is not None


def test_whoever_logs_out_is_out(accounts: Accounts, ada: Person, by: Caller) -> None:
    started, refresh = begin(accounts)
    other, other_refresh = begin(accounts)

    accounts.sessions.end(started.session.sid, by, sub=ada.sub)

    assert by.position == accounts.feed.read("", 0)["position"] > 0
    assert ended(accounts, started)
    assert not ended(accounts, other)
    assert accounts.sessions.refresh(refresh, by) is None
    assert accounts.sessions.refresh(other_refresh, by) is not None
    assert events(accounts, "session.") == ["session.ended"]


def test_nobody_ends_the_session_of_another(accounts: Accounts, ada: Person, by: Caller) -> None:
    bob = add(accounts, "bob", by)
    started, refresh = begin(accounts)

    with pytest.raises(Refused, match="no such session"):
        accounts.sessions.end(started.session.sid, by, sub=bob.sub)

    assert accounts.sessions.refresh(refresh, by) is not None


def test_ending_all_others_keeps_this_one(accounts: Accounts, ada: Person, by: Caller) -> None:
    mine, refresh = begin(accounts)
    other, other_refresh = begin(accounts)

    assert accounts.sessions.end_all(ada.sub, by, keep=mine.session.sid) == 1

    assert ended(accounts, other)
    assert accounts.sessions.refresh(other_refresh, by) is None
    kept = accounts.sessions.refresh(refresh, by)
    assert kept is not None
    assert not ended(accounts, kept)


def test_when_everybody_is_sent_out_a_new_login_counts(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    bob = add(accounts, "bob", by)
    old = [begin(accounts, person.user) for person in (ada, bob)]

    assert accounts.sessions.end_everybody(by) == 2

    assert all(ended(accounts, started) for started, _ in old)
    assert all(accounts.sessions.refresh(refresh, by) is None for _, refresh in old)
    new, _ = begin(accounts)
    assert not ended(accounts, new)


def test_a_further_proof_gives_the_session_a_new_id_and_secret(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    started, refresh = begin(accounts)
    clock.pass_s(1000)

    stronger = accounts.sessions.rotate(started.session.sid, ["otp"], by)

    assert stronger is not None
    assert stronger.session.sid != started.session.sid
    assert stronger.session.amr == ("pwd", "otp")
    assert stronger.session.expires_at == started.session.expires_at
    assert claims(accounts, stronger.token)["auth_time"] >= clock.now_s
    assert ended(accounts, started)
    assert accounts.sessions.refresh(refresh, by) is None
    assert accounts.sessions.rotate(started.session.sid, ["otp"], by) is None


def test_a_login_replaces_the_session_the_browser_came_with(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    _, browser = log_in(accounts)
    step, after = log_in(accounts, browser=browser)

    assert step.started is not None
    assert after.refresh != browser.refresh
    assert accounts.sessions.refresh(browser.refresh, by) is None
    assert len(accounts.sessions.of(ada.sub)) == 1


def test_beyond_the_bound_the_session_unused_for_longest_ends(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    began = []
    for _ in range(SESSIONS_MAX + 1):
        clock.pass_s(1)
        started = accounts.sessions.start(ada.sub, ["pwd"], by)
        assert started is not None
        began.append(started)

    assert len(accounts.sessions.of(ada.sub)) == SESSIONS_MAX
    assert ended(accounts, began[0])
    assert not ended(accounts, began[1])


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookies_are_those_of_the_contract(
    accounts: Accounts, ada: Person, secure: bool
) -> None:
    by = Caller(secure=secure)
    started = accounts.sessions.start(ada.sub, ["pwd"], by)
    brief = accounts.sessions.start(ada.sub, ["pwd"], by, keep=False)

    assert started is not None
    assert brief is not None
    prefix, attribute = ("__Host-", "; Secure") if secure else ("", "")
    names = [f"{prefix}mergepoint-session=", f"{prefix}mergepoint-refresh="]
    for cookie, name in zip(started.set_cookie, names, strict=True):
        assert cookie.startswith(name)
        assert cookie.endswith(f"; Path=/; Max-Age=1209600{attribute}; HttpOnly; SameSite=Lax")
        assert len(cookie) < 4096
    assert not any("Max-Age" in cookie for cookie in brief.set_cookie)
    assert all("Max-Age=0" in c for c in accounts.sessions.ended_cookies(by))
