"""Tickets: create, edit, talk, close, find, and never lose what was typed."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from mergepoint_testkit.visitor import Page, Visitor

TITLE_CHARS_MAX = 160
BODY_CHARS_MAX = 20_000


def write(visitor: Visitor, title: str, **typed: str) -> Page:
    """Create a ticket through its form and return the page it leads to."""
    form = visitor.get("/new")
    answer = visitor.submit(form, "title", title=title, **typed)
    assert answer.status == 303, answer.text
    return visitor.request("GET", answer.location)


def number_of(page: Page) -> str:
    return urlsplit(page.address).path.rpartition("/")[2]


def test_a_new_ticket_is_shown_with_what_was_typed(tickets: Visitor) -> None:
    page = write(tickets, "Ladder is wobbly", body="The *left* one.", labels="bug")

    assert page.status == 200
    assert "Ladder is wobbly" in page.document().words()
    assert "<em>left</em>" in page.text
    assert "bug" in page.document().words()


def test_who_writes_is_who_has_logged_in_whatever_is_typed(serve) -> None:  # type: ignore[no-untyped-def]
    page = write(serve("tickets", "tester"), "Whose is this", author="gardener")
    number = number_of(page)
    other = serve("tickets", "other")
    other.submit(other.get(f"/{number}"), "body", then="close", body="Mine.", author="gardener")

    seen = serve("tickets").get(f"/{number}")
    words = seen.document().words()
    assert "opened by Test Writer" in words
    assert "Test Writer (tester) wrote" in words
    assert "other commented" in words
    assert "other closed this" in words
    assert "gardener" not in words
    told = serve("tickets").get("/api/tickets?state=all&q=whose").json["items"][0]
    assert (told["author"], told["author_name"]) == ("tester", "Test Writer")


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({"title": "   "}, "title", "needs a title"),
        ({"title": "x" * (TITLE_CHARS_MAX + 1)}, "title", "has 161 characters"),
        ({"title": "Long", "body": "y" * (BODY_CHARS_MAX + 1)}, "body", "at most 20,000 fit"),
        ({"title": "Who", "assignee": "<b>"}, "assignee", "small letters"),
    ],
)
def test_a_wrong_field_says_so_beside_it_and_keeps_everything(
    tickets: Visitor, typed: dict[str, str], field: str, says: str
) -> None:
    sent = {"title": "Fine", "body": "kept text", **typed}

    page = tickets.submit(tickets.get("/new"), "title", **sent)

    assert page.status == 422
    assert re.search(rf'id="{field}-error">[^<]*{re.escape(says)}', page.text)
    assert f'aria-describedby="{field}-error"' in page.text
    assert page.form("title").values()["body"] == sent["body"]
    assert page.document().faults == []


def test_two_people_editing_one_ticket_lose_nothing(tickets: Visitor) -> None:
    number = number_of(write(tickets, "Shared", body="start"))
    mine, other = tickets.get(f"/{number}/edit"), tickets.get(f"/{number}/edit")
    tickets.submit(other, "title", title="Shared", body="theirs")

    page = tickets.submit(mine, "title", title="Shared", body="mine")

    assert page.status == 409
    assert page.form("title").values()["body"] == "mine"
    assert "theirs" in page.document().words()
    assert "theirs" in tickets.get(f"/{number}").text

    again = tickets.submit(page, "title", body="theirs and mine")

    assert again.status == 303
    assert "theirs and mine" in tickets.get(f"/{number}").text


def test_a_comment_does_not_make_an_open_edit_form_old(tickets: Visitor) -> None:
    number = number_of(write(tickets, "Talked about"))
    form = tickets.get(f"/{number}/edit")
    page = tickets.get(f"/{number}")
    tickets.submit(page, "body", body="a word in between")

    assert tickets.submit(form, "title", body="edited").status == 303


def test_an_edit_is_told_in_the_thread(tickets: Visitor) -> None:
    number = number_of(write(tickets, "Before"))
    tickets.submit(tickets.get(f"/{number}/edit"), "title", title="After", assignee="gardener")

    words = tickets.get(f"/{number}").document().words()

    assert "changed the title from “Before”" in words
    assert "gave it to gardener" in words


def test_closing_and_reopening_is_told_once_each(tickets: Visitor) -> None:
    number = number_of(write(tickets, "Open and shut"))
    page = tickets.get(f"/{number}")
    tickets.submit(page, "body", then="close")
    tickets.submit(page, "body", then="close")

    closed = tickets.get(f"/{number}")
    assert closed.text.count("closed this") == 1
    assert f"/{number}" not in tickets.get("/api/tickets?state=open&q=shut").text

    tickets.submit(closed, "body", then="reopen", body="Not yet.")
    words = tickets.get(f"/{number}").document().words()
    assert "reopened this" in words
    assert "Not yet." in words


def test_an_empty_comment_is_refused_in_words(tickets: Visitor) -> None:
    number = number_of(write(tickets, "Quiet"))

    page = tickets.submit(tickets.get(f"/{number}"), "body", body="  ")

    assert page.status == 422
    assert "Write something first" in page.text


def test_filters_narrow_the_list(tickets: Visitor) -> None:
    def titles(query: str) -> set[str]:
        return {item["title"] for item in tickets.get(f"/api/tickets?{query}").json["items"]}

    assert "Translate the labels of the map" in titles("label=docs")
    assert all("bees" not in title for title in titles("label=docs"))
    assert titles("assignee=coordinator&state=open") <= titles("assignee=coordinator")
    assert titles("q=zzzzzz") == set()
    assert titles("q=%22") == set()
    assert titles("label=no-such-label") == set()


def test_pages_divide_the_list_without_gaps(tickets: Visitor) -> None:
    first = tickets.get("/api/tickets?page=1").json
    pages = -(-first["total"] // first["page_size"])
    found = [
        item["number"]
        for page in range(1, pages + 1)
        for item in tickets.get(f"/api/tickets?page={page}").json["items"]
    ]

    assert pages > 1
    assert len(found) == len(set(found)) == first["total"]
    assert 'rel="next"' in tickets.get("/?state=all").text
    assert 'rel="next"' not in tickets.get(f"/?state=all&page={pages}").text


@pytest.mark.parametrize(
    ("words", "finds"),
    [
        ("felling", "Write down how we decide about felling a tree"),
        ("WASPS", "First page for people who are new to the garden"),
        ("aeroplane", None),
        ("Ribston apple", "Search finds 'pear' but not 'Pear'"),
        ("sprea", "Import trees from a spreadsheet"),
        ('"unbalanced (NEAR *', None),
    ],
)
def test_search_looks_into_titles_texts_and_comments(
    tickets: Visitor, words: str, finds: str | None
) -> None:
    from urllib.parse import quote

    items = tickets.get(f"/api/search?q={quote(words)}").json["items"]

    assert any(finds in item["title"] for item in items) if finds else items == []


def test_a_search_result_leads_to_its_ticket(tickets: Visitor) -> None:
    item = tickets.get("/api/search?q=wasps").json["items"][0]

    assert item["url"].startswith(tickets.prefix + "/")
    assert "wasps" in item["snippet"]
    assert "wasps" in tickets.request("GET", item["url"]).text


def test_what_people_write_never_becomes_code(tickets: Visitor) -> None:
    attack = '<script>alert(1)</script><img src=x onerror="alert(2)">[x](javascript:alert(3))'
    page = write(tickets, attack, body=attack)
    tickets.submit(page, "body", body=attack)
    number = number_of(page)

    for address in (f"/{number}", f"/{number}/edit", "/?q=alert", "/?q=%3Cscript%3E"):
        document = tickets.get(address).document()
        assert document.faults == []
        assert [s for s in document.all("script") if "src" not in s] == []
        assert all(not a.startswith("javascript:") for a in document.addresses("a"))
        assert all("onerror" not in image for image in document.all("img"))


def test_a_form_without_the_secret_of_this_browser_changes_nothing(tickets: Visitor) -> None:
    before = tickets.get("/api/tickets").json["total"]
    stranger = Visitor(tickets.port, tickets.prefix)
    token = tickets.get("/new").form("title").values()["csrf"]

    without = tickets.post("/new", {"title": "Forged"})
    borrowed = stranger.post("/new", {"title": "Forged", "csrf": token})

    assert (without.status, borrowed.status) == (403, 403)
    assert tickets.get("/api/tickets").json["total"] == before


def test_a_form_that_is_too_large_is_refused(tickets: Visitor) -> None:
    tickets.get("/new")

    page = tickets.post("/new", {"title": "Big", "body": "z" * 300_000})

    assert page.status == 413


def test_an_empty_tracker_invites_to_begin(serve_empty) -> None:  # type: ignore[no-untyped-def]
    page = serve_empty("tickets").get("/")

    assert page.status == 200
    assert "Nothing is open" in page.text
    assert page.document().faults == []


@pytest.mark.parametrize("address", ["/0", "/99999999999999999999", "/1/nothing", "/api/nothing"])
def test_an_unknown_address_is_answered_in_the_shell_or_as_json(
    tickets: Visitor, address: str
) -> None:
    page = tickets.get(address)

    assert page.status == 404
    if address.startswith("/api"):
        assert page.json["error"]
    else:
        assert "No such ticket" in page.text
        assert page.document().faults == []
