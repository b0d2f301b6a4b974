"""The whole forge, run by the real command line, seen through real Chromium.

Place:  pytest -> [conftest] -> mergepoint start, chromium
Rule:   a copy of the example in a temporary directory; every page must be free of complaints.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mergepoint_testkit.edge import edge_binary
from mergepoint_testkit.services import require_program
from mergepoint_testkit.sites import RunningSite, running_site
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
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
    """Lend the running forge: a copy of the example where it thinks it is in a checkout."""
    checkout = tmp_path_factory.mktemp("checkout")
    place = checkout / "examples" / "forge"
    ignored = shutil.ignore_patterns(".mergepoint", "__pycache__", ".venv")
    shutil.copytree(ROOT / "examples" / "forge", place, ignore=ignored)
    (checkout / ".tools").symlink_to(ROOT / ".tools")
    subprocess.run(
        ["git", "clone", "-q", "--bare", "--no-local", "--depth", "20", ROOT.as_uri(), ".git"],
        cwd=checkout,
        check=True,
    )
    subprocess.run([sys.executable, str(place / "prepare.py"), "--quiet"], check=True)
    manifest = (place / "mergepoint.toml").read_text().replace("127.0.0.1:8000", "127.0.0.1:{port}")
    told = {"MERGEPOINT_EDGE_BINARY": str(edge_binary())}
    with running_site(place, manifest, environment=told) as site:
        apps = {name: app["state"] for name, app in site.status()["apps"].items()}
        assert set(apps.values()) <= {"ready", "external"}, f"{apps}\n{site.output}"
        yield site


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Lend one Chromium; every test gets contexts of its own."""
    executable = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


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
