"""Second factors: a code works once, a recovery code works once, a copy is noticed.

Place:  make test
Rule:   codes are computed by pyotp as a telephone would, at the moved time.
"""

from __future__ import annotations

import threading

import pyotp
import pytest
from sqlalchemy import text

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.factors import Sealed
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.keys import ACCOUNTS, rotate_ring

from .acting import MovedClock, add, events


def code_of(secret: str, clock: MovedClock, steps: int = 0) -> str:
    """Return what the telephone shows, `steps` half minutes from now."""
    return pyotp.TOTP(secret).at(int(clock.now_s) + 30 * steps)


def enrol(accounts: Accounts, person: Person, clock: MovedClock) -> str:
    """Set up an authenticator; return its secret."""
    made = accounts.factors.begin_totp(person.sub, Caller())
    assert accounts.factors.confirm_totp(person.sub, code_of(made.secret, clock), Caller())
    return made.secret


def test_an_authenticator_counts_only_once_a_code_was_right(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    made = accounts.factors.begin_totp(ada.sub, by)

    assert made.uri.startswith("otpauth://totp/acme:ada?secret=")
    assert not accounts.factors.of(ada.sub).any
    assert not accounts.factors.check_totp(ada.sub, code_of(made.secret, clock), by)
    assert not accounts.factors.confirm_totp(ada.sub, "000000", by)
    assert accounts.factors.pending_totp(ada.sub) == made
    assert accounts.factors.confirm_totp(ada.sub, code_of(made.secret, clock), by)
    assert accounts.factors.of(ada.sub).totp
    assert accounts.factors.pending_totp(ada.sub) is None
    with pytest.raises(Refused, match="remove it first"):
        accounts.factors.begin_totp(ada.sub, by)


def test_a_code_works_once(accounts: Accounts, ada: Person, by: Caller, clock: MovedClock) -> None:
    secret = enrol(accounts, ada, clock)
    assert not accounts.factors.check_totp(ada.sub, code_of(secret, clock), by)
    clock.pass_s(30)
    code = code_of(secret, clock)

    assert accounts.factors.check_totp(ada.sub, code, by)
    assert not accounts.factors.check_totp(ada.sub, code, by)
    assert not accounts.factors.check_totp(ada.sub, code_of(secret, clock, -1), by)


def test_of_two_who_send_one_code_at_once_one_gets_in(
    accounts: Accounts, ada: Person, clock: MovedClock
) -> None:
    secret = enrol(accounts, ada, clock)
    clock.pass_s(300)
    code, said = code_of(secret, clock), []
    start = threading.Barrier(4)

    def send() -> None:
        start.wait(30)
        said.append(accounts.factors.check_totp(ada.sub, code, Caller()))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(said) == [False, False, False, True]


@pytest.mark.parametrize(
    ("steps", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_half_a_minute_off_is_forgiven(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock, steps: int, right: bool
) -> None:
    secret = enrol(accounts, ada, clock)
    clock.pass_s(600)

    assert accounts.factors.check_totp(ada.sub, code_of(secret, clock, steps), by) is right


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\u0661" * 6, "\0" * 6])
def test_what_is_no_code_is_wrong(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock, code: str
) -> None:
    enrol(accounts, ada, clock)

    assert not accounts.factors.check_totp(ada.sub, code, by)


def test_the_secret_lies_sealed_and_survives_a_rotation_of_its_ring(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    secret = enrol(accounts, ada, clock)
    with accounts.store.read() as session:
        first = session.execute(text("SELECT sealed FROM accounts_totp")).scalar_one()
    rotate_ring(accounts.settings.keys_dir, ACCOUNTS, clock.now_s)
    clock.pass_s(3600)

    assert secret not in first
    assert accounts.factors.check_totp(ada.sub, code_of(secret, clock), by)
    with accounts.store.read() as session:
        second = session.execute(text("SELECT sealed FROM accounts_totp")).scalar_one()
    assert second.partition(".")[0] != first.partition(".")[0]


def test_sealed_anew_a_secret_outlives_the_key_that_sealed_it(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    keys_dir = accounts.settings.keys_dir
    secret = enrol(accounts, ada, clock)
    rotate_ring(keys_dir, ACCOUNTS, clock.now_s, overlap_s=100.0)

    sealed = accounts.factors.seal_anew(by)
    again = accounts.factors.seal_anew(by)
    clock.pass_s(200)
    ring = rotate_ring(keys_dir, ACCOUNTS, clock.now_s, overlap_s=100.0)

    assert (sealed, again) == (Sealed(1, 0), Sealed(0, 0))
    assert len(ring.keys) == 2, "the first key is gone"
    assert accounts.factors.check_totp(ada.sub, code_of(secret, clock), by)


def test_what_no_key_opens_is_counted_and_left_as_it_is(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    enrol(accounts, ada, clock)
    for user in ("bob", "eve"):
        enrol(accounts, add(accounts, user, by), clock)
    with accounts.store.write(by) as work:
        broken = {"sub": ada.sub}
        work.session.execute(
            text("UPDATE accounts_totp SET sealed = 'gone.AAAA' WHERE sub = :sub"), broken
        )
    rotate_ring(accounts.settings.keys_dir, ACCOUNTS, clock.now_s)

    assert accounts.factors.seal_anew(by) == Sealed(2, 1)
    assert accounts.factors.seal_anew(by) == Sealed(0, 1)


def test_a_secret_moved_to_another_person_opens_nothing(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    secret = enrol(accounts, ada, clock)
    eve = add(accounts, "eve", by)
    enrol(accounts, eve, clock)
    with accounts.store.write(by) as work:
        work.session.execute(
            text(
                "UPDATE accounts_totp SET last_step = 0, sealed = "
                "(SELECT sealed FROM accounts_totp WHERE sub = :ada) WHERE sub = :eve"
            ),
            {"ada": ada.sub, "eve": eve.sub},
        )
    clock.pass_s(60)

    assert not accounts.factors.check_totp(eve.sub, code_of(secret, clock), by)


def test_a_recovery_code_works_once_however_it_is_typed(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    first, second, *rest = accounts.factors.make_recovery(ada.sub, by)

    assert accounts.factors.use_recovery(ada.sub, f" {first.upper().replace('-', ' ')} ", by)
    assert not accounts.factors.use_recovery(ada.sub, first, by)
    assert accounts.factors.of(ada.sub).recovery_left == len(rest) + 1
    eve = add(accounts, "eve", by)
    assert not accounts.factors.use_recovery(eve.sub, second, by)
    accounts.factors.make_recovery(ada.sub, by)
    assert not accounts.factors.use_recovery(ada.sub, second, by)
    assert events(accounts, "factor.recovery") == [
        "factor.recovery_made",
        "factor.recovery_used",
        "factor.recovery_made",
    ]


def test_a_copied_passkey_is_refused_and_written_down(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    accounts.passkeys.add(ada.sub, "cred", b"key", by, name="telephone", sign_count=5)

    assert accounts.passkeys.used("cred", 6, by)
    assert not accounts.passkeys.used("cred", 6, by)
    assert events(accounts, "factor.passkey_cloned") == ["factor.passkey_cloned"]
    with pytest.raises(Refused, match="known already"):
        accounts.passkeys.add(ada.sub, "cred", b"key", by)


def test_a_passkey_that_does_not_count_is_no_copy(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    accounts.passkeys.add(ada.sub, "cred", b"key", by)

    assert accounts.passkeys.used("cred", 0, by)
    assert accounts.passkeys.used("cred", 0, by)


def test_nobody_removes_the_passkey_of_another(accounts: Accounts, ada: Person, by: Caller) -> None:
    accounts.passkeys.add(ada.sub, "cred", b"key", by)
    eve = add(accounts, "eve", by)

    with pytest.raises(Refused):
        accounts.passkeys.remove("cred", by, sub=eve.sub)
    assert [p.credential_id for p in accounts.passkeys.of(ada.sub)] == ["cred"]
