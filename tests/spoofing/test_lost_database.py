"""Without the database of accounts, sessions go on, nobody new comes in, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from .conftest import PASSWORD, Site, person


@contextmanager
def without_database(site: Site) -> Iterator[None]:
    """Move the database away for as long as the block runs, as a lost mount would."""
    [file] = site.running.directory.rglob("accounts.db")
    aside = file.with_name("aside")
    aside.mkdir()
    for part in file.parent.glob("accounts.db*"):
        part.rename(aside / part.name)
    try:
        yield
    finally:
        for part in file.parent.glob("accounts.db*"):
            part.unlink()
        # The database comes last: opened without its log it would begin another one.
        for part in sorted(aside.iterdir(), reverse=True):
            part.rename(file.parent / part.name)
        aside.rmdir()


def log_in(site: Site, user: str) -> httpx2.Response:
    form = {"user": user, "password": PASSWORD}
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    return httpx2.post(f"{site.url}/-/accounts/login", data=form, headers=headers, timeout=30)


def log_in_when_told(site: Site, user: str) -> httpx2.Response:
    """Log in as a client does that comes back when `Retry-After` says so, three times at most."""
    for _ in range(3):
        answer = log_in(site, user)
        if answer.status_code != 503:
            break
        time.sleep(int(answer.headers["retry-after"]))
    return answer


def test_sessions_go_on_and_everything_is_back_with_the_database(site: Site) -> None:
    dave = person(site.running, "dave", "editor")
    cookie = {"Cookie": f"mergepoint-session={dave.session}; mergepoint-refresh={dave.refresh}"}
    with without_database(site):
        for _ in range(3):
            assert site.told("wsgi", "/secret", headers=cookie).json()["identity"] == "dave"
        refused = log_in(site, "dave")
        assert refused.status_code == 503
        assert "Traceback" not in refused.text
        assert "sqlite" not in refused.text.lower()
        assert int(refused.headers["retry-after"]) > 0
        assert site.told("wsgi", "/").status_code == 200, "public pages need no accounts"
    assert log_in_when_told(site, "dave").status_code == 303
    assert site.told("wsgi", "/secret", headers=cookie).status_code == 200
