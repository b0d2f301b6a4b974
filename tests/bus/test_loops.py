"""Callers on loops of their own, several at once, and after a fork."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from mergepoint.bus.contract import State
from mergepoint.bus.errors import BusClosed, BusRefused
from mergepoint.bus.loop import LoopThread


def test_async_code_awaits_what_blocking_code_calls(site) -> None:
    async def main() -> None:
        listening = await site.bus.asubscribe("a.*")
        await site.bus.apublish("a.b", 1)
        async for event in listening:
            assert event.value == 1
            break
        await listening.aclose()
        await site.bus.queue("q").aput(2)
        async with await site.bus.queue("q").aget(wait_s=5) as job:
            assert job.value == 2
        assert not await site.bus.queue("q").aget()

    asyncio.run(main())


def test_a_subscription_may_be_iterated_without_awaiting_it(site) -> None:
    async def main() -> list[int]:
        got = []
        async with asyncio.TaskGroup() as group:
            heard = asyncio.Event()

            async def listen() -> None:
                heard.set()
                async for event in site.bus.asubscribe("a"):
                    got.append(event.value)
                    if len(got) == 2:
                        return

            group.create_task(listen())
            await heard.wait()
            while len(got) < 2:
                await site.bus.apublish("a", len(got))
        return got

    assert len(asyncio.run(main())) == 2


def test_an_async_handler_runs_on_the_loop_it_was_served_from(site) -> None:
    async def main() -> object:
        async def answer(_value):
            return threading.current_thread().name

        await site.bus.aserve("who", answer)
        return await site.bus.arequest("who", None)

    assert asyncio.run(main()) == threading.current_thread().name


def test_several_loops_and_threads_use_one_bus(site) -> None:
    errors: list[BaseException] = []

    async def many(number: int) -> None:
        await asyncio.gather(*(site.bus.queue("q").aput(number) for _ in range(20)))

    def run(number: int) -> None:
        try:
            if number % 2:
                asyncio.run(many(number))
            else:
                for _ in range(20):
                    site.bus.queue("q").put(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    got = []
    while job := site.bus.queue("q").get():
        got.append(job.value)
        job.ack()
    assert sorted(got) == sorted(list(range(6)) * 20)


def test_a_cancelled_wait_ends_on_the_buss_loop_too(site) -> None:
    async def main() -> None:
        events = await site.bus.asubscribe("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(aiter(events))
        await site.bus.apublish("a", 1)
        assert (await events.areceive(1)).value == 1

    asyncio.run(main())


def test_closing_ends_waits_of_other_threads(site) -> None:
    ended: list[object] = []
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        try:
            ended.append(bool(site.bus.queue("q").get(wait_s=1e9)))
        except BusClosed as error:
            ended.append(error.code)

    def listen() -> None:
        ended.append(list(events))

    events = site.bus.subscribe("a")
    threads = [threading.Thread(target=listen), threading.Thread(target=wait)]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    site.close()
    for thread in threads:
        thread.join(10)
    assert len(ended) == 2


def test_a_thread_that_waits_for_itself_is_told_so() -> None:
    thread = LoopThread("test")

    async def wrong() -> None:
        thread.wait(wrong)

    with pytest.raises(BusRefused, match="own loop"):
        thread.wait(wrong)
    thread.close()


def test_after_a_fork_the_child_connects_anew_and_the_parent_goes_on() -> None:
    program = textwrap.dedent("""
        import os, sys, mergepoint
        from mergepoint.bus.contract import State
        site = mergepoint.Site.testing()
        site.bus.publish("a", 1)
        events = site.bus.subscribe("a")
        child = os.fork()
        if child == 0:
            assert site.bus.state is State.CONNECTING
            site.bus.publish("a", 2)
            assert site.bus.state is State.CONNECTED
            assert site.bus.queue("q").put(1).id
            os._exit(0)
        _, status = os.waitpid(child, 0)
        site.bus.publish("a", 3)
        assert next(iter(events)).value == 3
        sys.exit(os.waitstatus_to_exitcode(status))
    """)
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_what_a_parent_holds_is_refused_to_its_child() -> None:
    program = textwrap.dedent("""
        import os, sys, mergepoint
        from mergepoint.bus.errors import BusClosed
        site = mergepoint.Site.testing()
        events = site.bus.subscribe("a")
        site.bus.queue("q").put(1)
        job = site.bus.queue("q").get()
        child = os.fork()
        if child == 0:
            for call in (lambda: events.receive(1), job.ack, lambda: job.nack()):
                try:
                    call()
                except BusClosed as error:
                    assert "parent process" in error.message
                else:
                    os._exit(3)
            events.close()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        job.ack()
        sys.exit(status)
    """)
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_fork_before_the_first_use_works() -> None:
    program = textwrap.dedent("""
        import os, sys, mergepoint
        site = mergepoint.Site.testing()
        child = os.fork()
        site.bus.publish("a", 1)
        if child == 0:
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_importing_connects_nothing_and_needs_the_standard_library_alone() -> None:
    program = textwrap.dedent("""
        import sys, threading
        before = set(sys.modules)
        import mergepoint
        assert "mergepoint.assembly.connect" not in sys.modules
        site = mergepoint.connect()
        site.bus.queue("mail")
        assert threading.active_count() == 1
        heavy = {"msgspec", "pydantic", "cryptography", "anyio", "sqlite3"} & set(sys.modules)
        assert not heavy, heavy
        assert mergepoint.connect() is site
    """)
    told = {"url": "memory:", "address": "tickets/0", "limits": {"call_s": 2.0, "later": 1}}
    environment = {**os.environ, "MERGEPOINT_BUS": json.dumps(told)}
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "MERGEPOINT_BUS is not set"),
        ("{", "no JSON"),
        ("[]", '"url"'),
        ('{"url": 3}', '"url"'),
        ('{"url": "memory:", "serializer": "pickle"}', "no serializer 'pickle'"),
    ],
)
def test_a_process_without_a_usable_bus_is_told_what_is_wrong(text: str, words: str) -> None:
    from mergepoint.assembly.connect import Site, document_of
    from mergepoint.core.clock import SystemClock

    with pytest.raises(BusRefused) as caught:
        Site(document_of(text), SystemClock())
    assert words in caught.value.message


def test_an_unknown_engine_is_refused_at_the_first_call() -> None:
    from mergepoint.assembly.connect import Document, Site
    from mergepoint.core.clock import SystemClock

    site = Site(Document(url="kafka://x"), SystemClock())
    with pytest.raises(BusRefused, match="kafka"):
        site.bus.publish("a", 1)
    assert site.bus.state is State.CONNECTING
    site.close()
