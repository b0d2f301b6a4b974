"""What processes tell of themselves when somebody asks, and how Prometheus reads it."""

from __future__ import annotations

import asyncio

from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.contract import Limits
from mergepoint.bus.counts import BOUNDS_S, Counts
from mergepoint.bus.exposition import FAMILIES, from_plain, of_counts, text
from mergepoint.bus.telling import ANSWERS, QUESTION, answering, ask
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

CLOCK = SystemClock()


def engines(count: int) -> list[MemoryEngine]:
    broker = Broker(Limits())
    return [MemoryEngine("memory:", Limits(), CLOCK, broker=broker) for _ in range(count)]


def test_everybody_who_has_the_bus_open_answers() -> None:
    async def scene() -> list[dict[str, object]]:
        asker, *others = engines(4)
        for engine in (asker, *others):
            await engine.open(lambda *_: None)

        async def say() -> dict[str, object]:
            return {"figure": 1}

        answers = [
            asyncio.ensure_future(answering(engine, f"app/{number}", CLOCK, say))
            for number, engine in enumerate(others)
        ]
        async with asyncio.timeout(30):
            while len(await ask(asker, "early", CLOCK)) < 3:
                pass  # they are still subscribing
        # What is no question is not answered, and stops nobody.
        for data in (b"{", b"[]", b'{"to": "orders"}', b'{"to": "mp.told. "}'):
            junk = Message(id=data.hex(), source="/x", type=QUESTION, data=data)
            await asker.publish(QUESTION, junk)
        told = await ask(asker, "me", CLOCK)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        return told

    told = asyncio.run(scene())
    assert [one["process"] for one in told] == ["app/0", "app/1", "app/2"]
    assert {one["figure"] for one in told} == {1}
    assert ANSWERS.startswith("mp.")


def test_counts_become_a_histogram_that_adds_up() -> None:
    counts = Counts()
    for seconds in (0.0001, 0.003, 0.003, 99.0):
        counts.add("put", "ok", seconds)
    counts.add("put", "bus.full", 0.5)
    lines = text(of_counts(counts.snapshot(), "shop/0")).splitlines()

    name = "mergepoint_bus_call_duration_seconds"
    labels = 'process="shop/0",operation="put",outcome="ok"'
    assert lines[:2] == [f"# HELP {name} {FAMILIES[name][1]}", f"# TYPE {name} histogram"]
    buckets = [line for line in lines if line.startswith(f"{name}_bucket{{{labels}")]
    assert len(buckets) == len(BOUNDS_S) + 1
    values = [int(line.rpartition(" ")[2]) for line in buckets]
    assert values == sorted(values)
    assert values[-1] == 4
    assert values[-2] == 3
    assert f"{name}_count{{{labels}}} 4" in lines
    assert f'{name}_count{{process="shop/0",operation="put",outcome="bus.full"}} 1' in lines


def test_what_a_process_sends_cannot_spoil_the_text() -> None:
    name = "mergepoint_tasks"
    sent = [
        [name, {"queue": 'a"b\\c\nd'}, 1], [name, {"queue": "x"}, 2], [name, {"queue": "x"}, 0.5],
        ["mergepoint_unknown", {}, 1], [name, "x", 1], [name, {}], "x", [name, {}, "y"],
    ]  # fmt: skip
    assert text(from_plain(sent)).splitlines()[2:] == [
        'mergepoint_tasks{queue="a\\"b\\\\c\\nd"} 1',
        'mergepoint_tasks{queue="x"} 2.5',
    ]
    assert from_plain({"no": "list"}) == []
