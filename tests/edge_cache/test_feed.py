"""Coherence with a database: what a hub says is obeyed, and what it does not say is not assumed."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .conftest import Stand, Start, status
from .hub import Hub
from .worker import Answer, Asked, Gate

AUTO = {"mode": "auto"}


class Database:
    """One row, `main/a:id=1`, with a counter; a write is a commit."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.value = hub, 0

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.write()
            return Answer(b"written", {"Content-Type": "text/plain"})
        return Answer(str(self.value).encode(), {"X-Mergepoint-Tags": "main/a:id=1"})

    def write(self) -> None:
        self.value += 1
        self.hub.commit("main/a", "main/a:id=1")


def kept(stand: Stand, path: str = "/page") -> None:
    """Ask until the answer comes from the cache; the first may come before the first lease."""
    for _ in range(50):
        if "hit" in status(stand.get(path)):
            return
    raise AssertionError(f"never kept: {stand.edge.ask('cache_stats')}")


@contextmanager
def short_hub(lease_s: float) -> Iterator[Hub]:
    """A hub whose readings count for a moment only."""
    with (
        tempfile.TemporaryDirectory(prefix="mp-") as name,
        Hub(Path(name) / "feed.sock", lease_s=lease_s) as hub,
    ):
        yield hub


def test_an_answer_made_from_named_data_is_kept_without_being_told_so(
    start: Start, hub: Hub
) -> None:
    stand = start(Database(hub).answer, app=AUTO, hub=hub)
    kept(stand)
    answer = stand.get("/page")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"].startswith('"')
    assert not {"x-mergepoint-tags", "age"} & set(answer.headers)
    assert stand.get("/page", if_none_match=answer.headers["etag"]).status_code == 304
    assert any(one.headers.get("mergepoint-fill") == "1" for one in stand.worker.requests)


def test_whoever_is_told_of_a_write_sees_it(start: Start, hub: Hub) -> None:
    database = Database(hub)
    stand = start(database.answer, app=AUTO, hub=hub)
    for number in range(1, 30):
        kept(stand)
        assert stand.post("/elsewhere").text == "written"
        assert stand.get("/page").text == str(number)


def test_a_write_by_somebody_else_is_seen_soon(start: Start, hub: Hub) -> None:
    database = Database(hub)
    stand = start(database.answer, app=AUTO, hub=hub)
    kept(stand)
    database.write()
    while stand.get("/page").text != "1":
        pass
    why = stand.edge.ask("cache_stats")
    assert why["apps"]["app"]["invalidated"] >= 1


def test_an_answer_made_before_a_change_is_not_kept_after_it(start: Start, hub: Hub) -> None:
    gate, database = Gate(), Database(hub)

    def answer(asked: Asked) -> Answer:
        said = database.answer(asked)
        if asked.path == "/slow" and asked.count == 1:
            gate.wait()
        return said

    stand = start(answer, app={**AUTO, "hold": "strict"}, hub=hub)
    kept(stand)
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(stand.get, "/slow")
        assert gate.arrived.wait(20)
        stand.post("/write")
        late = pool.submit(stand.get, "/slow")
        gate.open()
        assert early.result().text == "0"
        assert late.result().text == "1", "an old flight was given to a new request"
    assert stand.get("/slow").text == "1"


def test_every_edge_has_seen_a_write_before_its_writer_is_told(start: Start, hub: Hub) -> None:
    database = Database(hub)
    one = start(database.answer, app=AUTO, hub=hub)
    two = start(database.answer, app=AUTO, hub=hub)
    hub.wait_for("hello", 2)
    for number in range(1, 10):
        kept(one)
        kept(two)
        one.post("/write")
        assert two.get("/page").text == str(number)
    assert len(hub.applied) >= 9


def test_an_answer_is_held_until_the_barrier_is_answered(start: Start, hub: Hub) -> None:
    gate = Gate()
    stand = start(Database(hub).answer, app=AUTO, hub=hub)
    hub.hold = lambda verb: gate.wait() if verb == "barrier" else None
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(stand.post, "/write")
        assert gate.arrived.wait(20)
        assert not write.done()
        gate.open()
        assert write.result().text == "written"


def test_the_last_piece_of_a_long_answer_is_held(start: Start, hub: Hub) -> None:
    gate = Gate()
    chunks = tuple(b"x" * 50_000 for _ in range(6))
    stand = start(lambda asked: Answer(chunks=chunks), app=AUTO, hub=hub)
    hub.hold = lambda verb: gate.wait() if verb == "barrier" else None
    came = 0
    for piece in stand.client.pieces("POST", "/write", b"x"):
        came += len(piece)
        if came >= 200_000 and not gate.arrived.is_set():
            assert gate.arrived.wait(20)
        if gate.arrived.is_set() and not gate.is_open:
            assert came < 300_000
            gate.open()
    assert came == 300_000


def test_without_a_hub_nothing_is_used_once_the_lease_is_over(start: Start) -> None:
    with short_hub(lease_s=0.3) as hub:
        database = Database(hub)
        stand = start(database.answer, app=AUTO, hub=hub, lease_s=0.3)
        kept(stand)
        hub.stop()
        database.value += 1
        while stand.get("/page").text == "0":
            pass
        assert "hit" not in status(stand.get("/page"))
        assert stand.post("/write").text == "written"


def test_a_new_epoch_drops_all_that_was_made_from_the_source(start: Start, hub: Hub) -> None:
    database = Database(hub)
    stand = start(database.answer, app=AUTO, hub=hub)
    kept(stand)
    database.value = 7
    hub.epoch = "e2"
    while stand.get("/page").text != "7":
        pass
    source = stand.edge.ask("cache_stats")["sources"]["main"]
    assert (source["epoch"], source["generation"]) == ("e2", 1)


def test_another_hub_over_the_same_log_loses_nothing(start: Start, hub: Hub) -> None:
    database = Database(hub)
    stand = start(database.answer, app=AUTO, hub=hub)
    kept(stand)
    hub.stop()
    database.write()
    hub.start()
    while stand.get("/page").text != "1":
        pass
    kept(stand)
    assert stand.edge.ask("cache_stats")["sources"]["main"]["generation"] == 0


def test_what_was_made_from_unknown_data_or_tables_is_not_kept(start: Start, hub: Hub) -> None:
    told = {"/unknown": "unknown", "/unaudited": "main/c", "/elsewhere": "other/a"}

    def answer(asked: Asked) -> Answer:
        tags = told.get(asked.path, "main/a")
        return Answer(str(asked.count).encode(), {"X-Mergepoint-Tags": tags})

    stand = start(answer, app=AUTO, hub=hub)
    kept(stand)
    for path in told:
        assert [stand.get(path).text for _ in range(3)] == ["1", "2", "3"]
    refused = stand.edge.ask("cache_stats")["refused"]
    assert (refused["tags-unknown"], refused["source-unknown"]) == (3, 6)


def test_a_linear_answer_is_asked_for_at_the_hub_before_each_use(start: Start, hub: Hub) -> None:
    def answer(asked: Asked) -> Answer:
        linear = {"X-Mergepoint-Tags": "main/a", "Mergepoint-Cache-Control": "linear"}
        return Answer(str(database.value).encode(), linear)

    database = Database(hub)
    hub.poll_s = 60.0
    stand = start(answer, app=AUTO, hub=hub)
    kept(stand)
    for number in range(1, 10):
        database.write()
        assert stand.get("/page").text == str(number)
        kept(stand)


def test_a_session_sees_its_own_write_at_another_edge(start: Start, hub: Hub) -> None:
    database = Database(hub)
    hub.poll_s = 60.0
    one = start(database.answer, app={**AUTO, "hold": "session"}, hub=hub)
    two = start(database.answer, app={**AUTO, "hold": "session"}, hub=hub)
    kept(two)
    written = one.post("/write")
    seen = written.headers["set-cookie"].split(";")[0]
    assert seen.startswith("mergepoint-seen=")
    assert two.get("/page", cookie=seen).text == "1"
    assert all("mergepoint-seen" not in r.headers.get("cookie", "") for r in two.worker.requests)


def test_a_database_that_cannot_be_read_makes_writers_wait_a_lease(start: Start) -> None:
    with short_hub(lease_s=0.4) as hub:
        stand = start(Database(hub).answer, app=AUTO, hub=hub, lease_s=0.4)
        hub.failing = True
        done = threading.Event()
        threading.Timer(0.2, done.set).start()
        assert stand.post("/write").text == "written"
        assert done.is_set(), "the writer was told before the lease was over"


def test_changes_are_read_only_while_something_kept_is_asked_for(start: Start, hub: Hub) -> None:
    stand = start(Database(hub).answer, app=AUTO, hub=hub)
    kept(stand)
    hub.wait_for("pull", hub.verbs.count("pull") + 3)
    assert hub.verbs.count("hello") == 1
