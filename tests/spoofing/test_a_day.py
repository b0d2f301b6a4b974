"""A4: what happens to accounts is written down, with who, what and from where; secrets are not."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import httpx2
import pytest

from .conftest import PASSWORD, Person, Site, person, run

PAGE = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}


def audit(site: Site) -> list[sqlite3.Row]:
    """Return the audit log, oldest first."""
    [file] = site.running.directory.rglob("accounts.db")
    with sqlite3.connect(file) as database:
        database.row_factory = sqlite3.Row
        return database.execute("select * from accounts_audit order by id").fetchall()


def link_of(text: str) -> str:
    """Return the address of a one-time link that a command printed."""
    found = re.search(r"http://\S+/link/\S+", text)
    assert found, text
    return found[0]


def browser(site: Site) -> httpx2.Client:
    return httpx2.Client(base_url=site.url, timeout=30, headers=PAGE)


@pytest.fixture(scope="module")
def day(site: Site) -> tuple[Person, list[str]]:
    """What a person and an administrator may do on one day; returns every secret there was."""
    carol = person(site.running, "carol", "editor")
    secrets = [PASSWORD, carol.token, carol.session, carol.refresh]
    with browser(site) as client:
        wrong = {"user": "carol", "password": "not the right one at all"}
        assert client.post("/-/accounts/login", data=wrong).status_code != 303
        secrets.append(wrong["password"])
        right = {"user": "carol", "password": PASSWORD}
        assert client.post("/-/accounts/login", data=right).status_code == 303
        secrets += client.cookies.values()
        assert client.post("/-/accounts/logout").status_code in {200, 303}
        assert client.post("/-/accounts/forgot", data={"user": "carol"}).status_code == 200
    guess = "mpt_AAAAAAAAAAAA_" + "B" * 43
    assert site.told("plain", "/secret", auth=("carol", guess)).status_code == 401
    secrets.append(guess)
    assert site.told("plain", "/secret", auth=("carol", carol.token)).status_code == 200
    invite = link_of(run(site.running, "users", "invite", "--role", "editor"))
    secrets.append(invite.rsplit("/", 1)[1])
    with browser(site) as client:
        path = "/-/accounts/link/" + invite.rsplit("/", 1)[1]
        assert client.get(path).status_code == 200
        assert client.get("/-/accounts/link/no-such-link-of-anybody").status_code >= 400
    run(site.running, "users", "roles", "carol", "--none")
    run(site.running, "users", "disable", "carol")
    return carol, secrets


EXPECTED = {
    "person.added": True,
    "token.created": True,
    "login.done": False,
    "login.refused": False,
    "session.ended": False,
    "token.refused": False,
    "link.issued": True,
    "person.roles_changed": True,
    "person.disabled": True,
}
"""What the day must leave behind, and whether a command did it rather than a visitor."""


@pytest.mark.parametrize("event", EXPECTED)
def test_what_happened_is_in_the_audit_log_with_who_and_from_where(
    site: Site, day: tuple[Person, list[str]], event: str
) -> None:
    rows = [row for row in audit(site) if row["event"] == event]
    assert rows, f"{event} is missing among {sorted({row['event'] for row in audit(site)})}"
    last = rows[-1]
    if EXPECTED[event]:
        assert last["actor_user"] or last["actor"], "a command stands there under its user's name"
    else:
        assert last["address"] == "127.0.0.1"
        assert re.fullmatch(r"[0-9a-f]{32}", last["request_id"]), dict(last)
    if event.startswith(("login", "person", "session")):
        assert "carol" in {last["target_user"], last["actor_user"]}, dict(last)


def test_nobody_can_change_what_was_written(site: Site, day: tuple[Person, list[str]]) -> None:
    [file] = site.running.directory.rglob("accounts.db")
    with sqlite3.connect(file) as database:
        for change in ("delete from accounts_audit", "update accounts_audit set actor = 'x'"):
            with pytest.raises(sqlite3.DatabaseError):
                database.execute(change)


def test_no_secret_of_the_day_is_in_any_log_or_file(
    site: Site, day: tuple[Person, list[str]]
) -> None:
    said = run(site.running, "logs", "--lines", "1000")
    assert "mergepoint users passwd carol --link" in said
    assert not re.search(r"/link/[\w-]{20,}", said)
    for secret in day[1]:
        assert secret not in site.running.output, f"{secret[:12]}… was printed"
        assert secret not in said
    for path in Path(site.running.directory).rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            for secret in day[1]:
                assert secret.encode() not in held, f"{path.name} holds {secret[:12]}…"


def test_the_day_ends_for_who_was_disabled(site: Site, day: tuple[Person, list[str]]) -> None:
    carol, _ = day
    cookies = f"mergepoint-session={carol.session}; mergepoint-refresh={carol.refresh}"
    assert site.told("plain", "/secret", headers={"Cookie": cookies}).status_code == 401
    assert site.told("plain", "/secret", auth=("carol", carol.token)).status_code == 401
