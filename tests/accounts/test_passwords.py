"""Passwords: what they cost, which are good enough, and what setting one ends.

Place:  make test
Rule:   costs are compared as ratios of one run, with much slack.
"""

from __future__ import annotations

import statistics
import threading
import time

import pytest

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import Argon2Cost
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Busy, Refused
from mergepoint.identity.accounts.service.hashing import Hasher
from mergepoint.identity.accounts.service.logins import Status
from mergepoint.identity.accounts.service.person import Person

from .acting import PASSWORD, add, log_in
from .conftest import CHEAP, Open


def test_a_stranger_cannot_tell_by_the_time_who_exists(opened: Open, by: Caller) -> None:
    """Order of magnitude: the hash dominates, and both ways make exactly one."""
    accounts = opened(argon2=Argon2Cost(passes=2, memory_kib=8192, lanes=1))
    accounts.passwords.warm()
    add(accounts, "ada", by)
    accounts.people.add("robot", by, kind="service")

    def took_s(user: str) -> float:
        began = time.perf_counter()
        assert accounts.passwords.check(user, "wrong password", by) is None
        return time.perf_counter() - began

    times = {user: [] for user in ("ada", "nobody", "robot", "a\0b")}
    for _ in range(9):
        for user, taken in times.items():
            taken.append(took_s(user))

    medians = [statistics.median(taken) for taken in times.values()]
    assert max(medians) < 3 * min(medians), times


def test_the_recommended_cost_is_what_is_used(opened: Open) -> None:
    stored = Hasher(Argon2Cost()).hash(PASSWORD)

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_hash_of_another_cost_is_made_anew_at_the_next_login(
    accounts: Accounts, ada: Person, opened: Open
) -> None:
    dearer = opened(argon2=Argon2Cost(passes=2, memory_kib=16, lanes=1))

    assert log_in(dearer)[0].status is Status.IN

    with dearer.store.read() as session:
        from mergepoint.identity.accounts.store.models import SubjectRow

        stored = session.get_one(SubjectRow, ada.sub).password_hash
    assert stored is not None
    assert "m=16,t=2" in stored
    assert log_in(dearer)[0].status is Status.IN


def test_hashes_beyond_the_bound_wait_and_then_are_refused() -> None:
    hasher = Hasher(CHEAP, at_once_max=1, wait_s=0.05)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with hasher._turn():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    with pytest.raises(Busy):
        hasher.hash(PASSWORD)
    leave.set()
    holder.join(30)
    assert hasher.verify(hasher.hash(PASSWORD), PASSWORD)


def test_a_password_typed_on_another_keyboard_is_the_same() -> None:
    hasher = Hasher(CHEAP)

    assert hasher.verify(hasher.hash("na\u00efve caf\u00e9 owner"), "nai\u0308ve cafe\u0301 owner")


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", "short"),
        ("abababababab", "monotonous"),
        ("ADALOVELACE99", "name"),
        ("my-acme-password", "name"),
        ("lovelace is here", "name"),
        ("x" * 1025, "long"),
    ],
)
def test_a_password_anybody_would_try_is_refused_with_the_reason(
    accounts: Accounts, by: Caller, password: str, fault: str
) -> None:
    found = accounts.passwords.judge(password, "adalovelace", "Ada Lovelace")

    assert fault in [f.code for f in found]
    with pytest.raises(Refused, match="the password:"):
        accounts.passwords.hashed(password, "adalovelace", "Ada Lovelace")


def test_a_set_password_ends_every_session_but_the_one_kept(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    mine, browser = log_in(accounts)
    _, other = log_in(accounts)
    assert mine.started is not None

    accounts.passwords.set(ada.sub, "another plum tree", by, keep=mine.started.session.sid)

    assert accounts.sessions.refresh(other.refresh, by) is None
    assert accounts.sessions.refresh(browser.refresh, by) is not None
    assert log_in(accounts)[0].status is Status.WRONG
    assert log_in(accounts, password="another plum tree")[0].status is Status.IN
    assert [r["kind"] for r in accounts.feed.read("", 0)["revocations"]] == ["subject"]
