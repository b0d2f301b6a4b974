"""The whole forge with its bus: hub, gateway, workers of tasks and a mail server that can fail.

Place:  pytest -> [conftest] -> mergepoint start, aiosmtpd
Rule:   everything through pages, commands and signals, as people do; nothing of an app is imported.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.forge_site import running_forge
from mergepoint_testkit.people import PASSWORD, People, Somebody, log_in, people_of
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor
from playwright.sync_api import Browser

from mergepoint.identity.accounts.caller import console
from tests.browser.conftest import Reader

from .mail_server import MailServer

WAIT_S_MAX = 60.0
POLL_S = 0.05
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def mail_server() -> Iterator[MailServer]:
    """Lend a mail server that takes everything until a test says otherwise."""
    with MailServer() as running:
        yield running


@pytest.fixture(scope="package")
def imports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory whose repositories may be imported."""
    return tmp_path_factory.mktemp("imports")


@pytest.fixture(scope="package")
def forge(
    tmp_path_factory: pytest.TempPathFactory, mail_server: MailServer, imports: Path
) -> Iterator[RunningSite]:
    """Lend the running forge; its mails go to `mail_server`."""
    import_from = f"https://,http://localhost,{imports}"
    changes = {
        'tasks = "tracker.working"': f'env = {{ FORGE_SMTP = "{mail_server.url}" }}',
        'tasks = "browse.jobs"': f'env = {{ FORGE_IMPORT_FROM = "{import_from}" }}',
    }
    changes = {line: f"{line}\n{added}" for line, added in changes.items()}
    with running_forge(tmp_path_factory.mktemp("checkout"), changes) as site:
        yield site


@pytest.fixture(scope="package")
def people(forge: RunningSite) -> Iterator[People]:
    """Lend the people of the forge."""
    with people_of(forge) as made:
        yield made


class Browsing(Visitor):
    """Somebody's browser, with what the tests do in it again and again."""

    user = ""
    somebody: Somebody

    def new_ticket(self, title: str, body: str = "Words.", assignee: str = "") -> int:
        """Open a ticket and return its number."""
        form = self.get("/tickets/new")
        answer = self.submit(form, "title", title=title, body=body, assignee=assignee)
        assert answer.status == 303, answer.text
        return int(answer.location.rpartition("/")[2])

    def say(self, number: int, body: str, then: str = "") -> None:
        """Comment on a ticket."""
        page = self.get(f"/tickets/{number}")
        answer = self.submit(page, "/comment", body=body, then=then)
        assert answer.status == 303, answer.text

    def write_page(self, title: str, body: str) -> str:
        """Write a new page of the wiki and return its address."""
        answer = self.submit(self.get("/wiki/new"), "body", title=title, body=body, save="")
        assert answer.status == 302, answer.text
        return answer.location

    def words(self, address: str) -> str:
        """Return the words of a page."""
        return self.get(address).document().words()

    @property
    def unread(self) -> int:
        """Return how many notifications wait."""
        return int(self.get("/tickets/api/unread").json["unread"])


def log_in_anew(site: RunningSite, people: People, user: str, *roles: str) -> Browsing:
    """Make a person with these roles and an address, and return their browser, logged in."""
    browsing = Browsing(site.port)
    stored = people.accounts.passwords.hashed(PASSWORD, user, "", "")
    email = f"{user}@example.org"
    made = people.accounts.people.add(
        user, console("tests"), email=email, roles=roles, password_hash=stored
    )
    browsing.user, browsing.somebody = user, Somebody(made.sub, user, "", PASSWORD)
    log_in(browsing, browsing.somebody)
    return browsing


Browse = Callable[..., Browsing]


@pytest.fixture
def reader(chromium: Browser, forge: RunningSite) -> Iterator[Reader]:
    """Lend a reader; the test fails when any page it opened made the browser complain."""
    made = Reader(chromium, f"http://127.0.0.1:{forge.port}")
    yield made
    for context in made.contexts:
        context.close()
    assert made.complaints == []


@pytest.fixture
def browse(forge: RunningSite, people: People) -> Browse:
    """Return a function that makes a person with these roles and gives their browser."""

    def somebody(*roles: str) -> Browsing:
        return log_in_anew(forge, people, f"somebody{next(_numbers)}", *roles)

    return somebody


@pytest.fixture
def repository(imports: Path) -> Callable[..., Path]:
    """Return a function that makes a real repository holding these files."""

    def make(name: str, files: dict[str, str]) -> Path:
        place = imports / name
        place.mkdir()
        for file, text in files.items():
            (place / file).write_text(text)
        who = ["-c", "user.name=maintainer", "-c", "user.email=maintainer@orchard.example"]
        for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "Begin."]):
            subprocess.run(["git", *who, *command], cwd=place, check=True)
        return place

    return make


@pytest.fixture
def until(forge: RunningSite) -> Callable[..., Any]:
    """Return a function that waits for something to be true, and shows the site's log if not."""

    def wait(found: Callable[[], Any], what: str, seconds: float = WAIT_S_MAX) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := found():
                return value
            time.sleep(POLL_S)
        raise AssertionError(f"not within {seconds} s: {what}\n{forge.output[-6000:]}")

    return wait
