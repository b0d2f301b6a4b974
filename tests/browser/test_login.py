"""One login through a real browser: into every app, to the account page, and out of everything."""

from __future__ import annotations

import subprocess
from pathlib import Path

from playwright.sync_api import expect

GIT_S_MAX = 60


def test_who_wants_to_write_logs_in_on_the_way_and_writes(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/wiki/page/frost-cloth")
    page.get_by_role("link", name="Log in to write it").click()
    page.locator("input[name=user]").fill(writer.user)
    page.locator("input[name=password]").fill(writer.password)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Write this page").click()
    page.get_by_label("Text").fill("Over the beds before the first frost.")
    page.get_by_role("button", name="Save page").click()

    expect(page.get_by_text("Version 1 by Head Gardener")).to_be_visible()
    for address in ("/", "/tickets/", "/code/"):
        page.goto(address)
        expect(page.locator("#me")).to_contain_text("Head Gardener")
    reader.expect("404")


def test_who_logs_out_in_one_app_is_out_in_all_and_in_every_tab(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/code/orchard")
    tab = page.context.new_page()
    tab.goto("/tickets/2")
    expect(tab.get_by_label("Comment")).to_be_visible()

    page.locator("#me summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")

    for address in ("/", "/tickets/2", "/wiki/", "/code/"):
        tab.goto(address)
        expect(tab.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()
    tab.goto("/tickets/2")
    expect(tab.get_by_label("Comment")).to_have_count(0)


def test_a_form_left_open_after_the_logout_leads_to_the_login_and_back(reader, writer) -> None:  # type: ignore[no-untyped-def]
    page = reader.open_as(writer, "/tickets/2")
    page.get_by_label("Comment").fill("Typed before")
    tab = page.context.new_page()
    tab.goto("/wiki/")
    tab.locator("#me summary").click()
    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("You are logged out")

    page.get_by_role("button", name="Comment").click()
    page.locator("input[name=user]").fill(writer.user)
    page.locator("input[name=password]").fill(writer.password)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Say something")).to_be_visible()
    expect(page.get_by_text("Typed before")).to_have_count(0)


def test_a_token_made_in_the_browser_pushes_until_it_is_revoked_there(  # type: ignore[no-untyped-def]
    reader, writer, forge, tmp_path: Path
) -> None:
    page = reader.open_as(writer, "/code/orchard")
    page.locator("#me summary").click()
    page.get_by_role("link", name="Your account").click()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Label").fill("My desk")
    page.get_by_label("code.push").check()
    page.get_by_role("button", name="Create token").click()
    token = page.locator("#token").inner_text().strip()
    place = f"127.0.0.1:{forge.port}/code/orchard.git"

    def git(*arguments: str, at: str = ".") -> int:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=tmp_path / at, check=False, timeout=GIT_S_MAX).returncode

    def push(branch: str) -> int:
        url = f"http://{writer.user}:{token}@{place}"
        return git("push", "-q", url, f"HEAD:refs/heads/{branch}", at="copy")

    assert git("clone", "-q", f"http://{place}", "copy") == 0
    assert push("from-the-desk") == 0

    page.get_by_role("button", name="Revoke").first.click()
    expect(page.get_by_text("My desk")).to_have_count(0)
    assert push("too-late") != 0


def test_an_administrator_sees_more_of_the_menu_than_a_writer(reader, writer, people) -> None:  # type: ignore[no-untyped-def]
    admin = reader.open_as(people.add("overseer", "admin"), "/")
    admin.locator("#me summary").click()
    admin.get_by_role("link", name="People and roles").click()
    expect(admin.get_by_text("Head Gardener").first).to_be_visible()

    page = reader.open_as(writer, "/")
    page.locator("#me summary").click()
    expect(page.get_by_role("link", name="Your account")).to_be_visible()
    expect(page.get_by_role("link", name="People and roles")).to_have_count(0)
