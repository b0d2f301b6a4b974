"""How the site looks and behaves for everybody: contrast, labels, keyboard, phone, dark, paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

PHONE = {"width": 360, "height": 740}
TAP_PX_MIN = 24
MAIN_PAGES = [
    "/", "/search?q=weather", "/search?q=zzzzqqqq", "/tickets/", "/tickets/?q=zzzzqqqq",
    "/tickets/2", "/tickets/new", "/tickets/2/edit", "/wiki/", "/wiki/page/pruning",
    "/wiki/page/pruning/edit", "/wiki/new", "/wiki/page/getting-started/history",
    "/wiki/page/getting-started/version/2/diff", "/wiki/page/getting-started/version/1",
    "/wiki/changes", "/wiki/wanted", "/wiki/search?q=frost", "/code/", "/code/orchard",
    "/code/orchard/at/main/orchard/weather.py", "/code/orchard/log", "/code/orchard/refs",
    "/code/orchard/commit/main", "/code/orchard/search?q=harvest", "/code/mergepoint/log",
]  # fmt: skip


def script(name: str) -> str:
    """Return a function to evaluate in the page."""
    return (Path(__file__).parent / name).read_text()


CONTRASTS = script("contrasts.js")
SMALL_TARGETS = script("small_targets.js")
STRUCTURE = script("structure.js")


def open_account_menu(page: Page) -> None:
    """Show what the frame hides until it is asked for."""
    page.locator("#me").evaluate("menu => { menu.open = true; }")


def background(page: Page) -> Any:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_measures_see_what_is_wrong(chromium) -> None:  # type: ignore[no-untyped-def]
    page = chromium.new_page()
    page.set_content(
        "<main><h1>Fine</h1><h3>Deep</h3><p style='color: #888'>Grey</p><button></button>"
        "<button style='width: 9px; height: 9px'></button></main>"
    )

    assert [found.split()[1] for found in page.evaluate(CONTRASTS)] == ["Grey"]
    assert len(page.evaluate(SMALL_TARGETS, TAP_PX_MIN)) == 2
    wrong = " ".join(page.evaluate(STRUCTURE))
    assert all(word in wrong for word in ("follows level 1", "no nav", "no name", "no language"))
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(reader, writer, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/", color_scheme=scheme)
    poor = {}

    for address in MAIN_PAGES:
        page.goto(address)
        open_account_menu(page)
        poor[address] = page.evaluate(CONTRASTS)

    assert {address: found for address, found in poor.items() if found} == {}


def test_every_page_has_order_names_and_landmarks(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/")
    wrong = {}

    for address in MAIN_PAGES:
        page.goto(address)
        open_account_menu(page)
        wrong[address] = page.evaluate(STRUCTURE)

    assert {address: found for address, found in wrong.items() if found} == {}


def test_a_phone_shows_every_page_without_scrolling_sideways(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/", viewport=PHONE, has_touch=True, is_mobile=True)
    wide, small = {}, {}

    for address in MAIN_PAGES:
        page.goto(address)
        open_account_menu(page)
        wide[address] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        small[address] = page.evaluate(SMALL_TARGETS, TAP_PX_MIN)

    assert {address: px for address, px in wide.items() if px > 0} == {}
    assert {address: found for address, found in small.items() if found} == {}


def test_the_menu_of_a_phone_is_within_reach_and_covers_nothing(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/tickets/", viewport=PHONE, has_touch=True, is_mobile=True)
    menu = page.get_by_role("navigation", name="Apps")
    box = menu.bounding_box()

    assert box is not None
    assert box["y"] + box["height"] == pytest.approx(PHONE["height"], abs=1)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    end = page.locator("footer.site").evaluate("e => e.getBoundingClientRect().bottom")
    assert end <= box["y"] + 1
    menu.get_by_role("link", name="Wiki").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wiki")


def test_dark_follows_the_system_and_a_choice_follows_through_all_apps(reader) -> None:  # type: ignore[no-untyped-def]
    light = reader.open("/", color_scheme="light")
    dark = reader.open("/", color_scheme="dark")
    assert background(light) != background(dark)

    light.get_by_role("button", name="Switch between light and dark").click()
    for address in ("/", "/tickets/", "/wiki/", "/code/"):
        light.goto(address)
        assert background(light) == background(dark)
        assert light.locator("#theme").get_attribute("aria-pressed") == "true"


def test_what_nobody_sees_meets_the_same_measures(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/", viewport=PHONE, has_touch=True, is_mobile=True)

    for address in ("/", "/tickets/", "/tickets/2", "/wiki/page/pruning", "/code/orchard"):
        page.goto(address)
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate(STRUCTURE) == []
        assert page.evaluate(SMALL_TARGETS, TAP_PX_MIN) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()


def test_the_account_menu_opens_and_closes_by_keyboard(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/wiki/")
    summary = page.locator("#me summary")
    out = page.get_by_role("button", name="Log out")
    summary.focus()
    page.keyboard.press("Enter")
    expect(out).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Your account")).to_be_focused()
    page.keyboard.press("Escape")
    expect(out).to_be_hidden()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1).click()
    expect(out).to_be_hidden()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/tickets/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New ticket")).to_be_focused()
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")

    assert ring == "3px"


def test_paper_carries_the_words_and_not_the_frame(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/wiki/page/pruning")
    page.emulate_media(media="print")

    expect(page.locator("header.site")).to_be_hidden()
    expect(page.get_by_role("heading", name="In winter")).to_be_visible()


def test_nothing_comes_from_another_host(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/")
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))

    for address in MAIN_PAGES:
        page.goto(address)

    assert hosts == {reader.url.removeprefix("http://")}


def test_a_page_that_is_not_there_stays_in_the_shell(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/")

    for address in ("/nothing", "/tickets/99999", "/wiki/page/none", "/code/none"):
        page.goto(address)
        expect(page.get_by_role("navigation", name="Apps")).to_be_visible()
        assert page.evaluate(CONTRASTS) == []
    reader.expect("404")
