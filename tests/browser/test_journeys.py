"""What people do with the site, from the first click to the last."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

Open = Callable[..., Page]


def test_a_ticket_is_created_commented_closed_and_found(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/")
    page.get_by_role("link", name="Tickets", exact=True).first.click()
    page.get_by_role("link", name="New ticket").first.click()
    page.get_by_label("Title").fill("The hose leaks at the third joint")
    page.get_by_label("Description").fill("Since **Monday**.")
    page.get_by_label("bug").check()
    page.get_by_role("button", name="Create ticket").click()

    expect(page.get_by_text("opened by Head Gardener")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("The hose leaks at the third joint")
    expect(page.locator(".prose strong")).to_have_text("Monday")

    page.get_by_label("Comment").fill("Mended with tape.")
    page.get_by_role("button", name="Close").click()

    expect(page.locator(".state")).to_have_text("Closed")
    expect(page.get_by_text("Mended with tape.")).to_be_visible()

    page.get_by_label("Search the whole site").fill("third joint")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="The hose leaks").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The hose leaks at the third joint")


def test_a_wrong_form_keeps_the_focus_of_the_eye_on_the_error(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/tickets/new")
    page.get_by_label("Title").fill("Fine")
    page.get_by_label("Assigned to").fill("Not A Name")
    page.get_by_role("button", name="Create ticket").click()

    expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    expect(page.get_by_label("Assigned to")).to_have_attribute("aria-invalid", "true")
    reader.expect("422")


def test_a_wiki_page_is_written_previewed_linked_and_restored(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/wiki/page/how-we-work")
    page.get_by_role("link", name="Edit", exact=True).click()
    text = page.get_by_label("Text").input_value()
    page.get_by_label("Text").fill(text + "\nAnd we meet in the [[Tool shed]].\n")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("And we meet in the")

    page.get_by_label("What did you change?").fill("Say where we meet")
    page.get_by_role("button", name="Save page").click()
    page.get_by_role("link", name="Tool shed").click()
    expect(page.get_by_label("Title")).to_have_value("Tool shed")
    page.get_by_label("Text").fill("Behind the compost.")
    page.get_by_role("button", name="Save page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tool shed")
    expect(page.get_by_role("link", name="How we work")).to_be_visible()

    page.goto("/wiki/page/how-we-work/history")
    page.get_by_role("link", name="What changed in version 2").click()
    expect(page.locator("tr.add").first).to_contain_text("Tool shed")
    page.goto("/wiki/page/how-we-work/version/1")
    page.get_by_role("button", name="Restore this version").click()
    expect(page.locator(".prose")).not_to_contain_text("Tool shed")


def test_two_writers_of_one_page_both_keep_their_words(reader, writer) -> None:  # type: ignore[no-untyped-def]
    first = reader.open_as(writer, "/wiki/page/varieties/edit")
    second = reader.open_as(writer, "/wiki/page/varieties/edit")
    first.get_by_label("Text").fill("Written first.")
    second.get_by_label("Text").fill("Written second.")
    first.get_by_role("button", name="Save page").click()
    expect(first.locator(".prose")).to_contain_text("Written first.")

    second.get_by_role("button", name="Save page").click()

    expect(second.get_by_role("alert")).to_contain_text("Nothing was lost")
    expect(second.get_by_label("Text")).to_have_value("Written second.")
    expect(second.locator(".diff")).to_contain_text("Written first.")
    reader.expect("409")


def test_code_is_browsed_from_the_list_to_a_line_and_back_in_time(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/code/")
    page.get_by_role("link", name="orchard", exact=True).click()
    page.get_by_role("cell", name="orchard").get_by_role("link").click()
    page.get_by_role("link", name="weather.py").click()
    page.get_by_role("link", name="Line 19", exact=True).click()
    assert page.url.endswith("/weather.py#L19")
    marked = page.locator("tr#L19 td").last.evaluate("e => getComputedStyle(e).backgroundColor")
    plain = page.locator("tr#L18 td").last.evaluate("e => getComputedStyle(e).backgroundColor")
    assert marked != plain

    page.get_by_role("link", name="History").first.click()
    page.get_by_role("link", name="Skip empty lines in the weather file.").click()
    expect(page.locator("tr.add").first).to_be_visible()


def test_this_very_repository_can_be_browsed(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/code/mergepoint")

    expect(page.get_by_role("link", name="pyproject.toml")).to_be_visible()
    expect(page.locator(".prose").first).to_contain_text("Mergepoint")


def test_search_merges_what_three_apps_know(reader) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/tickets/")
    page.keyboard.press("/")
    expect(page.get_by_label("Search the whole site")).to_be_focused()
    page.keyboard.type("weather")
    page.keyboard.press("Enter")

    for name in ("Tickets", "Wiki", "Code"):
        region = page.get_by_role("region", name=name)
        expect(region.get_by_role("listitem").first).to_be_visible()
        expect(region.locator("mark").first).to_have_text("weather", ignore_case=True)


def test_a_slash_in_a_text_stays_a_slash(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/tickets/new")
    page.get_by_label("Title").click()
    page.keyboard.type("and/or")

    expect(page.get_by_label("Title")).to_have_value("and/or")


def test_the_admin_has_its_styles_behind_the_mount(reader, people) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(people.add("keeper", "admin"), "/wiki/admin/")

    expect(page.get_by_role("link", name="Pages")).to_be_visible()
    head = page.locator("#header").evaluate("e => getComputedStyle(e).backgroundColor")
    assert head != "rgba(0, 0, 0, 0)"  # unstyled, it is see-through


def test_everything_works_without_javascript(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/tickets/new", java_script_enabled=False)
    page.get_by_label("Title").fill("Written without scripts")
    page.get_by_role("button", name="Create ticket").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Written without scripts")
    expect(page.locator("#theme")).to_be_hidden()
    page.locator("#me summary").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    page.goto("/tickets/?state=closed")
    page.get_by_label("Label", exact=True).select_option("bug")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".rows .title").first).to_be_visible()
