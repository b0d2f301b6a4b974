"""A hub that stops, stands still, or is gone for a while: what was kept is there again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from mergepoint.bus.contract import Limits, State
from mergepoint.bus.errors import BusError, BusLost
from mergepoint.wire.frames import FrameReader, encode_json

from .bus import PATIENCE_S, QUEUE, connected, drain, message, put, run, take, until
from .hub_process import HubProcess


def test_a_job_in_hand_survives_a_restart_of_the_hub(make_hub: Callable[..., HubProcess]) -> None:
    """The worker takes it up again, without extending it; when it dies then, another gets it."""
    hub = make_hub(Limits(heartbeat_s=0.5, reconnect_s_max=0.1), orphan_s=2.0).start()

    async def scenario() -> None:
        worker = hub.engine()
        await worker.open(lambda _state, _reason: None)
        async with connected(hub) as other:
            await put(worker, "a", "b")
            kept, finished = await take(worker, 2)
            hub.kill()
            await asyncio.to_thread(hub.start)
            assert await take(other, wait_s=3.0) == []
            assert await worker.ack([finished]) == []
            worker.vanish()
            (again,) = await take(other)
            assert (again.message.id, again.attempt) == (kept.message.id, 2)

    run(scenario())


def test_a_job_whose_worker_died_with_the_hub_comes_back(
    make_hub: Callable[..., HubProcess],
) -> None:
    hub = make_hub(orphan_s=0.3).start()

    async def scenario() -> None:
        victim = hub.engine()
        await victim.open(lambda _state, _reason: None)
        await put(victim, "a")
        await take(victim)
        hub.kill()
        victim.vanish()
        hub.start()
        async with connected(hub) as engine:
            (lease,) = await take(engine)
            assert (lease.message.id, lease.attempt) == ("a", 2)

    run(scenario())


def test_a_hub_that_was_stopped_leaves_its_workers_their_jobs(
    make_hub: Callable[..., HubProcess],
) -> None:
    """While it stood still nobody else could have taken them, and their extensions lay waiting."""
    hub = make_hub(Limits(heartbeat_s=20.0, call_s=30.0)).start()

    async def scenario() -> None:
        async with connected(hub) as worker, connected(hub) as other:
            await put(worker, "a")
            leases = await take(worker, lease_s=3.0)
            hub.signal(signal.SIGSTOP)
            extending = asyncio.create_task(worker.extend(leases, 60.0))
            await asyncio.sleep(4.0)
            hub.signal(signal.SIGCONT)
            assert await extending == []
            assert await take(other, wait_s=0.3) == []
            assert await worker.ack(leases) == []

    run(scenario())


def test_a_caller_is_told_that_the_hub_is_lost_and_goes_on_when_it_is_back(
    hub: HubProcess,
) -> None:
    async def scenario() -> None:
        async with connected(hub, limits=Limits(call_s=0.5, heartbeat_s=0.5)) as engine:
            hub.kill()
            with pytest.raises(BusLost):
                await engine.publish("news", message("1"))
            with pytest.raises(BusError):
                await put(engine, "a")
            await asyncio.to_thread(hub.start)
            await until(_puts(engine, "a"))
            assert await drain(engine) == ["a"]

    run(scenario())


def _puts(engine: object, id_: str) -> Callable[[], object]:
    async def works() -> bool:
        try:
            await put(engine, id_)  # type: ignore[arg-type]
        except BusLost:
            return False
        return True

    return works


def test_what_was_subscribed_served_joined_and_bound_is_there_after_a_restart(
    hub: HubProcess,
) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine, connected(hub) as other:

            async def echo(asked: object) -> object:
                return asked

            await engine.bind(QUEUE, "news.*")
            subscription = await engine.subscribe("news.*")
            await engine.serve("search", echo)  # type: ignore[arg-type]
            await engine.join("app/0", {"version": "3"})
            items = aiter(subscription)
            hub.kill()
            await asyncio.to_thread(hub.start)
            gap = await asyncio.wait_for(anext(items), PATIENCE_S)
            assert gap.lost == 0  # type: ignore[union-attr]
            await until(_publishes(other))
            got = await asyncio.wait_for(anext(items), PATIENCE_S)
            assert got.id == "n1"  # type: ignore[union-attr]
            answer = await other.request("search", message("q", b"1"), timeout_s=PATIENCE_S)
            assert answer.data == b"1"
            watch = aiter(await other.watch("app"))
            change = await asyncio.wait_for(anext(watch), PATIENCE_S)
            assert change.member.info == {"version": "3"}
            assert await drain(other) == ["n1"]

    run(scenario())


def _publishes(engine: object) -> Callable[[], object]:
    async def works() -> bool:
        try:
            await engine.publish("news.a", message("n1"))  # type: ignore[attr-defined]
        except BusLost:
            return False
        return True

    return works


def test_a_stopped_hub_ends_with_zero_and_keeps_what_it_has(hub: HubProcess) -> None:
    async def fill() -> None:
        async with connected(hub) as engine:
            await put(engine, "a", "b")

    run(fill())
    assert hub.stop() == 0
    assert not hub.socket.exists()
    hub.start()

    async def left() -> list[str]:
        async with connected(hub) as engine:
            return await drain(engine)

    assert run(left()) == ["a", "b"]
    assert (hub.directory / "bus.db").stat().st_mode & 0o777 == 0o600


def test_a_hub_that_stood_still_is_noticed_and_nobody_loses_a_job_by_it(
    make_hub: Callable[..., HubProcess],
) -> None:
    """Its clients leave the silent connection and come back over another, with what they hold."""
    hub = make_hub(Limits(heartbeat_s=0.3, call_s=10.0), gone_s=2.0).start()

    async def scenario() -> None:
        states: list[State] = []
        worker = hub.engine()
        await worker.open(lambda state, _reason: states.append(state))
        async with connected(hub) as other:
            await put(worker, "a")
            leases = await take(worker)
            hub.signal(signal.SIGSTOP)
            await until(_is(states, State.LOST))
            hub.signal(signal.SIGCONT)
            await until(_is(states, State.CONNECTED))
            assert await take(other, wait_s=3.0) == []
            assert await worker.ack(leases) == []
            assert states.count(State.LOST) >= 1
        await worker.close()

    run(scenario())


def _is(states: list[State], wanted: State) -> Callable[[], object]:
    async def last() -> bool:
        return states[-1] is wanted

    return last


def test_a_job_whose_answer_was_lost_with_its_connection_goes_to_the_next_who_asks(
    hub: HubProcess,
) -> None:
    """Its worker lives and came back, but never heard of it; nothing is counted against it."""

    async def scenario() -> None:
        async with connected(hub) as other:
            first = await _raw(hub, "worker")
            take_it = {"i": 1, "op": "take", "queues": [QUEUE], "lease_s": 3600.0, "wait_s": 60.0}
            await _ask(first, take_it, until="")
            await put(other, "a")
            await first[0].read(1)  # the job is on its way, and nobody reads it
            again = await _raw(hub, "worker")
            await _ask(again, {"i": 1, "op": "resume", "tokens": []}, until="ok")
            (lease,) = await take(other)
            assert (lease.message.id, lease.attempt) == ("a", 1)
            first[1].close()
            again[1].close()

    run(scenario())


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _raw(hub: HubProcess, client: str) -> Pair:
    pair = await asyncio.open_unix_connection(str(hub.socket))
    await _ask(pair, {"hello": 1, "client": client}, until="hello")
    return pair


async def _ask(pair: Pair, head: dict[str, object], *, until: str) -> None:
    """Send it, and read until a frame with this in its head came."""
    pair[1].write(encode_json(head))
    frames = FrameReader()
    while until:
        async with asyncio.timeout(PATIENCE_S):
            data = await pair[0].read(65536)
        assert data, "the hub ended the connection"
        if any(until in frame.head for frame in frames.feed(data)):
            return
