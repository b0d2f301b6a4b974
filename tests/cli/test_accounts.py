"""`mergepoint users`, `tokens` and `keys`: what a person types, reads and pipes.

Place:  tests/cli
Rule:   a real site's accounts in SQLite; a password never stands on the command line.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.peers import free_port

from mergepoint.core.errors import Exit

PASSWORD = "plum tree in march"


@pytest.fixture
def accounts_site(site: Path) -> Path:
    """A site with identity and roles."""
    site.write_text(
        site.read_text()
        + '\n[identity]\npublic_url = "http://127.0.0.1:8000"\n\n'
        + '[roles.reader]\npermissions = ["tickets.read"]\n'
    )
    return site


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def ada(cli: Any, accounts_site: Path, stdin: Any) -> None:
    stdin(PASSWORD + "\n")
    assert cli("users", "add", "ada", "--role", "admin", "--password-stdin").code == Exit.OK


def test_a_person_is_added_listed_and_given_roles(cli: Any, ada: None) -> None:
    assert cli("users", "add", "bob", "--link", "--email", "b@x.org").code == Exit.OK
    assert cli("users", "roles", "bob", "reader").out == "bob: reader\n"
    assert cli("users", "roles", "bob", "--none").out == "bob: no role\n"

    listed = cli("users", "list", "--json").document

    assert listed["schema"] == 1
    assert [(u["user"], u["roles"], u["has_password"]) for u in listed["users"]] == [
        ("ada", ["admin"], True),
        ("bob", [], False),
    ]
    assert cli("users", "list", "b@x").out.splitlines()[1].split()[:2] == ["bob", "person"]


def test_deleting_asks_first_and_says_what_ended(
    cli: Any, ada: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    cli("users", "add", "bob", "--link")
    cli("tokens", "create", "bob", "laptop")
    unasked = cli("users", "delete", "bob")
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    refused = cli("users", "delete", "bob")
    kept = len(cli("users", "list", "--json").document["users"])
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    done = cli("users", "delete", "bob")

    assert unasked.code == Exit.USAGE
    assert "next: mergepoint users delete bob --yes" in unasked.err
    assert (refused.out, kept) == ("bob: nothing was changed\n", 2)
    assert "delete bob for good, with 0 sessions, 1 API token, 0 passkeys?" in done.err
    assert done.out == "bob: deleted; ended: 0 sessions, 1 API token, 0 passkeys\n"
    assert len(cli("users", "list", "--json").document["users"]) == 1


def test_the_last_administrator_is_not_deleted(cli: Any, ada: None) -> None:
    ran = cli("users", "delete", "ada", "--yes")

    assert ran.code != Exit.OK
    assert "last who may administer" in ran.err


def test_a_link_is_alone_on_stdout(cli: Any, ada: None) -> None:
    for arguments in (("users", "passwd", "ada", "--link"), ("users", "invite")):
        ran = cli(*arguments)
        assert ran.out.startswith("http://127.0.0.1:8000/-/accounts/link/")
        assert len(ran.out.split()) == 1


def test_a_link_that_cannot_be_sent_is_printed_before_the_error(
    cli: Any, ada: None, accounts_site: Path
) -> None:
    without = cli("users", "passwd", "ada", "--send")
    accounts_site.write_text(
        accounts_site.read_text()
        + f'\n[identity.mail]\nsmtp = "smtp+plain://127.0.0.1:{free_port()}"\n'
        + 'sender = "accounts@example.org"\n'
    )
    refused = cli("users", "invite", "--email", "b@x.org", "--send")

    assert "next: add [identity.mail]" in without.err
    assert "ConnectionRefusedError" in refused.err
    for ran in (without, refused):
        assert ran.code == Exit.FAILED
        assert ran.out.startswith("http://127.0.0.1:8000/-/accounts/link/")


def test_replaced_keys_of_accounts_end_with_the_device_cookies_they_signed(
    cli: Any, ada: None, accounts_site: Path
) -> None:
    first, second = cli("keys", "rotate", "accounts"), cli("keys", "rotate", "accounts")
    ring = accounts_site.parent / ".mergepoint/keys/accounts.json"
    newest, *replaced = json.loads(ring.read_text())["keys"]

    assert (first.code, second.code) == (Exit.OK, Exit.OK)
    assert "0 second factors sealed anew" in second.err
    assert newest["not_after"] is None
    assert all(
        180 * 86400 - 60 < key["not_after"] - newest["created"] <= 180 * 86400 for key in replaced
    )


def test_no_command_takes_a_password_as_an_argument(cli: Any, ada: None) -> None:
    for arguments in (
        ("users", "add", "bob", PASSWORD),
        ("users", "passwd", "ada", PASSWORD),
        ("users", "passwd", "ada", "--password", PASSWORD),
    ):
        ran = cli(*arguments)
        assert ran.code == Exit.USAGE
        assert "--help" in ran.err


def test_without_a_terminal_a_password_is_not_waited_for(cli: Any, ada: None, stdin: Any) -> None:
    stdin("")
    ran = cli("users", "add", "bob")
    empty = cli("users", "passwd", "ada", "--password-stdin")

    assert (ran.code, empty.code) == (Exit.USAGE, Exit.USAGE)
    assert "next: mergepoint users add bob --link" in ran.err
    assert "next: mergepoint users passwd ada --link" in empty.err


def test_a_token_is_shown_once_and_revoked_by_its_id(cli: Any, ada: None) -> None:
    made = cli("tokens", "create", "ada", "laptop", "--scope", "tickets.read", "--days", "3")
    token = made.out.strip()
    assert token.startswith("mpt_")
    assert len(made.out.split()) == 1

    (row,) = cli("tokens", "list", "ada", "--json").document["tokens"]
    assert (row["id"], row["user"], row["scopes"]) == (
        token.split("_")[1],
        "ada",
        ["tickets.read"],
    )
    assert token.split("_")[2] not in json.dumps(row)
    assert cli("tokens", "revoke", row["id"]).code == Exit.OK
    assert cli("tokens", "list", "--json").document["tokens"] == []


def test_keys_are_rotated_and_their_seeds_never_shown(
    cli: Any, ada: None, accounts_site: Path
) -> None:
    first = cli("keys", "rotate")
    second = cli("keys", "rotate", "session")
    listed = cli("keys", "list", "--json").document["keys"]

    assert "next" not in first.err
    assert "mergepoint reload" in first.err
    assert "mergepoint reload" not in second.err
    assert [key["ring"] for key in listed] == ["session", "session", "edge"]
    ring = accounts_site.parent / ".mergepoint/keys/session.json"
    seeds = [key["seed"] for key in json.loads(ring.read_text())["keys"]]
    assert not any(seed in json.dumps(listed) for seed in seeds)
    assert set(listed[0]) == {"ring", "kid", "created", "not_after", "use"}


@pytest.mark.parametrize(
    ("arguments", "following"),
    [
        (("users", "disable", "nobody"), "mergepoint users list"),
        (("users", "disable", "ada"), "mergepoint users roles NAME admin"),
        (("users", "roles", "ada", "bogus"), "mergepoint users roles NAME"),
        (("users", "add", "ada", "--service"), "mergepoint users list"),
        (("tokens", "create", "nobody", "x"), "mergepoint users list"),
        (("tokens", "revoke", "nothing"), "mergepoint tokens list"),
    ],
)
def test_an_error_names_the_next_command(
    cli: Any, ada: None, arguments: tuple[str, ...], following: str
) -> None:
    ran = cli(*arguments)

    assert ran.code in {Exit.FAILED, Exit.USAGE}
    assert ran.out == ""
    assert f"next: {following}" in ran.err


def test_a_wrong_name_stops_before_anybody_is_kept_out(cli: Any, ada: None) -> None:
    assert cli("users", "add", "bob", "--service").code == Exit.OK
    cli("users", "disable", "bob", "nobody")

    users = cli("users", "list", "--json").document["users"]
    assert not any(user["disabled"] for user in users)


@pytest.mark.parametrize("arguments", [("users", "list"), ("tokens", "list"), ("keys", "list")])
def test_a_site_without_identity_says_how_to_get_it(
    cli: Any, site: Path, arguments: tuple[str, ...]
) -> None:
    ran = cli(*arguments)

    assert ran.code == Exit.FAILED
    assert "has no identity" in ran.err
    assert "next: add [identity]" in ran.err
