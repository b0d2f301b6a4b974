"""What the feed answers whom, and when: the deciding part alone, with time that is moved.

Place:  make test
Rule:   no socket and no database: the test says when a read ends and what it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mergepoint.feed.contract import Audit, Batch, Change, FeedLimits, Op, Position
from mergepoint.feed.core import Core, Drop, Read, Send

LIMITS = FeedLimits(lease_s=2.0, answer_s=0.2, retry_s=0.25)


class Scene:
    """A core, edges by number, and a log that grows by one change at a time."""

    def __init__(self, *sources: str, edges: Sequence[int] = (1, 2), old: bool = True) -> None:
        self.now_s = 100.0
        self.core = Core("hub1", sources or ("main",), LIMITS, self.now_s)
        if old:
            self.now_s += LIMITS.lease_s  # no edge of an earlier hub can be there any more
        self.reads: dict[str, Read] = {}
        self.begun: list[str] = []
        self.sent: dict[int, list[dict[str, Any]]] = {}
        self.dropped: list[int] = []
        self.written: dict[str, int] = dict.fromkeys(sources or ("main",), 0)
        self.epoch = "e1"
        self.numbers = 0
        for edge in edges:
            self.ask(edge, "hello", edge=f"edge{edge}", schema=1)
            self.sent[edge].clear()

    def ask(self, edge: int, verb: str, /, **fields: Any) -> int:
        self.numbers += 1
        self.core.received(edge, {"id": self.numbers, "verb": verb, **fields}, self.now_s)
        self.act()
        return self.numbers

    def pull(self, edge: int, *sources: str) -> int:
        return self.ask(edge, "pull", sources={name: self.place(edge, name) for name in sources})

    def place(self, edge: int, name: str) -> dict[str, str | None]:
        for message in reversed(self.sent[edge]):
            told = message.get("sources", {}).get(name, {})
            if isinstance(told, dict) and "cursor" in told:
                return {"epoch": told["epoch"], "cursor": told["cursor"]}
        return {"epoch": None, "cursor": None}

    def write(self, name: str = "main") -> str:
        """Commit a change; return its tag."""
        self.written[name] += 1
        return f"{name}/t:id={self.written[name]}"

    def done(self, name: str = "main", end: int | None = None) -> None:
        """End the read that runs; it saw everything up to `end`."""
        since = self.reads.pop(name).since
        end = self.written[name] if end is None else end
        gap = since is not None and since.epoch != self.epoch
        start = end if since is None or gap else int(since.cursor)
        changes = [Change("t", Op.INSERT, {"id": n}) for n in range(start + 1, end + 1)]
        self.core.read_done(name, Batch(Position(self.epoch, str(end)), changes, gap), self.now_s)
        self.act()

    def failed(self, name: str = "main") -> None:
        del self.reads[name]
        self.core.read_failed(name, "it is gone", self.now_s)
        self.act()

    def close(self, edge: int) -> None:
        self.core.closed(edge, self.now_s)
        self.act()

    def wait(self, seconds: float) -> None:
        """Let time pass, stopping wherever something is due."""
        end_s = self.now_s + seconds
        while (due_s := self.core.due_s()) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self.core.tick(self.now_s)
            self.act()
            if self.core.due_s() == due_s:
                break
        self.now_s = end_s
        self.core.tick(self.now_s)
        self.act()

    def act(self) -> None:
        for action in self.core.take():
            if isinstance(action, Read):
                assert action.source not in self.reads, "at most one read runs for each source"
                self.reads[action.source] = action
                self.begun.append(action.source)
            elif isinstance(action, Send):
                self.sent.setdefault(action.edge, []).append(action.message)
            else:
                assert isinstance(action, Drop)
                self.dropped.append(action.edge)

    def answer(self, edge: int, number: int, name: str = "main") -> dict[str, Any] | None:
        found = [m for m in self.sent[edge] if m.get("id") == number]
        told: dict[str, Any] | None = found[0]["sources"].get(name) if found else None
        return told

    def settled(self, edge: int) -> None:
        """Bring an edge to the present."""
        for _ in range(2):
            self.pull(edge, *self.written)
            for name in list(self.reads):
                self.done(name)
        for other in self.sent.values():
            del other[:-1]


def test_an_answer_comes_from_a_read_begun_after_the_request() -> None:
    scene = Scene()
    scene.settled(1)
    scene.settled(2)
    first = scene.pull(1, "main")
    tag = scene.write()
    late = scene.pull(2, "main")
    scene.done(end=0)  # that read had begun before the write
    early = scene.answer(1, first)
    waiting = scene.answer(2, late)
    scene.done()
    told = scene.answer(2, late)

    assert early is not None and early["tags"] == []
    assert waiting is None
    assert told is not None and tag in told["tags"]


def test_requests_that_wait_for_the_same_read_are_read_once() -> None:
    scene = Scene(edges=range(1, 20))
    for edge in range(1, 20):
        scene.pull(edge, "main")
    scene.done()
    scene.done()

    assert scene.begun == ["main", "main"]
    assert all(scene.sent[edge] for edge in range(1, 20))


def test_a_lease_counts_from_the_beginning_of_the_read() -> None:
    scene = Scene()
    number = scene.pull(1, "main")
    scene.now_s += 0.1
    scene.done()
    told = scene.answer(1, number)

    assert told is not None
    assert told["lease_left_s"] == pytest.approx(1.9)


def test_at_grows_with_every_read_though_nothing_changed() -> None:
    scene = Scene(edges=[1])
    seen = []
    for _ in range(3):
        number = scene.pull(1, "main")
        scene.done()
        told = scene.answer(1, number)
        assert told is not None
        seen.append(told["at"])

    assert seen == sorted(set(seen))


def test_another_epoch_is_a_flush() -> None:
    scene = Scene(edges=[1])
    scene.settled(1)
    scene.epoch = "e2"
    number = scene.pull(1, "main")
    scene.done()
    told = scene.answer(1, number)

    assert told is not None and told["flush"] and told["epoch"] == "e2"


def test_an_edge_that_knew_an_earlier_hub_goes_on_without_a_flush() -> None:
    scene = Scene(edges=[1])
    scene.written["main"] = 5
    place = {"epoch": "e1", "cursor": "3"}
    number = scene.ask(1, "pull", sources={"main": place})
    while scene.reads:
        scene.done()
    told = scene.answer(1, number)

    assert told is not None and not told["flush"]
    assert {"main/t:id=4", "main/t:id=5"} <= set(told["tags"])
    assert "main/t:id=3" not in told["tags"]


def test_a_barrier_waits_until_every_other_edge_has_applied_it() -> None:
    scene = Scene(edges=[1, 2, 3])
    for edge in (1, 2, 3):
        scene.settled(edge)
    tag = scene.write()
    number = scene.ask(1, "barrier")
    scene.done()
    event = scene.sent[2][-1]
    before = scene.answer(1, number)
    scene.core.received(2, {"verb": "applied", "barrier": event["barrier"]}, scene.now_s)
    scene.act()
    half = scene.answer(1, number)
    scene.core.received(3, {"verb": "applied", "barrier": event["barrier"]}, scene.now_s)
    scene.act()
    told = scene.answer(1, number)

    assert event["event"] == "barrier" and tag in event["sources"]["main"]["tags"]
    assert before is half is None
    assert told is not None and tag in told["tags"]


def test_a_barrier_is_answered_after_a_lease_whatever_an_edge_does() -> None:
    scene = Scene()
    scene.settled(1)
    scene.settled(2)
    number = scene.ask(1, "barrier")
    scene.done()
    scene.wait(1.9)
    before = scene.answer(1, number)
    scene.wait(0.1)

    assert before is None
    assert scene.answer(1, number) is not None


def test_an_edge_whose_connection_ended_is_waited_for_while_it_may_serve() -> None:
    scene = Scene()
    scene.settled(1)
    scene.settled(2)
    scene.close(2)
    scene.wait(1.0)
    number = scene.ask(1, "barrier")
    scene.done()
    scene.wait(0.9)
    before = scene.answer(1, number)
    scene.wait(0.1)

    assert before is None
    assert scene.answer(1, number) is not None


def test_an_edge_that_came_back_does_not_release_who_waits_for_it() -> None:
    scene = Scene()
    scene.settled(1)
    scene.settled(2)
    number = scene.ask(1, "barrier")
    scene.done()
    event = scene.sent[2][-1]["barrier"]
    scene.close(2)
    scene.ask(3, "hello", edge="edge2", schema=1)
    scene.core.received(3, {"verb": "applied", "barrier": event}, scene.now_s)
    scene.act()

    assert scene.answer(1, number) is None


def test_a_hub_that_just_started_answers_no_barrier() -> None:
    scene = Scene(edges=[1], old=False)
    scene.settled(1)
    number = scene.ask(1, "barrier")
    scene.done()
    scene.wait(1.9)
    before = scene.answer(1, number)
    scene.wait(0.2)

    assert before is None
    assert scene.answer(1, number) is not None


def test_a_lonely_edge_waits_for_nobody() -> None:
    scene = Scene(edges=[1])
    scene.settled(1)
    tag = scene.write()
    number = scene.ask(1, "barrier")
    scene.done()
    told = scene.answer(1, number)

    assert told is not None and tag in told["tags"]


def test_a_source_that_hangs_delays_an_answer_once_and_then_nobody() -> None:
    scene = Scene("main", "slow", edges=[1])
    first = scene.pull(1, "main", "slow")
    scene.done("main")
    before = scene.answer(1, first)
    scene.wait(0.2)
    told = scene.answer(1, first, "slow")
    again = scene.pull(1, "main", "slow")
    scene.done("main")

    assert before is None
    assert told is not None and "0.2 s" in told["error"]
    assert scene.answer(1, again) is not None
    assert "error" in (scene.answer(1, again, "slow") or {})
    assert scene.begun.count("slow") == 1
    scene.done("slow")
    number = scene.pull(1, "slow")
    scene.done("slow")
    assert "error" not in (scene.answer(1, number, "slow") or {"error": ""})


def test_a_source_that_failed_is_tried_again_though_nobody_asks() -> None:
    scene = Scene(edges=[1])
    number = scene.pull(1, "main")
    scene.failed()
    scene.wait(0.2)
    early = list(scene.reads)
    scene.wait(0.1)

    assert scene.answer(1, number) == {"error": "it is gone"}
    assert early == []
    assert list(scene.reads) == ["main"]


def test_a_barrier_over_a_source_that_fails_waits_for_the_last_lease_of_it() -> None:
    scene = Scene(edges=[1])
    scene.settled(1)
    scene.wait(1.5)
    number = scene.ask(1, "barrier")
    scene.failed()
    scene.core.tick(scene.now_s)
    before = scene.answer(1, number)
    scene.now_s += 0.5
    scene.core.tick(scene.now_s)
    scene.act()

    assert before is None
    assert scene.answer(1, number) == {"error": "it is gone"}


def test_a_source_that_has_long_been_gone_holds_up_no_barrier() -> None:
    scene = Scene(edges=[1])
    scene.settled(1)
    scene.pull(1, "main")
    scene.failed()
    scene.now_s += 10
    number = scene.ask(1, "barrier")

    assert scene.answer(1, number) == {"error": "it is gone"}


def test_edges_are_told_which_tables_are_logged_and_again_when_that_changes() -> None:
    scene = Scene(edges=[1])
    scene.core.audited("main", Audit(tables={"t": ("id",)}))
    told = []
    for turn in range(4):
        if turn == 2:
            scene.core.audited("main", Audit(tables={}))
        number = scene.pull(1, "main")
        scene.done()
        told.append((scene.answer(1, number) or {}).get("tables"))

    assert told == [{"t": ["id"]}, None, {}, None]


@pytest.mark.parametrize(
    "message",
    [
        None, 7, [], {}, {"id": 1}, {"id": 1, "verb": "other"}, {"id": None, "verb": "pull"},
        {"id": 1, "verb": "pull"}, {"id": 1, "verb": "pull", "sources": {"main": 3}},
        {"id": 1, "verb": "pull", "sources": {"main": {"epoch": 1, "cursor": 2}}},
        {"id": 1, "verb": "hello", "edge": "again", "schema": 1}, {"verb": "applied"},
        {"verb": "applied", "barrier": "x"},
        {"id": 1, "verb": "pull", "sources": {str(n): {} for n in range(65)}},
    ],
)  # fmt: skip
def test_whoever_breaks_the_protocol_is_told_why_and_dropped(message: object) -> None:
    scene = Scene(edges=[1])
    scene.core.received(1, message, scene.now_s)
    scene.act()

    assert scene.dropped == [1]
    assert scene.sent[1][-1]["error"]["code"] == "feed.invalid"


def test_a_source_nobody_has_is_an_error_of_its_own() -> None:
    scene = Scene(edges=[1])
    number = scene.ask(1, "pull", sources={"other": {"epoch": None, "cursor": None}})

    assert scene.answer(1, number, "other") == {"error": "there is no such source"}
