"""The wiki: pages with a history, links that lead somewhere or say so, small files."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from mergepoint_testkit.visitor import Page, Visitor


def write(visitor: Visitor, title: str, body: str = "Text.", **typed: str) -> Page:
    """Write a new page through its form and return the page it leads to."""
    sent = {"title": title, "body": body, **typed}
    answer = visitor.submit(visitor.get("/new"), "title", save="", **sent)
    assert answer.status == 302, answer.text
    return visitor.request("GET", answer.location)


def test_a_new_page_is_shown_with_its_markdown_rendered(wiki: Visitor) -> None:
    page = write(wiki, "Compost heap", "## Turn it\n\n| when | how |\n|---|---|\n| March | once |")

    assert page.status == 200
    assert page.address.startswith(wiki.prefix + "/page/compost-heap")
    assert "<h2>Turn it</h2>" in page.text
    assert "<td>March</td>" in page.text


def test_a_title_in_another_script_makes_an_address(wiki: Visitor) -> None:
    page = write(wiki, "Æbletræ & 梨")

    assert page.status == 200
    assert wiki.get(f"/page/{quote('æbletræ-梨')}").status == 200


def test_a_link_to_a_missing_page_leads_to_its_form(wiki: Visitor) -> None:
    page = write(wiki, "Names others", "See [[Frost cloth|the cloth]] and [[Home]].")
    links = {a["href"]: a for a in page.document().all("a") if "href" in a}

    wanted = links[f"{wiki.prefix}/new?title=Frost+cloth"]
    assert wanted["class"] == "wanted"
    assert f"{wiki.prefix}/page/home" in links
    assert wiki.request("GET", f"{wiki.prefix}/new?title=Frost+cloth").form("title").values()[
        "title"
    ] == ("Frost cloth")
    assert "Frost cloth" in wiki.get("/wanted").document().words()

    write(wiki, "Frost cloth")
    assert "Frost cloth" not in wiki.get("/wanted").document().words()
    assert "Names others" in wiki.get("/page/frost-cloth").document().words()


def test_links_in_code_stay_text(wiki: Visitor) -> None:
    page = write(wiki, "About links", "Write `[[Never a page]]` for a link.")

    assert "[[Never a page]]" in page.document().words()
    assert "Never a page" not in wiki.get("/wanted").text


def test_every_version_is_kept_compared_and_restored(wiki: Visitor) -> None:
    write(wiki, "Well", "one\ntwo\nthree\n")
    form = wiki.get("/page/well/edit")
    wiki.submit(form, "title", body="one\n2\nthree\n", summary="digits", save="")

    diff = wiki.get("/page/well/version/2/diff")
    assert '<tr class="del">' in diff.text
    assert '<tr class="add">' in diff.text
    assert "digits" in wiki.get("/page/well/history").text

    old = wiki.get("/page/well/version/1")
    assert "This is an old version" in old.text
    assert wiki.submit(old, "restore").status == 302

    assert "two" in wiki.get("/page/well").text
    assert "Restored version 1" in wiki.get("/page/well/history").text
    assert wiki.get("/page/well/version/3").status == 200


def test_saving_without_a_change_makes_no_version(wiki: Visitor) -> None:
    write(wiki, "Still", "same\n")
    wiki.submit(wiki.get("/page/still/edit"), "title", save="")

    assert wiki.get("/page/still/version/2").status == 404


def test_two_people_editing_one_page_lose_nothing(wiki: Visitor) -> None:
    write(wiki, "Shared page", "start\n")
    mine, other = wiki.get("/page/shared-page/edit"), wiki.get("/page/shared-page/edit")
    wiki.submit(other, "title", body="theirs\n", save="")

    page = wiki.submit(mine, "title", body="mine\n", save="")

    assert page.status == 409
    assert page.form("title").values()["body"] == "mine\n"
    assert "theirs" in page.document().words()
    assert page.document().faults == []
    again = wiki.submit(page, "title", body="theirs and mine\n", save="")
    assert again.status == 302
    assert "theirs and mine" in wiki.get("/page/shared-page").text


def test_a_new_page_over_an_existing_one_is_a_conflict_too(wiki: Visitor) -> None:
    form = wiki.get("/new")

    page = wiki.submit(form, "title", title="Home", body="mine", save="")

    assert page.status == 409
    assert page.form("title").values()["body"] == "mine"


def test_a_preview_shows_the_text_and_saves_nothing(wiki: Visitor) -> None:
    page = wiki.submit(wiki.get("/new"), "title", title="Draft", body="**bold**", preview="")

    assert "<strong>bold</strong>" in page.text
    assert page.form("title").values()["body"] == "**bold**"
    assert wiki.get("/page/draft").status == 404


def test_a_page_nobody_wrote_invites_to_write_it(wiki: Visitor) -> None:
    page = wiki.get("/page/not-there-yet")

    assert page.status == 404
    assert f"{wiki.prefix}/new?title=Not%20there%20yet" in page.document().addresses("a")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"title": ""}, "A page needs a title"),
        ({"title": "???"}, "at least one letter"),
        ({"title": "x" * 161}, "at most 160 characters"),
        ({"body": "x" * 100_001}, "at most 100000 characters"),
    ],
)
def test_a_wrong_field_says_so_and_keeps_everything(
    wiki: Visitor, typed: dict[str, str], says: str
) -> None:
    sent = {"title": "Fine", "body": "kept\n", **typed}

    page = wiki.submit(wiki.get("/new"), "title", save="", **sent)

    assert page.status == 422
    assert says in page.text
    assert page.form("title").values()["body"] == sent["body"]
    assert page.document().faults == []


def test_what_people_write_never_becomes_code(wiki: Visitor) -> None:
    attack = (
        "<script>alert(1)</script>\n\n[x](javascript:alert(2)) [[<img src=x onerror=alert(3)>]]\n\n"
        "![x](data:text/html;base64,PHNjcmlwdD4=)"
    )
    write(wiki, "Attack <script>alert(4)</script>", attack)
    slug = "attack-scriptalert4script"

    for address in (f"/page/{slug}", f"/page/{slug}/edit", f"/page/{slug}/history", "/wanted", "/"):
        document = wiki.get(address).document()
        assert document.faults == []
        assert [s for s in document.all("script") if "src" not in s] == []
        assert all(not a.lower().startswith(("javascript:", "data:")) for a in document.addresses())
        assert all("onerror" not in image for image in document.all("img"))


def test_a_file_is_kept_and_handed_out_as_a_download(wiki: Visitor) -> None:
    page = write(wiki, "With files")
    data = b"<script>alert(1)</script>\x00\xff"
    answer = wiki.submit(page, "file", {"file": ("notes & more.html", data)})
    assert answer.status == 302, answer.text

    link = next(a for a in wiki.get("/page/with-files").document().addresses("a") if "notes" in a)
    got = wiki.request("GET", link)

    assert got.body == data
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert "sandbox" in got.headers["Content-Security-Policy"]


def test_a_file_that_is_too_large_is_refused_in_words(wiki: Visitor) -> None:
    page = write(wiki, "Heavy")

    answer = wiki.submit(page, "file", {"file": ("a.bin", b"0" * 1_100_000)})

    assert answer.status == 422
    assert "a file may have up to 1,024 KB" in answer.text


def test_a_file_name_cannot_climb(wiki: Visitor) -> None:
    page = write(wiki, "Climbing")

    wiki.submit(page, "file", {"file": ("../../settings.py", b"x")})

    files = [a for a in wiki.get("/page/climbing").document().addresses("a") if "/files/" in a]
    assert files == [f"{wiki.prefix}/page/climbing/files/settings.py"]


def test_search_finds_titles_first_and_beginnings(wiki: Visitor) -> None:
    items = wiki.get("/api/search?q=weath").json["items"]

    assert items[0]["title"] == "Weather station"
    assert items[0]["url"] == f"{wiki.prefix}/page/weather-station"
    assert wiki.get("/api/search?q=%22%29+NEAR").json["items"] == []
    assert "Weather station" in wiki.get("/search?q=weather").document().words()


def test_a_form_without_the_secret_of_this_browser_changes_nothing(wiki: Visitor) -> None:
    fields = {"title": "Forged", "body": "x", "base": "0", "save": ""}

    page = wiki.post("/new", fields)

    assert page.status == 403
    assert "This form has expired" in page.text
    assert wiki.get("/page/forged").status == 404


def test_who_writes_is_who_has_logged_in_whatever_is_typed(serve) -> None:  # type: ignore[no-untyped-def]
    page = write(serve("wiki", "tester"), "Whose page", author="gardener")
    other = serve("wiki", "other")
    form = other.request("GET", f"{page.address}/edit")
    other.submit(form, "title", body="More.", author="gardener", save="")

    history = serve("wiki").request("GET", f"{page.address}/history").document().words()
    assert "Test Writer (tester)" in history
    assert "other" in history
    assert "gardener" not in history
    assert "by other" in serve("wiki").request("GET", page.address).document().words()


def test_pages_of_older_versions_keep_their_writers(serve) -> None:  # type: ignore[no-untyped-def]
    words = serve("wiki").get("/page/getting-started/history").document().words()

    assert "maintainer" in words


def test_the_admin_has_its_styles_at_its_mount(serve) -> None:  # type: ignore[no-untyped-def]
    wiki = serve("wiki", "admin")
    page = wiki.get("/admin/pages/page/")
    assert page.status == 200
    assert "Getting started" in page.text
    styles = [a for a in page.document().addresses("link") if a.endswith(".css")]

    assert styles
    for address in styles:
        assert address.startswith(f"{wiki.prefix}/static/admin/")
        assert wiki.request("GET", address).status == 200


def test_the_admin_is_for_administrators_of_the_site(serve) -> None:  # type: ignore[no-untyped-def]
    stranger, writer = serve("wiki"), serve("wiki", "tester")
    asked = stranger.get("/admin/pages/page/")
    login = stranger.request("GET", asked.location)
    refused = writer.get("/admin/pages/page/", follow=True)

    assert login.location.startswith("/-/accounts/login?next=")
    assert refused.status == 403
    assert "Not for everybody" in refused.text


@pytest.mark.parametrize(
    "address", ["/static/../config/settings.py", "/static/%2e%2e/manage.py", "/static//etc/passwd"]
)
def test_static_files_are_only_those_of_installed_apps(wiki: Visitor, address: str) -> None:
    assert wiki.get(address).status in {400, 404}
