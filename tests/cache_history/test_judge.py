"""A history is judged as its promise says, and every kind of breach is found."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from mergepoint_testkit.cache_history import Promise, Recorder, judge, load


def written(record: Recorder, value: int, client: str = "ann", key: str = "k") -> None:
    record.acknowledged(record.write_begun(client, key), value)


def seen(record: Recorder, value: int, client: str = "bob", key: str = "k") -> None:
    record.read(record.read_begun(client, key), value)


def reasons(record: Recorder, promise: Promise = Promise.STRICT) -> list[str]:
    return [str(breach) for breach in judge(record.history(), promise)]


def test_readers_that_see_the_newest_value_are_never_blamed() -> None:
    record = Recorder()
    seen(record, 0)
    for value in range(1, 50):
        written(record, value)
        seen(record, value)

    assert reasons(record) == []


def test_a_read_older_than_what_was_acknowledged_before_it_began_is_found() -> None:
    record = Recorder()
    written(record, 1)
    seen(record, 0)

    assert reasons(record) == ["bob read k = 0: acknowledged before it began was 1"]


def test_a_read_begun_before_the_acknowledgement_may_see_either_value() -> None:
    for value in (0, 1):
        record = Recorder()
        write, read = record.write_begun("ann", "k"), record.read_begun("bob", "k")
        record.acknowledged(write, 1)
        record.read(read, value)

        assert reasons(record) == []


def test_acknowledgements_out_of_order_never_lower_what_is_due() -> None:
    record = Recorder()
    first, second = record.write_begun("ann", "k"), record.write_begun("eve", "k")
    record.acknowledged(second, 2)
    record.acknowledged(first, 1)
    seen(record, 1)

    assert reasons(record) == ["bob read k = 1: acknowledged before it began was 2"]


def test_a_value_that_nobody_had_begun_to_write_is_found() -> None:
    record = Recorder()
    written(record, 1)
    seen(record, 2)

    assert reasons(record) == ["bob read k = 2: the writes begun by then were 1"]


def test_a_write_without_an_answer_may_or_may_not_have_happened() -> None:
    for value in (1, 2):
        record = Recorder()
        written(record, 1)
        record.unanswered(record.write_begun("ann", "k"))
        seen(record, value)

        assert reasons(record) == []


def test_keys_are_judged_apart() -> None:
    record = Recorder()
    written(record, 1, key="one")
    seen(record, 0, key="two")

    assert reasons(record) == []


def test_a_session_owes_the_writer_its_own_write_and_others_nothing() -> None:
    record = Recorder()
    written(record, 1, client="ann")
    seen(record, 0, client="bob")
    seen(record, 0, client="ann")

    told = reasons(record, Promise.SESSION)
    assert told == ["ann read k = 0: acknowledged before it began was 1"]
    assert len(reasons(record, Promise.STRICT)) == 2
    assert reasons(record, Promise.EVENTUAL) == []


@pytest.mark.parametrize("promise", Promise)
def test_at_rest_a_reader_sees_what_the_database_holds(promise: Promise) -> None:
    record = Recorder()
    record.unanswered(record.write_begun("ann", "k"))
    record.at_rest("k", 1)
    seen(record, 1)
    seen(record, 0)

    assert reasons(record, promise) == [
        "bob read k = 0: everything was at rest, and the database held 1"
    ]


def test_rest_ends_with_the_next_write() -> None:
    record = Recorder()
    record.at_rest("k", 0)
    write, read = record.write_begun("ann", "k"), record.read_begun("bob", "k")
    record.read(read, 1)
    record.acknowledged(write, 1)

    assert reasons(record) == []


def test_a_saved_history_is_judged_the_same(tmp_path: Path) -> None:
    record = Recorder()
    written(record, 1)
    seen(record, 0)
    record.save(tmp_path / "history")

    assert judge(load(tmp_path / "history")) == judge(record.history())


def run_threads(record: Recorder, *, stale_one_in: int) -> None:
    """Three writers and three readers share counters; some reads come from an old copy."""
    lock, counters = threading.Lock(), {"a": 0, "b": 0}

    def write(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(300):
            key = dice.choice("ab")
            operation = record.write_begun(f"writer {seed}", key)
            with lock:
                counters[key] += 1
                value = counters[key]
            record.acknowledged(operation, value)

    def read(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(600):
            key = dice.choice("ab")
            operation = record.read_begun(f"reader {seed}", key)
            with lock:
                value = counters[key]
            stale = stale_one_in and dice.randrange(stale_one_in) == 0
            record.read(operation, max(0, value - 5) if stale else value)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=read, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_that_share_true_counters_are_never_blamed() -> None:
    record = Recorder()
    run_threads(record, stale_one_in=0)

    assert reasons(record) == []
    assert len(record.history()) == 2 * (3 * 300 + 3 * 600)


def test_old_copies_among_the_reads_of_many_threads_are_found() -> None:
    record = Recorder()
    run_threads(record, stale_one_in=10)
    # Alone at the end, so that the check fails however the threads were scheduled.
    seen(record, 0, key="a")

    assert any(breach.key == "a" for breach in judge(record.history()))
