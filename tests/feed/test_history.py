"""What a hub remembers of its reads: bounded, and never less than what an edge has missed.

Place:  make test
Rule:   pure; spelling and remembering, nothing else.
"""

from __future__ import annotations

import random

import pytest

from mergepoint.feed.contract import Batch, Change, FeedLimits, Op, Position
from mergepoint.feed.history import History
from mergepoint.feed.tags import TAG_BYTES_MAX, every_tag, table_tag, tags_of, value_tag


def batch(end: int, *ids: int, gap: bool = False, epoch: str = "e") -> Batch:
    changes = [Change("t", Op.INSERT, {"id": number}) for number in ids]
    return Batch(Position(epoch, str(end)), changes, gap)


def test_memory_is_bounded_by_tags_and_reads_whatever_happens() -> None:
    limits = FeedLimits(history_tags_max=100, history_reads_max=10)
    history = History("main", limits)
    for number in range(5_000):
        history.add(batch(number, *range(number * 5, number * 5 + random.randint(0, 5))), {})

    assert history._tags <= 100
    assert len(history._steps) <= 10
    assert len(history._known) <= 20


def test_a_position_that_was_forgotten_is_a_flush_and_a_newer_one_is_not() -> None:
    history = History("main", FeedLimits(history_reads_max=3))
    for number in range(10):
        history.add(batch(number, number), {})

    assert history.told(Position("e", "2")).flush
    told = history.told(Position("e", "8"))
    assert not told.flush
    assert told.tags == {"main/t", "main/t:id=9"}


def test_a_gap_is_a_flush_for_everybody_and_then_it_goes_on() -> None:
    history = History("main", FeedLimits())
    history.add(batch(1), {})
    history.add(batch(9, gap=True), {})
    history.add(batch(10, 10), {})

    assert history.told(Position("e", "1")).flush
    assert history.told(Position("e", "9")).tags == {"main/t", "main/t:id=10"}


def test_a_stranger_is_told_all_that_came_after_it() -> None:
    history = History("main", FeedLimits())
    history.add(batch(5), {})
    known_before = history.knows(Position("e", "2"))
    history.add_stranger(batch(6, 3, 4, 5, 6), Position("e", "2"), {})
    history.add(batch(7, 6, 7), {})

    assert not known_before
    told = history.told(Position("e", "2"))
    assert not told.flush
    assert {f"main/t:id={number}" for number in (3, 4, 5, 6, 7)} <= told.tags


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (42, "42"), (-1, "-1"), ("a b", "a%20b"), ("a,b", "a%2Cb"), ("100%", "100%25"),
        ("ä", "%C3%A4"), ("x=y:z*", "x=y:z*"), ("", ""), ("\n", "%0A"),
    ],
)  # fmt: skip
def test_values_are_spelled_in_printable_ascii(value: int | str, spelled: str) -> None:
    assert value_tag("main", "t", "c", value) == f"main/t:c={spelled}"


@pytest.mark.parametrize("value", ["x" * 300, "a\0b", "ä" * 100])
def test_what_cannot_be_spelled_makes_no_tag(value: str) -> None:
    assert value_tag("main", "t", "c", value) is None


def test_a_strange_name_of_a_table_cannot_look_like_another_tag() -> None:
    assert table_tag("main", "t:id=1") == "main/t%3Aid%3D1"
    assert every_tag("main", "t,*") == "main/t%2C%2A:*"
    tag = value_tag("main", "s.t", "a=b", 1)
    assert tag == "main/s.t:a%3Db=1" and len(tag) <= TAG_BYTES_MAX


def test_changes_of_whole_tables_and_of_many_rows_stand_for_every_tag() -> None:
    whole = tags_of("main", [Change("t", Op.TABLE)], {})
    many = tags_of("main", [Change("t", Op.UPDATE, {"id": n}) for n in range(1_001)], {})

    assert whole == many == {"main/t", "main/t:*"}


def test_tables_that_share_rows_change_as_a_whole() -> None:
    tags = tags_of("main", [Change("part", Op.INSERT, {"id": 1})], {"part": ("root",)})

    assert tags == {"main/part", "main/part:id=1", "main/root", "main/root:*"}


def test_a_table_without_a_key_emits_its_own_tag_alone() -> None:
    assert tags_of("main", [Change("t", Op.INSERT)], {}) == {"main/t"}
