"""The doorway over a real engine in another process: forks, outages, exits, a busy interpreter."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.bus.contract import Gap, State
from mergepoint.bus.errors import BusLost

from .hub_site import Hub

PATIENCE_S = 30.0


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    made.start()
    yield made
    made.kill()


def program(hub: Hub, text: str, *, address: str = "app/0") -> subprocess.CompletedProcess[str]:
    """Run a program as an app of the site would run."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        env={**os.environ, "MERGEPOINT_BUS": hub.told(address)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
    )


def test_messages_jobs_requests_and_presence_go_through_a_process(hub: Hub) -> None:
    one, two = hub.site("app/0"), hub.site("wiki/0")
    with two.bus.subscribe("tickets.*") as events:
        one.bus.publish("tickets.created", {"id": 42})
        assert next(iter(events)).value == {"id": 42}
    one.bus.queue("mail").put({"to": "alice"}, key="a", priority=7)
    with two.bus.queue("mail").get(wait_s=PATIENCE_S) as job:
        assert job.value == {"to": "alice"}
    two.bus.serve("search", lambda value: value["q"].upper())
    assert one.bus.request("search", {"q": "x"}, timeout_s=PATIENCE_S) == "X"
    two.bus.presence.join(version="3")
    assert [member.address for member in one.bus.presence.members("wiki")] == ["wiki/0"]
    for site in (one, two):
        site.close()


def test_a_script_that_ends_without_closing_ends_quietly(hub: Hub) -> None:
    done = program(
        hub,
        """
        import mergepoint
        site = mergepoint.connect()
        site.bus.queue("mail").put(1)
        events = site.bus.subscribe("a")
        job = site.bus.queue("mail").get(wait_s=5)
        assert job.value == 1
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    site = hub.site()
    assert site.bus.queue("mail").get(wait_s=PATIENCE_S).value == 1
    site.close()


def test_workers_forked_from_one_that_used_the_bus_do_not_disturb_it(hub: Hub) -> None:
    done = program(
        hub,
        """
        import os, sys, mergepoint
        site = mergepoint.connect()
        events = site.bus.subscribe("done")
        site.bus.queue("mail").put_many(list(range(8)))
        held = site.bus.queue("mail").get(wait_s=5)
        children = []
        for number in range(2):
            child = os.fork()
            if child == 0:
                count = 0
                while job := site.bus.queue("mail").get(wait_s=0.5):
                    with job:
                        site.bus.publish("done", job.value)
                        count += 1
                site.close()
                os._exit(0)
            children.append(child)
        got = [next(iter(events)).value for _ in range(7)]
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        held.ack()
        assert sorted(got + [held.value]) == list(range(8)), got
        assert not site.bus.queue("mail").get(wait_s=0.2)
        site.close()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_killed_engine_is_told_and_everything_comes_back(hub: Hub) -> None:
    site, other = hub.site("app/0"), hub.site("wiki/0")
    lost, restored = threading.Event(), threading.Event()
    site.bus.on_lost(lambda _reason: lost.set())
    site.bus.on_restored(lambda _reason: restored.set())
    events = site.bus.subscribe("a")
    site.bus.serve("search", lambda value: value)
    other.bus.publish("a", 1)
    assert next(iter(events)).value == 1
    hub.kill()
    assert lost.wait(PATIENCE_S)
    assert site.bus.state is State.LOST
    with pytest.raises(BusLost):
        site.bus.publish("b", 1)
    hub.start()
    assert restored.wait(PATIENCE_S)
    assert next(iter(events)) == Gap(0)
    fresh = hub.site("fresh/0")
    fresh.bus.publish("a", 2)
    assert next(iter(events)).value == 2
    assert fresh.bus.request("search", 3, timeout_s=PATIENCE_S) == 3
    for one in (site, other, fresh):
        one.close()


def test_a_handler_that_computes_keeps_its_lease(hub: Hub) -> None:
    done = program(
        hub,
        """
        import time, mergepoint
        site = mergepoint.connect()
        site.bus.queue("mail").put(1)
        with site.bus.queue("mail").get(wait_s=5) as job:
            until = time.monotonic() + 5     # more than two leases of pure computing
            while time.monotonic() < until:
                sum(range(1000))
            assert not job.lost
        assert not site.bus.queue("mail").get(wait_s=0.2)
        site.close()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_that_blocks_its_own_loop_keeps_its_lease(hub: Hub) -> None:
    done = program(
        hub,
        """
        import asyncio, time, mergepoint
        site = mergepoint.connect()

        async def main():
            await site.bus.queue("mail").aput(1)
            async with await site.bus.queue("mail").aget(wait_s=5) as job:
                time.sleep(5)
                assert not job.lost
            assert not await site.bus.queue("mail").aget(wait_s=0.2)
            await site.bus.aclose()

        asyncio.run(main())
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_was_paused_too_long_cannot_finish_what_it_lost(hub: Hub) -> None:
    text = """
        import sys, mergepoint
        from mergepoint.bus.errors import LeaseLost
        site = mergepoint.connect()
        try:
            with site.bus.queue("mail").get(wait_s=20) as job:
                print("taken", flush=True)
                sys.stdin.readline()
        except LeaseLost:
            print("lost", flush=True)
        site.close()
    """
    site = hub.site("other/0")
    site.bus.queue("mail").put(1)
    paused = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "MERGEPOINT_BUS": hub.told()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert paused.stdout is not None
    assert paused.stdout.readline() == "taken\n"
    paused.send_signal(signal.SIGSTOP)
    try:
        with site.bus.queue("mail").get(wait_s=PATIENCE_S) as job:
            assert job.attempt == 2
            paused.send_signal(signal.SIGCONT)
            out, _ = paused.communicate("\n", timeout=PATIENCE_S)
            assert out == "lost\n"
    finally:
        paused.kill()
        paused.wait()
    assert not site.bus.queue("mail").get()
    site.close()


def test_several_loops_share_one_connection(hub: Hub) -> None:
    site = hub.site()
    got: list[int] = []

    async def many(first: int) -> None:
        queue = site.bus.queue("q")
        await asyncio.gather(*(queue.aput(first + number) for number in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(many(n * 50),)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    while len(got) < 150:
        with site.bus.queue("q").get(wait_s=PATIENCE_S) as job:
            got.append(job.value)
    assert sorted(got) == list(range(150))
    site.close()
