"""API tokens: shown once, narrowed by scopes, refused from the moment they end.

Place:  make test
Rule:   what a token may do is what the edge would compute from its claims.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.claims import narrowed
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.proofs import new_secret, split_token, token_text
from mergepoint.identity.accounts.service.tokens import TOKENS_MAX, USED_EVERY_S
from mergepoint.identity.permissions import grants

from .acting import MovedClock, add, events


def check(accounts: Accounts, secret: str, by: Caller, **more: str) -> dict[str, Any] | None:
    found = accounts.tokens.check(more.get("scheme", "bearer"), more.get("user", ""), secret, by)
    return found.claims if found else None


def test_a_token_stands_for_its_owner(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)

    told = check(accounts, made.text, by)

    assert told is not None
    assert told["token"] == made.info.id
    assert (told["sub"], told["user"], told["kind"]) == (ada.sub, "ada", "person")
    assert (told["roles"], told["amr"]) == (["developer"], ["token"])
    assert "sid" not in told
    assert "permissions" not in told
    assert told["exp"] > told["iat"] >= clock.now_s


def test_the_form_is_the_contract_s(accounts: Accounts, ada: Person, by: Caller) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    prefix, token_id, secret = made.text.split("_")

    assert (prefix, len(token_id), len(secret)) == ("mpt", 12, 43)
    assert len(base64.urlsafe_b64decode(secret.replace(".", "_") + "=")) == 32


def test_a_secret_of_any_bytes_survives_its_form() -> None:
    for _ in range(200):
        written = token_text("a" * 12, new_secret())
        assert written.count("_") == 2
        assert split_token(written) is not None


def test_only_a_hash_is_stored(accounts: Accounts, ada: Person, by: Caller) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)

    with accounts.store.read() as session:
        row = session.execute(text("SELECT * FROM accounts_token")).one()
    assert made.text.split("_")[2] not in str(row)
    assert all(made.text.split("_")[2] not in str(e.detail) for e in accounts.audit.read())


@pytest.mark.parametrize("damage", ["", "x", "mpt_", "\0", "\ud800", f"mpt_{'a' * 12}_{'b' * 43}"])
def test_what_is_no_token_of_ours_is_nothing(
    accounts: Accounts, ada: Person, by: Caller, damage: str
) -> None:
    assert check(accounts, damage, by) is None


def test_a_wrong_secret_of_a_right_id_is_nothing(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    other = accounts.tokens.create(ada.sub, "desk", by)

    assert check(accounts, f"{made.text[:17]}{other.text[17:]}", by) is None
    assert check(accounts, made.text.swapcase(), by) is None
    assert check(accounts, made.text + " ", by) is None


def test_basic_wants_the_owner_s_name_or_none(accounts: Accounts, ada: Person, by: Caller) -> None:
    made = accounts.tokens.create(ada.sub, "git", by)

    assert check(accounts, made.text, by, scheme="basic", user="ada") is not None
    assert check(accounts, made.text, by, scheme="basic", user="__token__") is not None
    assert check(accounts, made.text, by, scheme="basic", user="eve") is None
    assert check(accounts, made.text, by, scheme="basic", user="") is None


def test_a_revoked_token_is_refused_and_the_edge_is_told(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    told = check(accounts, made.text, by)
    assert told is not None

    accounts.tokens.revoke(made.info.id, by, sub=ada.sub)
    accounts.tokens.revoke(made.info.id, by, sub=ada.sub)

    assert check(accounts, made.text, by) is None
    (entry,) = accounts.feed.read("", 0)["revocations"]
    assert (entry["kind"], entry["id"]) == ("token", made.info.id)
    assert told["iat"] < entry["before"]
    assert accounts.tokens.of(ada.sub) == []
    assert events(accounts, "token.") == ["token.revoked", "token.created"]


def test_nobody_revokes_the_token_of_another(accounts: Accounts, ada: Person, by: Caller) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    eve = add(accounts, "eve", by)

    with pytest.raises(Refused):
        accounts.tokens.revoke(made.info.id, by, sub=eve.sub)
    assert check(accounts, made.text, by) is not None


def test_a_token_ends_when_it_was_said_to(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by, life_s=100.0)
    found = accounts.tokens.check("bearer", "", made.text, by)

    assert found is not None
    assert found.expires_at == made.info.expires_at == clock.now_s + 100
    clock.pass_s(100)
    assert check(accounts, made.text, by) is None


@pytest.mark.parametrize("life_s", [0.0, -1.0, 401 * 86400.0, float("nan"), float("inf")])
def test_a_life_that_is_none_is_refused(
    accounts: Accounts, ada: Person, by: Caller, life_s: float
) -> None:
    with pytest.raises(Refused, match="400 days"):
        accounts.tokens.create(ada.sub, "laptop", by, life_s=life_s)


def test_tokens_of_a_disabled_owner_are_refused_and_come_back(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    accounts.people.disable(ada.sub, by)
    assert check(accounts, made.text, by) is None
    accounts.people.enable(ada.sub, by)

    told = check(accounts, made.text, by)

    assert told is not None
    assert all(told["iat"] >= r["before"] for r in accounts.feed.read("", 0)["revocations"])


def test_scopes_take_away_and_never_add(accounts: Accounts, ada: Person, by: Caller) -> None:
    accounts.people.set_groups(ada.sub, ["berlin", "paris"], by)
    made = accounts.tokens.create(
        ada.sub, "ci", by, scopes=["tickets.read", "wiki.page.edit", "group:paris"]
    )

    told = check(accounts, made.text, by)

    assert told is not None
    assert told["roles"] == []
    assert told["groups"] == ["paris"]
    assert told["permissions"] == ["tickets.read", "wiki.page.edit"]


def test_a_scope_lost_by_its_owner_is_lost_by_the_token(
    accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(
        ada.sub, "ci", by, scopes=["role:developer", "tickets.read", "wiki.edit"]
    )
    accounts.people.set_roles(ada.sub, ["reader"], by)

    told = check(accounts, made.text, by)

    assert told is not None
    assert told["roles"] == []
    assert told["permissions"] == ["tickets.read"]


@pytest.mark.parametrize(
    "scopes",
    [["role:admin"], ["group:berlin"], ["*"], ["billing.read"], ["tickets.*"], [], ["a b"]],
)
def test_a_scope_its_owner_does_not_have_is_refused(
    accounts: Accounts, ada: Person, by: Caller, scopes: list[str]
) -> None:
    with pytest.raises(Refused):
        accounts.tokens.create(ada.sub, "ci", by, scopes=scopes)


_names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
_held = _names | _names.map(lambda name: f"{name}.*") | st.just("*")


@given(st.sets(_held, max_size=4), st.sets(_held, max_size=4), _names)
def test_a_narrowed_token_has_exactly_what_owner_and_scope_share(
    held: set[str], scopes: set[str], wanted: str
) -> None:
    both = grants(held, wanted) and grants(scopes, wanted)

    assert grants(narrowed(held, scopes), wanted) == both


def test_use_is_noted_but_not_at_every_use(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    made = accounts.tokens.create(ada.sub, "laptop", by)
    check(accounts, made.text, by)
    first = clock.now_s
    clock.pass_s(USED_EVERY_S - 1)
    check(accounts, made.text, by)
    (info,) = accounts.tokens.of(ada.sub)
    assert (info.used_at, info.used_address) == (first, by.address)
    clock.pass_s(1)
    check(accounts, made.text, by)
    assert accounts.tokens.of(ada.sub)[0].used_at == clock.now_s


def test_there_is_a_bound_on_tokens(accounts: Accounts, ada: Person, by: Caller) -> None:
    for n in range(TOKENS_MAX):
        accounts.tokens.create(ada.sub, f"t{n}", by)

    with pytest.raises(Refused, match=f"at most {TOKENS_MAX}"):
        accounts.tokens.create(ada.sub, "one more", by)
