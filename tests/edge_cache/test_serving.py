"""What is kept, shared and dropped, as a client sees it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mergepoint_testkit.edge import EdgeFailed

from .conftest import Start, status
from .sites import cached_site
from .worker import Answer, Asked, Gate, Worker

FRESH = {"Cache-Control": "max-age=60", "ETag": '"one"', "Content-Type": "text/plain"}


def test_a_kept_answer_is_given_without_asking_the_app(start: Start) -> None:
    stand = start(lambda asked: Answer(f"number {asked.count}".encode(), FRESH))
    first, second = stand.get("/page"), stand.get("/page")
    assert (first.text, second.text) == ("number 1", "number 1")
    assert status(first).startswith("Mergepoint; fwd=uri-miss; stored; ttl=")
    assert status(second).startswith("Mergepoint; hit; ttl=")
    assert "age" not in first.headers
    assert int(second.headers["age"]) >= 0
    assert stand.worker.seen["/page"] == 1
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_head_a_range_and_a_condition_are_answered_from_what_is_kept(start: Start) -> None:
    stand = start(lambda asked: Answer(b"0123456789", FRESH))
    stand.get("/page")
    head = stand.client.ask("HEAD", "/page")
    assert (head.status_code, head.headers["content-length"]) == (200, "10")
    part = stand.get("/page", range="bytes=2-4")
    assert (part.status_code, part.text) == (206, "234")
    assert part.headers["content-range"] == "bytes 2-4/10"
    assert stand.get("/page", range="bytes=20-").status_code == 416
    assert stand.get("/page", range="bytes=2-4", if_range='"other"').text == "0123456789"
    same = stand.get("/page", if_none_match='"one"')
    assert (same.status_code, same.text, same.headers["etag"]) == (304, "", '"one"')
    assert stand.worker.seen["/page"] == 1


def test_many_requests_for_one_page_are_one_request_to_the_app(start: Start) -> None:
    gate = Gate()

    def slow(asked: Asked) -> Answer:
        gate.wait()
        return Answer(b"slow", FRESH)

    stand = start(slow)
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(stand.get, "/page") for _ in range(12)]
        assert gate.arrived.wait(20)
        gate.open()
        answers = [one.result() for one in asked]
    assert {answer.text for answer in answers} == {"slow"}
    assert stand.worker.seen["/page"] == 1


def test_requests_for_what_cannot_be_shared_do_not_wait_for_each_other(start: Start) -> None:
    both = threading.Barrier(2, timeout=20)

    def mine(asked: Asked) -> Answer:
        if asked.count > 1:
            both.wait()
        return Answer(b"mine", {"Cache-Control": "private"})

    stand = start(mine)
    stand.get("/mine")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: stand.get("/mine"), range(2)))
    assert [answer.text for answer in answers] == ["mine", "mine"]
    assert "detail=private" in status(answers[0])


def test_a_body_that_comes_in_pieces_is_kept_whole(start: Start) -> None:
    chunks = tuple(bytes([65 + n]) * 9000 for n in range(8))
    stand = start(lambda asked: Answer(headers=FRESH, chunks=chunks))
    first = stand.get("/page")
    second = stand.get("/page")
    assert first.content == second.content == b"".join(chunks)
    assert stand.worker.seen["/page"] == 1


def test_a_body_larger_than_may_be_kept_goes_through_whole(start: Start) -> None:
    chunks = tuple(bytes([65 + n % 26]) * 60_000 for n in range(40))
    stand = start(lambda asked: Answer(headers=FRESH, chunks=chunks), entry_bytes_max=100_000)
    for count in (1, 2):
        assert stand.get("/page").content == b"".join(chunks)
        assert stand.worker.seen["/page"] == count
    assert stand.edge.ask("cache_stats")["refused"]["too-large"] == 2


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"authorization": "Basic eDp5"}, {}),
        ({"cookie": "session=1"}, {}),
        ({}, {"Set-Cookie": "a=b"}),
        ({}, {"Cache-Control": "private, max-age=60"}),
        ({}, {"Vary": "*"}),
    ],
)
def test_what_is_for_one_alone_is_never_given_to_another(
    start: Start, headers: dict[str, str], answer: dict[str, str]
) -> None:
    stand = start(lambda asked: Answer(str(asked.count).encode(), {**FRESH, **answer}))
    assert stand.client.ask("GET", "/page", headers).text == "1"
    assert stand.get("/page").text == "2"


def test_who_brings_an_unknown_cookie_is_given_only_what_is_marked_for_all(start: Start) -> None:
    def answer(asked: Asked) -> Answer:
        kind = "public, max-age=60" if asked.path == "/public" else "max-age=60"
        return Answer(str(asked.count).encode(), {"Cache-Control": kind})

    stand = start(answer, app={"cookies": ["theme"]})
    for path in ("/public", "/page"):
        stand.get(path)
    assert stand.get("/public", cookie="session=1").text == "1"
    assert stand.get("/page", cookie="session=1").text == "2"
    assert stand.get("/page", cookie="theme=dark").text == "3"
    assert stand.get("/page", cookie="theme=dark").text == "3"
    assert stand.get("/page", cookie="theme=light").text == "4"


def test_an_unsafe_request_drops_what_it_changed_and_the_groups_it_names(start: Start) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(b"", {"Cache-Group-Invalidation": '"posts"', "Location": "/named"})
        groups = {"Cache-Groups": '"posts", "all"'} if asked.path == "/grouped" else {}
        return Answer(str(asked.count).encode(), {**FRESH, **groups})

    stand = start(answer)
    paths = ["/changed", "/named", "/grouped", "/other"]
    for path in paths:
        grouped = stand.get(path)
        assert "cache-groups" not in grouped.headers
    posted = stand.post("/changed")
    assert "cache-group-invalidation" not in posted.headers
    assert [stand.get(path).text for path in paths] == ["3", "2", "2", "1"]


def test_an_answer_stale_by_time_stands_in_for_an_error(start: Start) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.count == 1:
            life = {"Cache-Control": "max-age=0, stale-if-error=60", "ETag": '"one"'}
            return Answer(b"old", life)
        return Answer(b"broken", status=503)

    stand = start(answer)
    stand.get("/page")
    instead = stand.get("/page")
    assert (instead.status_code, instead.text) == (200, "old")
    assert "fwd-status=503" in status(instead) or "if-error" in status(instead)


def test_a_new_answer_is_fetched_while_the_old_one_is_used(start: Start) -> None:
    def answer(asked: Asked) -> Answer:
        life = "max-age=0, stale-while-revalidate=60" if asked.count == 1 else "max-age=60"
        return Answer(
            str(asked.count).encode(), {"Cache-Control": life, "ETag": f'"{asked.count}"'}
        )

    stand = start(answer)
    stand.get("/page")
    assert stand.get("/page").text == "1"
    while stand.get("/page").text == "1":
        assert stand.worker.seen["/page"] <= 2
    assert stand.worker.seen["/page"] == 2


def test_the_operator_sees_why_and_can_drop_it(start: Start) -> None:
    tagged = {**FRESH, "Cache-Tag": "one, two"}
    stand = start(lambda asked: Answer(str(asked.count).encode(), tagged))
    url = stand.edge.url("/page?x=1")
    stand.get("/page?x=1")
    why = stand.edge.ask("cache_why", url=url)
    assert why["stored"] is True
    assert why["tags"] == ["@app/one", "@app/two"]
    assert stand.edge.ask("cache_purge", tags=["@app/two"])["dropped"] == 1
    last = stand.edge.ask("cache_why", url=url)["last"]
    assert (last["reason"], last["tag"]) == ("purged", "@app/two")
    for arguments in ({"url": url}, {"prefix": stand.edge.url("/pa")}, {"all": True}):
        stand.get("/page?x=1")
        assert stand.edge.ask("cache_purge", **arguments)["dropped"] == 1
    stats = stand.edge.ask("cache_stats")
    assert (stats["entries"], stats["apps"]["app"]["stored"]) == (0, 4)
    with pytest.raises(EdgeFailed, match="needs one of"):
        stand.edge.ask("cache_purge")
    text = stand.edge.ask("metrics")["text"]
    assert 'mergepoint_edge_cache_stored_total{app="app"} 4\n' in text


def test_the_cache_takes_no_more_room_than_it_is_given(start: Start) -> None:
    room = 1 << 20
    stand = start(lambda asked: Answer(b"x" * 20_000, FRESH), bytes_max=room, entry_bytes_max=room)
    for number in range(200):
        stand.get(f"/page/{number}")
    stats = stand.edge.ask("cache_stats")
    assert 0 < stats["bytes"] <= room
    assert stats["evicted"] > 100


def test_new_workers_of_an_app_make_what_the_old_ones_said_untrue(start: Start) -> None:
    stand = start(lambda asked: Answer(b"old", FRESH))
    stand.get("/page")
    with Worker(lambda asked: Answer(b"new", FRESH)) as other:
        stand.edge.apply(cached_site(other.address, generation=2))
        assert stand.get("/page").text == "new"
