"""The whole forge, run by the real command line, seen through real Chromium.

Place:  pytest -> [conftest] -> mergepoint start, chromium
Rule:   a copy of the example in a temporary directory; every page must be free of complaints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from mergepoint_testkit.forge_site import running_forge
from mergepoint_testkit.people import MOUNT, People, Somebody, people_of
from mergepoint_testkit.sites import RunningSite
from playwright.sync_api import Browser, BrowserContext, Page

ACTION_S_MAX = 15.0
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 360, "height": 740}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """Lend the running forge."""
    with running_forge(tmp_path_factory.mktemp("checkout")) as site:
        yield site


@pytest.fixture(scope="package")
def people(forge: RunningSite) -> Iterator[People]:
    """Lend the people of the forge."""
    with people_of(forge) as made:
        yield made


@pytest.fixture(scope="package")
def writer(people: People) -> Somebody:
    """Lend a developer of the forge."""
    return people.add("gardener", "developer", name="Head Gardener")


@dataclass(slots=True)
class Reader:
    """Opens pages of the site and remembers what the browser complained about."""

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, address: str, **options: object) -> Page:
        """Return a page in a browser profile of its own."""
        context = self.browser.new_context(
            base_url=self.url, **{"viewport": DESKTOP, "locale": "en-GB", **options}
        )
        context.set_default_timeout(ACTION_S_MAX * 1000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._complain(message.type, message.text, page.url))
        page.on("pageerror", lambda error: self._complain("error", str(error), page.url))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure))
        page.goto(address)
        return page

    def open_as(self, somebody: Somebody, address: str, **options: object) -> Page:
        """Return a page that somebody reached by typing their name and password."""
        page = self.open(f"{MOUNT}/login?next={quote(address, safe='')}", **options)
        page.locator("input[name=user]").fill(somebody.user)
        page.locator("input[name=password]").fill(somebody.password)
        page.locator("input[name=password]").press("Enter")
        page.wait_for_url(self.url + address)
        return page

    def expect(self, complaint: str) -> None:
        """Forgive complaints with these words; there must be one."""
        found = [told for told in self.complaints if complaint in told]
        assert found, f"nobody complained of {complaint!r}: {self.complaints}"
        self.complaints = [told for told in self.complaints if told not in found]

    def _complain(self, kind: str, text: str, address: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{address}: {text}")

    def _failed(self, address: str, why: str | None) -> None:
        if why != "net::ERR_ABORTED":  # a page that is left early ends its requests
            self.complaints.append(f"{address}: {why}")


@pytest.fixture
def reader(chromium: Browser, forge: RunningSite) -> Iterator[Reader]:
    """Lend a reader; the test fails when any page it opened made the browser complain."""
    made = Reader(chromium, f"http://127.0.0.1:{forge.port}")
    yield made
    for context in made.contexts:
        context.close()
    assert made.complaints == []
