"""Real programs in a real browser: every request below the mount, nothing on the console."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from mergepoint_testkit.real_apps import PASSWORD
from mergepoint_testkit.sites import RunningSite
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.real

WAIT_MS = 15_000


class Watched:
    """A page that remembers what went wrong on it and where it went."""

    def __init__(self, page: Page, root: str) -> None:
        self.page = page
        self.root = root
        self.errors: list[str] = []
        self.paths: set[str] = set()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", self._note)

    def _note(self, response: object) -> None:
        status, url = response.status, response.url  # type: ignore[attr-defined]
        if not url.startswith(self.root):
            return  # what a program loads from other sites is not our concern
        self.paths.add(urlsplit(url).path)
        if status >= 400 and not url.endswith("/favicon.ico"):
            self.errors.append(f"{status} {url}")

    def goto(self, path: str) -> None:
        self.page.goto(self.root + path)

    def assert_at_home(self, mount: str, own: str = "") -> None:
        """Fail on any request outside `mount` and any error but the program's `own`."""
        outside = {p for p in self.paths if not p.startswith(mount) and p != "/favicon.ico"}
        assert [error for error in self.errors if not own or own not in error] == []
        assert outside == set()


@pytest.fixture
def watched(chromium: Browser, site: RunningSite) -> Iterator[Watched]:
    context = chromium.new_context()
    yield Watched(context.new_page(), f"http://127.0.0.1:{site.port}")
    context.close()


def test_djangos_admin_is_used_with_its_own_styles_and_scripts(watched: Watched) -> None:
    page = watched.page
    watched.goto("/admin/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.click("text=Documents")
    page.click(".object-tools a.addlink")
    page.fill("#id_title", "From a browser")
    page.click("input[name=_save]")

    expect(page.locator(".success")).to_contain_text("From a browser")
    header = page.locator("#header").evaluate("e => getComputedStyle(e).backgroundColor")
    assert header not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"), "the style sheet is missing"
    watched.assert_at_home("/admin")


def test_fastapi_talks_over_its_websocket_to_two_visitors(
    watched: Watched, chromium: Browser, site: RunningSite
) -> None:
    other = chromium.new_page()
    other.goto(f"http://127.0.0.1:{site.port}/chat/")
    watched.goto("/chat/")
    watched.page.wait_for_function("socket.readyState === 1")
    other.wait_for_function("socket.readyState === 1")
    watched.page.fill("#live", "hello over there")
    watched.page.press("#live", "Enter")

    expect(other.locator("#said")).to_contain_text("hello over there", timeout=WAIT_MS)
    watched.page.fill("input[name=text]", "and by form")
    watched.page.click("text=Say")
    expect(watched.page.locator("#said")).to_contain_text("and by form")
    expect(other.locator("#said")).to_contain_text("and by form")
    watched.page.click("text=API")
    # FastAPI's page has its script from another site, which not every machine reaches.
    watched.assert_at_home("/chat", own="SwaggerUIBundle")
    other.close()


def test_radicales_own_interface_makes_a_calendar(watched: Watched) -> None:
    page = watched.page
    watched.goto("/calendar/")
    page.fill("#loginscene input[data-name=user]", "ada")
    page.fill("#loginscene input[data-name=password]", PASSWORD)
    page.press("#loginscene input[data-name=password]", "Enter")
    page.wait_for_selector("#collectionsscene:not(.hidden)")
    page.click("#collectionsscene [data-name=new]")
    page.fill("#createcollectionscene [data-name=displayname]", "From a browser")
    page.click("#createcollectionscene [data-name=submit]")

    expect(page.locator("#collectionsscene")).to_contain_text("From a browser")
    # It asks for shared collections, which this Radicale has switched off.
    watched.assert_at_home("/calendar", own=".sharing/")


def test_a_git_repository_is_browsed_in_klaus(watched: Watched) -> None:
    page = watched.page
    watched.goto("/git/")
    page.click("text=project")
    page.click("text=Say hello")

    expect(page.locator("body")).to_contain_text("hello.py")
    # klaus's script for line numbers runs on pages that have none, wherever it is mounted.
    watched.assert_at_home("/git", own="setting 'onmouseover'")


def test_a_table_is_sorted_in_datasette(watched: Watched) -> None:
    page = watched.page
    watched.goto("/data/forum/posts")
    page.click("th a:has-text('author')")

    expect(page.locator("table.rows-and-columns tbody tr").first).to_contain_text("author 0")
    watched.assert_at_home("/data")


def test_a_form_of_a_program_that_knows_no_mount_is_sent(watched: Watched) -> None:
    page = watched.page
    watched.goto("/node/")
    page.fill("input[name=text]", "browser was here")
    page.click("text=Sign")

    expect(page.locator("ul")).to_contain_text("browser was here")
    watched.assert_at_home("/node")
