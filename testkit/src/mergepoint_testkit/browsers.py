"""One Chromium for the tests of a module that ask for it.

Place:  tests -> [browsers] -> Playwright, chromium
Rule:   two of Playwright's blocking kind cannot live in one process, so it ends with its module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mergepoint_testkit.services import require_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Lend a browser; every test gets contexts of its own."""
    from playwright.sync_api import sync_playwright

    executable = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        yield browser
        browser.close()
