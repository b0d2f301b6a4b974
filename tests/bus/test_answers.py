"""Requests, presence and context as apps see them, and what an engine lacks."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

import mergepoint
from mergepoint.bus import context
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.capabilities import Capabilities, Watching
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Change, Limits
from mergepoint.bus.doorway import Bus, Parts
from mergepoint.bus.errors import (
    NoSuchAddress,
    NotCapable,
    RemoteError,
    RequestTimeout,
)
from mergepoint.core.clock import SystemClock


def test_a_blocking_handler_answers_in_a_thread(site) -> None:
    threads = []

    def answer(value):
        threads.append(threading.current_thread().name)
        site.bus.publish("asked", value)  # blocking calls are fine in a handler
        return {"found": value["q"]}

    served = site.bus.serve("search", answer)
    assert site.bus.request("search", {"q": "x"}) == {"found": "x"}
    assert threads[0].startswith("mergepoint-answer")
    served.close()


def test_an_async_handler_answers_on_a_loop_of_its_own(site) -> None:
    async def answer(value):
        await asyncio.sleep(0)
        return [value, threading.current_thread().name]

    site.bus.serve("search", answer)
    assert site.bus.request("search", 1) == [1, "mergepoint-handlers"]


def test_a_failing_handler_is_told_to_who_asked(site) -> None:
    def answer(value):
        raise NoSuchAddress(f"no {value}")

    site.bus.serve("search", answer)
    with pytest.raises(RemoteError, match="no x") as caught:
        site.bus.request("search", "x")
    assert caught.value.remote_code == "bus.no_such_address"


def test_a_request_ends_at_its_deadline(site) -> None:
    async def slow(_message):
        await site.clock.sleep(3600)

    engine = site.wait(site.bus.engine)
    site.wait(lambda: engine.serve("slow", slow))
    with pytest.raises(RequestTimeout):
        site.bus.request("slow", 1, timeout_s=2)


def test_a_request_within_a_request_ends_with_the_outer_one(site) -> None:
    engine = site.wait(site.bus.engine)
    given: list[float] = []

    async def inner(message):
        given.append(float(message.extensions["mpdeadline"]) - site.clock.unix_s())
        return message

    site.wait(lambda: engine.serve("inner", inner))
    site.bus.serve("outer", lambda value: site.bus.request("inner", value, timeout_s=60))
    assert site.bus.request("outer", 1, timeout_s=3) == 1
    assert 0 < given[0] <= 3


def test_a_request_that_comes_too_late_is_not_run(site) -> None:
    ran: list[object] = []
    site.bus.serve("late", ran.append)
    engine = site.wait(site.bus.engine)
    stale = site.bus._calls.message("late", 1, extensions={"mpdeadline": "1000.0"})
    with pytest.raises(RemoteError, match="deadline"):
        site.wait(lambda: engine.request("late", stale, timeout_s=5))
    odd = site.bus._calls.message("late", 1, extensions={"mpdeadline": "soon"})
    site.wait(lambda: engine.request("late", odd, timeout_s=5))
    assert ran == [1]


class Lesser(MemoryEngine):
    """An engine with topics alone."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            super().capabilities,
            engine="lesser",
            queues=None,
            bind=False,
            last=False,
            delay=False,
            request=False,
            presence=Watching.NONE,
        )


def test_what_the_engine_lacks_is_refused_with_engines_that_can() -> None:
    clock, limits = SystemClock(), Limits()
    parts = Parts(
        make_engine=lambda: Lesser("memory:lesser", limits, clock),
        limits=limits,
        clock=clock,
        codec=Codec("json", {}, clock),
    )
    bus = Bus(parts)
    bus.publish("a", 1)
    bus.require()
    for refused in (
        lambda: bus.require("queues", "delay"),
        lambda: bus.queue("q").put(1),
        lambda: bus.queue("q").get(),
        lambda: bus.queue("q").bind("a"),
        lambda: bus.publish("a", 1, keep_last=True),
        lambda: bus.subscribe("a", last=True),
        lambda: bus.topic("a").last(),
        lambda: bus.request("app", 1),
        lambda: bus.serve("app", print),
        lambda: bus.presence.join("app/0"),
        lambda: bus.presence.members(),
    ):
        with pytest.raises(NotCapable, match=r"lesser has no .*\(try "):
            refused()
    bus.close()


def test_who_is_there_is_seen(site) -> None:
    other = mergepoint.Site.testing(address="wiki/0", beside=site)
    joined = site.bus.presence.join(version="3")
    other.bus.presence.join(version="4")
    assert [one.address for one in site.bus.presence.members()] == ["test/0", "wiki/0"]
    (member,) = site.bus.presence.members("wiki")
    assert member.info == {"version": "4"}
    with site.bus.presence.watch("test") as watch:
        assert next(iter(watch)).change is Change.JOINED
        joined.update(version="5")
        assert next(iter(watch)).member.info == {"version": "5"}
    joined.leave()
    site.run_until_idle()
    assert [one.address for one in site.bus.presence.members()] == ["wiki/0"]


def test_context_travels_to_listeners_jobs_and_handlers(site) -> None:
    with site.bus.subscribe("a") as events, context.entered(request_id="r1", language="de"):
        site.bus.publish("a", 1)
        site.bus.queue("q").put(1)
        assert dict(next(iter(events)).context) == {
            "mprequestid": "r1",
            "mplanguage": "de",
            "mpapp": "test",
        }
    with site.bus.queue("q").get():
        assert context.extensions()["mprequestid"] == "r1"
        site.bus.serve("who", lambda _value: dict(context.extensions()))
        assert site.bus.request("who", None)["mprequestid"] == "r1"
    assert context.extensions() == {}
