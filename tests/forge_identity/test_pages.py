"""People and pages: log in once, write under one's name everywhere, and be out everywhere."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from mergepoint_testkit.people import log_in, log_out
from mergepoint_testkit.visitor import Page, Visitor

from .waiting import within

APPS = ["/", "/tickets/", "/wiki/", "/code/"]
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


def shows(visitor: Visitor, name: str) -> list[bool]:
    return [f"Logged in as {name}" in visitor.get(at).document().words() for at in APPS]


def new_ticket(visitor: Visitor, title: str) -> Page:
    answer = visitor.submit(visitor.get("/tickets/new"), "title", title=title, body="Words.")
    assert answer.status == 303, answer.text
    return visitor.request("GET", answer.location)


def test_one_login_holds_in_every_app(make, browse) -> None:  # type: ignore[no-untyped-def]
    visitor = browse(make("developer", name="Head Gardener"))

    assert shows(visitor, "Head Gardener") == [True] * 4
    assert shows(browse(), "Head Gardener") == [False] * 4


def test_a_ticket_and_a_wiki_page_carry_the_name_of_who_wrote_them(make, browse) -> None:  # type: ignore[no-untyped-def]
    head, other_one = make("developer", name="Head Gardener"), make("developer")
    page = new_ticket(browse(head), "Whose ticket is this")
    number = page.address.rpartition("/")[2]
    other = browse(other_one)
    other.submit(other.get(f"/tickets/{number}/edit"), "title", title="Changed by another")
    other.submit(other.get("/wiki/page/pruning/edit"), "title", body="In spring.\n", save="")

    words = browse().get(f"/tickets/{number}").document().words()
    assert "opened by Head Gardener" in words
    assert f"{other_one.user} changed the title" in words
    history = browse().get("/wiki/page/pruning/history").document().words()
    assert other_one.user in history
    assert "by Head Gardener" in browse().get("/tickets/").document().words()


@pytest.mark.parametrize(
    "address", ["/tickets/new", "/tickets/1/edit", "/wiki/new?title=A%20b", "/wiki/page/home/edit"]
)
def test_who_must_log_in_first_comes_back_to_where_they_were(make, browse, address: str) -> None:  # type: ignore[no-untyped-def]
    visitor = browse()
    sent = visitor.request("GET", address, headers=BROWSER)
    assert sent.status in {302, 303}
    assert sent.location.startswith("/-/accounts/login?next=")

    somebody = make("developer")
    page = visitor.request("GET", sent.location)
    answer = visitor.submit(page, "password", user=somebody.user, password=somebody.password)

    assert answer.status == 303
    assert quote(answer.location, safe="/%?=") == address
    assert visitor.request("GET", answer.location, headers=BROWSER).status == 200


def test_a_reader_reads_and_cannot_write_by_any_way(make, browse) -> None:  # type: ignore[no-untyped-def]
    reader = browse(make("reader"))
    before = browse().get("/tickets/api/tickets").json["total"]

    assert [reader.get(at).status for at in APPS] == [200] * 4
    assert "New ticket" not in reader.get("/tickets/").document().words()
    for address in ("/tickets/new", "/tickets/1/edit", "/wiki/new", "/wiki/admin/"):
        assert reader.request("GET", address, headers=BROWSER).status == 403, address
    for address in ("/tickets/new", "/tickets/1/comment", "/wiki/new", "/wiki/page/home/edit"):
        refused = reader.post(address, {"title": "No", "body": "No"})
        assert refused.status == 403, address
        # The guard at the door says so, before the app is asked.
        assert refused.json["code"] == "identity.forbidden", refused.text
    assert browse().get("/tickets/api/tickets").json["total"] == before


def test_a_new_role_holds_from_the_next_request(make, browse, people) -> None:  # type: ignore[no-untyped-def]
    somebody = make("reader")
    visitor = browse(somebody)
    assert visitor.request("GET", "/tickets/new", headers=BROWSER).status == 403

    people.set_roles(somebody, "developer")

    within(lambda: visitor.request("GET", "/tickets/new", headers=BROWSER).status == 200)


def test_who_logs_out_is_out_in_every_app_at_once(make, browse) -> None:  # type: ignore[no-untyped-def]
    somebody = make("developer", name="Late Leaver")
    visitor, same_cookies = browse(somebody), browse()
    form = visitor.get("/tickets/new").form("title").values()
    same_cookies.cookies = dict(visitor.cookies)

    log_out(visitor)

    # Even somebody who kept the cookies is nobody now.
    assert shows(same_cookies, "Late Leaver") == [False] * 4
    refused = same_cookies.post("/tickets/new", {**form, "title": "From the past"})
    assert refused.status == 401 or "/login" in refused.location
    assert "From the past" not in browse().get("/tickets/").text


def test_another_person_in_the_same_browser_is_another_person(make, browse) -> None:  # type: ignore[no-untyped-def]
    visitor = browse(make("developer", name="First Person"))
    new_ticket(visitor, "Of the first")
    log_out(visitor)
    log_in(visitor, make("developer", name="Second Person"))

    page = new_ticket(visitor, "Of the second")

    assert "opened by Second Person" in page.document().words()
    assert shows(visitor, "First Person") == [False] * 4


def test_an_administrator_finds_djangos_admin_open_without_another_password(make, browse) -> None:  # type: ignore[no-untyped-def]
    page = browse(make("admin")).request("GET", "/wiki/admin/pages/page/", headers=BROWSER)
    sent = browse().request("GET", "/wiki/admin/pages/page/", headers=BROWSER)

    assert page.status == 200
    assert "Getting started" in page.text
    assert sent.location.startswith("/-/accounts/login?next=")


def test_a_client_cannot_say_who_it_is(browse) -> None:  # type: ignore[no-untyped-def]
    told = {
        "Remote-User": "admin",
        "Remote-Groups": "admin",
        "Mergepoint-Identity": "e30.eyJzdWIiOiIxIiwidXNlciI6ImFkbWluIn0.AA",
        "X-Forwarded-User": "admin",
    }
    visitor = browse()

    for address in APPS:
        answer = visitor.request("GET", address, headers=told)
        assert answer.status == 200
        assert "Logged in as" not in answer.document().words()
    assert visitor.request("GET", "/wiki/admin/", headers={**told, **BROWSER}).status == 303
