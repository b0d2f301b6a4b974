"""The bus as apps see it, blocking and async, on the engine in memory."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import UTC, datetime

import pytest

import mergepoint
from mergepoint.bus.contract import Gap, Limits, State
from mergepoint.bus.errors import (
    BusClosed,
    BusLost,
    BusRefused,
    LeaseLost,
    MessageTooLarge,
    Undecodable,
)
from mergepoint.testing.faults import Crashed


def test_a_listener_gets_the_value_that_was_published(site) -> None:
    with site.bus.subscribe("tickets.*") as events:
        site.bus.publish("tickets.created", {"id": 42})
        event = next(iter(events))
    assert (event.value, event.topic, event.source) == ({"id": 42}, "tickets.created", "/test/0")
    assert datetime.fromisoformat(event.time).tzinfo is not None


def test_a_listener_is_told_of_gaps() -> None:
    small = mergepoint.Site.testing(limits=Limits(buffer_messages_max=2))
    with small, small.bus.subscribe("flood") as events:
        for number in range(5):
            small.bus.publish("flood", number)
        assert next(iter(events)) == Gap(3)
        assert next(iter(events)).value == 3


def test_an_impatient_listener_loses_nothing(site) -> None:
    events = site.bus.subscribe("a")
    assert events.receive(wait_s=1) is None
    site.bus.publish("a", 1)
    assert events.receive(wait_s=1).value == 1


def test_a_job_is_done_when_its_block_ends(site) -> None:
    queue = site.bus.queue("mail")
    queue.put({"to": "alice"})
    with queue.get(wait_s=10) as job:
        assert (job.value, job.attempt) == ({"to": "alice"}, 1)
    assert not queue.get()


def test_no_job_is_a_false_one(site) -> None:
    before = site.clock.monotonic_s()
    with site.bus.queue("mail").get(wait_s=10) as job:
        assert not job
    assert site.clock.monotonic_s() - before >= 10
    with pytest.raises(LookupError):
        job.value  # noqa: B018


def test_a_failing_block_gives_its_job_back_with_the_reason(site) -> None:
    queue = site.bus.queue("mail")
    queue.put(1, attempts_max=1)
    with pytest.raises(ZeroDivisionError), queue.get():
        1 / 0  # noqa: B018
    (entry,) = queue.dead()
    assert entry.reason == "ZeroDivisionError: division by zero"


def test_an_interrupted_block_does_not_count(site) -> None:
    queue = site.bus.queue("mail")
    queue.put(1)
    with pytest.raises(KeyboardInterrupt), queue.get():
        raise KeyboardInterrupt
    assert queue.get().attempt == 1


def test_a_lease_is_extended_while_its_block_runs(site) -> None:
    site.bus.queue("mail").put(1)
    with site.bus.queue("mail").get(lease_s=3) as job:
        site.advance(hours=1)
        assert not job.lost
        assert not site.bus.queue("mail").get()
    assert not site.bus.queue("mail").get()


def test_a_job_that_was_lost_is_not_done(site) -> None:
    queue = site.bus.queue("mail")
    queue.put(1)
    with pytest.raises(LeaseLost), queue.get(lease_s=3) as job:
        site.fail_next("extend", times=4)
        site.advance(seconds=3.5)
        other = queue.get()
        assert other.attempt == 2
        site.advance(seconds=10)
        assert job.lost
    other.ack()


def test_a_job_nobody_holds_is_given_back(site) -> None:
    queue = site.bus.queue("mail")
    queue.put(1)
    queue.get(lease_s=3)
    gc.collect()
    site.advance(seconds=2)
    assert queue.get().attempt == 1


def test_jobs_are_put_for_later(site) -> None:
    queue = site.bus.queue("mail")
    queue.put("delayed", delay_s=60)
    queue.put("at", at=datetime.fromtimestamp(site.clock.unix_s() + 30, UTC))
    assert not queue.get()
    site.advance(seconds=30)
    with queue.get() as job:
        assert job.value == "at"
    site.advance(seconds=30)
    with queue.get() as job:
        assert job.value == "delayed"


def test_an_id_is_accepted_once(site) -> None:
    queue = site.bus.queue("mail")
    assert not queue.put(1, id="a").duplicate
    assert queue.put(1, id="a").duplicate


def test_dead_letters_are_replayed_and_discarded(site) -> None:
    queue = site.bus.queue("mail")
    for number in (1, 2):
        queue.put(number)
        queue.get().bury("bad")
    first, second = queue.dead()
    queue.replay(first.message.id)
    assert queue.get().value == 1
    assert queue.discard([second.message.id]) == 1


def test_a_queue_is_fed_by_topics(site) -> None:
    site.bus.queue("wiki").bind("tickets.>")
    site.bus.publish("tickets.created", 1)
    assert site.bus.queue("wiki").get().value == 1
    site.bus.queue("wiki").unbind("tickets.>")


def test_the_present_value_of_a_topic_is_kept(site) -> None:
    assert site.bus.topic("count").last() is None
    site.bus.publish("count", 7, keep_last=True)
    assert site.bus.topic("count").last() == 7


def test_names_and_sizes_are_checked_before_anything_is_sent(site) -> None:
    for wrong in ("", "a b", "a..b", "a.*", "x" * 201, "mp.own"):
        with pytest.raises(BusRefused):
            site.bus.publish(wrong, 1)
        with pytest.raises(BusRefused):
            site.bus.queue(wrong)
    with pytest.raises(BusRefused):
        site.bus.subscribe("a.>.b")
    with pytest.raises(BusRefused):
        site.bus.request("a/b/c", 1)
    with pytest.raises(BusRefused, match="priority 10"):
        site.bus.queue("a").put(1, priority=10)
    with pytest.raises(BusRefused, match="time zone"):
        site.bus.queue("a").put(1, at=datetime(2026, 1, 1))
    with pytest.raises(MessageTooLarge, match="1048576"):
        site.bus.publish("a", "x" * 1048576)
    with pytest.raises(Undecodable, match="object"):
        site.bus.publish("a", object())
    assert site.bus.counts() == {}


def test_calls_are_counted_by_outcome(site) -> None:
    site.bus.publish("a", 1)
    site.fail_next("publish")
    with pytest.raises(BusLost):
        site.bus.publish("a", 1)
    told = site.bus.counts()["publish"]
    assert (told["ok"].calls, told["bus.lost"].calls) == (1, 1)
    assert sum(told["ok"].buckets) == 1


def test_what_an_adapter_raises_becomes_an_error_of_the_bus(site) -> None:
    for raised, told in (
        (ConnectionResetError("gone"), BusLost),
        (KeyError("x"), mergepoint.bus.errors.BusError),
    ):
        site.fail_next("publish", raised)
        with pytest.raises(told):
            site.bus.publish("a", 1)


def test_a_blocking_call_in_async_code_is_refused(site) -> None:
    async def wrong() -> None:
        site.bus.publish("a", 1)

    with pytest.raises(BusRefused, match="async code"):
        asyncio.run(wrong())


def test_state_says_whether_the_engine_is_there() -> None:
    site = mergepoint.Site.testing()
    assert site.bus.state is State.CONNECTING
    site.bus.publish("a", 1)
    assert site.bus.state is State.CONNECTED
    site.close()
    assert site.bus.state is State.CLOSED


def test_after_closing_every_call_says_so() -> None:
    site = mergepoint.Site.testing()
    site.bus.publish("a", 1)
    site.close()
    site.close()
    with pytest.raises(BusClosed):
        site.bus.publish("a", 1)
    with pytest.raises(BusClosed):
        asyncio.run(site.bus.apublish("a", 1))


def test_lost_and_restored_are_told(site) -> None:
    told: list[str] = []
    both = threading.Event()
    site.bus.on_lost(lambda reason: told.append(f"lost: {reason}"))
    site.bus.on_restored(lambda reason: (told.append(f"restored: {reason}"), both.set()))
    engine = site.wait(site.bus.engine)

    async def flap() -> None:
        engine._on_state(State.LOST, "cut")
        engine._on_state(State.CONNECTED, "back")

    site.wait(flap)
    assert both.wait(10)
    assert told == ["lost: cut", "restored: back"]


def test_a_crash_before_the_ack_brings_the_job_again(site) -> None:
    queue = site.bus.queue("mail")
    queue.put(1)
    site.crash_at("ack")
    with pytest.raises(Crashed), queue.get():
        pass
    assert queue.get().attempt == 2


def test_a_lost_answer_to_a_put_is_repeated_safely(site) -> None:
    queue = site.bus.queue("mail")
    site.fail_next("put", after=True)
    with pytest.raises(BusLost):
        queue.put(1, id="a")
    assert queue.put(1, id="a").duplicate


def test_every_job_comes_twice_when_asked(site) -> None:
    site.duplicate_all()
    site.bus.queue("mail").put(1)
    for _ in range(2):
        with site.bus.queue("mail").get() as job:
            assert job.value == 1
    assert not site.bus.queue("mail").get()


def test_shuffled_jobs_keep_the_order_of_their_keys(site) -> None:
    site.shuffle(seed=3)
    queue = site.bus.queue("mail")
    for number in range(20):
        queue.put(number, key=str(number % 4))
    got = []
    while job := queue.get():
        got.append(job.value)
        job.ack()
    assert got != sorted(got)
    assert all([n for n in got if n % 4 == k] == list(range(k, 20, 4)) for k in range(4))
