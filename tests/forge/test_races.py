"""Many people at the same moment: one of them wins, the others are told, nobody sees an error."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from mergepoint_testkit.visitor import Visitor

WRITERS = 8


def test_of_many_edits_of_one_ticket_exactly_one_is_saved(tickets: Visitor) -> None:
    form = tickets.get("/new")
    made = tickets.submit(form, "title", title="Raced for").location
    number = made.rpartition("/")[2]
    opened = tickets.get(f"/{number}/edit")

    def edit(writer: int) -> int:
        return tickets.submit(opened, "title", body=f"from {writer}").status

    with ThreadPoolExecutor(WRITERS) as pool:
        statuses = Counter(pool.map(edit, range(WRITERS)))

    assert statuses == {303: 1, 409: WRITERS - 1}


def test_of_many_comments_none_is_lost(tickets: Visitor) -> None:
    form = tickets.get("/new")
    made = tickets.submit(form, "title", title="Talked over").location
    page = tickets.request("GET", made)

    def say(writer: int) -> int:
        return tickets.submit(page, "body", body=f"word number {writer}!").status

    with ThreadPoolExecutor(WRITERS) as pool:
        statuses = Counter(pool.map(say, range(WRITERS)))

    words = tickets.request("GET", made).document().words()
    assert statuses == {303: WRITERS}
    assert all(f"word number {writer}!" in words for writer in range(WRITERS))


def test_of_many_edits_of_one_wiki_page_exactly_one_is_saved(wiki: Visitor) -> None:
    opened = wiki.get("/page/weather-station/edit")

    def edit(writer: int) -> int:
        fields = {"body": f"from {writer}\n", "save": ""}
        return wiki.submit(opened, "title", **fields).status

    with ThreadPoolExecutor(WRITERS) as pool:
        statuses = Counter(pool.map(edit, range(WRITERS)))

    assert statuses == {302: 1, 409: WRITERS - 1}
    assert wiki.get("/page/weather-station/version/2").status == 200
    assert wiki.get("/page/weather-station/version/3").status == 404


def test_of_many_who_begin_the_same_page_exactly_one_does(wiki: Visitor) -> None:
    opened = wiki.get("/new")

    def write(writer: int) -> int:
        fields = {"title": f"Begun{wiki.prefix.strip('/')}", "body": f"{writer}"}
        return wiki.submit(opened, "title", save="", **fields).status

    with ThreadPoolExecutor(WRITERS) as pool:
        statuses = Counter(pool.map(write, range(WRITERS)))

    assert statuses == {302: 1, 409: WRITERS - 1}
