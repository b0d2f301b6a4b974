"""Imports and notifications in real Chromium: live, by keyboard, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.test_design import (
    CONTRASTS,
    SMALL_TARGETS,
    STRUCTURE,
    TAP_PX_MIN,
    open_account_menu,
)

from .test_imports import ask, ended, tickets

Until = Callable[..., Any]
END_S_MAX = 60.0


@pytest.fixture(scope="module")
def long_line() -> str:
    """Return a file of tickets that takes a while."""
    return tickets(2500, "Orchid")


def test_an_import_is_asked_for_watched_and_cancelled_by_keyboard(
    browse: Any, reader: Any, repository: Any, long_line: str
) -> None:
    keeper = browse("maintainer")
    made = repository("orchid", {"tickets.jsonl": long_line})
    page = reader.open_as(keeper.somebody, "/code/import")
    page.get_by_label("Where it is").focus()
    page.keyboard.type(str(made))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("orchid")
    # Nobody reloads: the page itself tells how far it is.
    page.evaluate("window.kept = true")
    expect(page.locator("[data-words]")).to_contain_text("Taking over tickets")
    assert page.evaluate("document.querySelector('progress').position") > 0
    assert page.evaluate("window.kept")

    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Cancelled.", timeout=END_S_MAX * 1000)


def test_an_import_that_ends_says_so_without_a_reload_by_hand(
    browse: Any, reader: Any, repository: Any
) -> None:
    keeper = browse("maintainer")
    made = repository("iris", {"tickets.jsonl": tickets(300, "Iris")})
    page = reader.open_as(keeper.somebody, ask(keeper, made).location.partition("127.0.0.1")[2][6:])

    expect(page.get_by_role("status")).to_contain_text(
        "Done. 300 tickets came along.", timeout=END_S_MAX * 1000
    )
    page.get_by_role("link", name="Look at iris").click()
    expect(page.get_by_text("Begin.").first).to_be_visible()


def test_without_javascript_a_reload_tells_how_far_it_is(
    browse: Any, reader: Any, repository: Any, until: Until
) -> None:
    keeper = browse("maintainer")
    page = reader.open_as(keeper.somebody, "/code/import", java_script_enabled=False)
    page.get_by_label("Where it is").fill(str(repository("lily", {"a": "b"})))
    page.get_by_role("button", name="Import").click()
    until(lambda: ended(keeper, page.url), "ended")
    again = page.get_by_role("link", name="Look again")
    if again.is_visible():
        again.click()

    expect(page.get_by_role("status")).to_contain_text("Done.")


def test_what_waits_to_be_read_is_counted_on_ones_own_name(
    browse: Any, reader: Any, until: Until
) -> None:
    writer, keeper = browse("developer"), browse("developer")
    writer.new_ticket("Look here", assignee=keeper.user)
    until(lambda: keeper.unread == 1, "told")

    page = reader.open_as(keeper.somebody, "/wiki/")
    expect(page.locator("#news")).to_have_text("1")
    open_account_menu(page)
    page.get_by_role("link", name="Notifications").click()
    page.get_by_role("link", name="Look here").click()
    page.goto("/")
    expect(page.locator("#news")).to_be_hidden()


def test_the_new_pages_can_be_read_by_everybody_everywhere(
    browse: Any, reader: Any, until: Until, repository: Any
) -> None:
    writer, keeper = browse("developer"), browse("admin")
    number = writer.new_ticket("Roses", "See [[Rose bed]].", assignee=keeper.user)
    wiki = writer.write_page("Rose bed", f"It is #{number}.\n")
    until(lambda: "Mentioned in" in writer.words(f"/tickets/{number}"), "mentioned")
    until(lambda: "Roses" in writer.words(wiki), "mentioned")
    until(lambda: keeper.unread, "told")
    imported = ask(keeper, repository("rose", {"tickets.jsonl": tickets(5, "Rose")})).location
    failed = ask(keeper, repository("thorn", {"tickets.jsonl": "{"})).location
    for address in (imported, failed):
        until(lambda address=address: ended(keeper, address), "ended")
    pages = ["/", "/tickets/notifications", "/tickets/mails", "/code/import", imported, failed]
    pages += [f"/tickets/{number}", wiki]

    wrong: dict[str, Any] = {}
    for how in (
        {"color_scheme": "light"},
        {"color_scheme": "dark", "viewport": PHONE, "has_touch": True, "is_mobile": True},
    ):
        page = reader.open_as(keeper.somebody, "/", **how)
        for address in pages:
            page.goto(address)
            open_account_menu(page)
            sideways = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            told = page.evaluate(CONTRASTS) + page.evaluate(STRUCTURE)
            told += page.evaluate(SMALL_TARGETS, TAP_PX_MIN) if "viewport" in how else []
            told += [f"{sideways} px too wide"] if sideways > 0 else []
            wrong |= {f"{address} {how['color_scheme']}": told} if told else {}
    assert wrong == {}
