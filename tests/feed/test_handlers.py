"""Functions that are called with what changed: at least once, in order, from where they stopped.

Place:  make test
Rule:   an app's own tests, in virtual time, on the real file a test site has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.assembly.positions import PositionsExtension
from mergepoint.bus.errors import BusRefused
from mergepoint.feed.contract import Change, Op
from mergepoint.testing.site import Testing


@pytest.fixture
def site() -> Iterator[Testing]:
    with Testing() as made:
        write(made, "CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT)")
        write(made, "CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        made.feed.install()
        yield made


def write(site: Testing, *statements: str) -> None:
    """Write as any other program would."""
    with sqlite3.connect(site.data.databases[0].url.removeprefix("sqlite:///")) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def insert(site: Testing, first: int, last: int) -> None:
    numbers = range(first, last + 1)
    write(site, *(f"INSERT INTO tickets VALUES ({n}, 't{n}')" for n in numbers))


def started(site: Testing) -> None:
    """Let every handler have its first turn: it notes where the log is."""
    site.advance(seconds=2)


def test_a_handler_is_called_with_what_changed_in_its_tables(site: Testing) -> None:
    seen: list[Change] = []
    site.feed.on("tickets")(seen.append)
    insert(site, 1, 1)
    started(site)
    before = list(seen)
    insert(site, 2, 2)
    write(site, "INSERT INTO notes VALUES (7)", "UPDATE tickets SET title = 'x' WHERE id = 1")
    site.advance(seconds=2)

    assert before == []  # it began after that was written
    assert seen == [
        Change("tickets", Op.INSERT, {"id": 2}),
        Change("tickets", Op.UPDATE, {"id": 1}),
    ]


def test_a_declared_function_stays_a_function_and_may_be_async(site: Testing) -> None:
    seen: list[int | str] = []

    @site.feed.on("tickets")
    async def index(change: Change) -> None:
        seen.append(change.key["id"])

    started(site)
    insert(site, 1, 3)
    site.advance(seconds=2)

    assert index.__name__ == "index"
    assert seen == [1, 2, 3]


def test_a_handler_that_fails_sees_the_same_changes_again_before_any_later_one(
    site: Testing,
) -> None:
    seen: list[int | str] = []
    broken = [True]

    @site.feed.on("tickets", batch=2)
    def index(change: Change) -> None:
        seen.append(change.key["id"])
        if change.key["id"] == 4 and broken:
            raise ValueError("not now")

    started(site)
    insert(site, 1, 6)
    site.advance(seconds=1.5)
    first = list(seen)
    broken.clear()
    site.advance(minutes=2)

    assert first[:4] == [1, 2, 3, 4]
    assert 5 not in first
    assert seen[len(first) :] == [3, 4, 5, 6]


def test_a_handler_goes_on_where_another_process_stopped(tmp_path: Path) -> None:
    seen: list[tuple[str, int | str]] = []
    url = {"main": f"sqlite:///{tmp_path}/app.db"}
    sqlite3.connect(tmp_path / "app.db").execute(
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT)"
    ).connection.close()
    with Testing(databases=url) as first:
        first.feed.install()
        first.feed.on(name="index")(lambda change: seen.append(("first", change.key["id"])))
        started(first)
        insert(first, 1, 2)
        first.advance(seconds=2)
    with Testing(databases=url) as second:
        second._kept = first._kept  # what the hub's file is to a real site
        second.feed.on(name="index")(lambda change: seen.append(("second", change.key["id"])))
        insert(second, 3, 4)
        second.advance(seconds=2)

    assert seen == [("first", 1), ("first", 2), ("second", 3), ("second", 4)]


def test_changes_that_are_missing_are_told_as_a_gap(site: Testing) -> None:
    seen: list[Change] = []
    site.feed.on("tickets")(seen.append)
    started(site)
    write(site, "DROP TRIGGER mergepoint_feed_insert_tickets")
    insert(site, 1, 1)
    site.feed.install()
    insert(site, 2, 2)
    site.advance(seconds=2)

    assert seen[0] == Change("tickets", Op.GAP)


def test_a_test_asks_what_changed_and_where_the_log_is(site: Testing) -> None:
    begun = site.feed.changes()
    before = site.feed.position()
    insert(site, 1, 2)
    write(site, "INSERT INTO notes VALUES (7)")

    assert begun == []
    assert site.feed.position() != before
    assert [change.key["id"] for change in site.feed.changes("tickets")] == [1, 2]
    assert site.feed.changes() == []


class Transaction:
    """As the hub hands it to an extension, with an age that the test sets."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.age_s = 100.0


def ask(tx: Transaction, op: str, **fields: object) -> dict[str, object]:
    extension = PositionsExtension()
    extension.prepare(tx.db)
    value = extension.call(op, {"handler": "h", **fields}, (), tx).value  # type: ignore[arg-type]
    assert extension.checked(tx.db) == []
    return dict(value)


def test_only_one_has_a_turn_and_a_lost_one_is_noticed() -> None:
    tx = Transaction()
    first = ask(tx, "take", owner="a", lease_s=10)
    busy = ask(tx, "take", owner="b", lease_s=10)
    ask(tx, "move", owner="a", position=["e", "1"], lease_s=10)
    tx.age_s += 11
    second = ask(tx, "take", owner="b", lease_s=10)

    assert first == {"mine": True, "position": None, "failures": 0}
    assert busy == {"mine": False}
    assert second["position"] == ["e", "1"]
    assert ask(tx, "move", owner="a", position=["e", "0"], lease_s=10) == {"mine": False}


def test_after_a_failure_nobody_gets_a_turn_for_a_while() -> None:
    tx = Transaction()
    ask(tx, "take", owner="a", lease_s=10)
    ask(tx, "release", owner="a", pause_s=5, failures=3)
    early = ask(tx, "take", owner="b", lease_s=10)
    tx.age_s += 5

    assert early == {"mine": False}
    assert ask(tx, "take", owner="b", lease_s=10)["failures"] == 3


@pytest.mark.parametrize("owner", [None, "", 3, "x" * 301])
def test_a_step_that_names_nobody_is_refused(owner: object) -> None:
    with pytest.raises(BusRefused, match="owner"):
        ask(Transaction(), "take", owner=owner, lease_s=1)
