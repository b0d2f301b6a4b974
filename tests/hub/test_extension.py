"""Operations of others, in the hub's transactions: whole with the queues, or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.errors import BusError, BusRefused, LeaseLost

from .bus import PATIENCE_S, QUEUE, connected, drain, put, run, take, whole
from .hub_process import HubProcess


@pytest.fixture
def hub(make_hub: Callable[..., HubProcess], monkeypatch: pytest.MonkeyPatch) -> HubProcess:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    return make_hub().start(module="extended_hub")


async def ask(engine: HubEngine, op: str, **fields: Any) -> Any:
    return (await engine.link.call({"op": op, **fields})).value


async def all_or_none(
    engine: HubEngine, *calls: dict[str, Any], parts: tuple[bytes, ...] = ()
) -> Any:
    return (await engine.link.call({"ops": list(calls)}, parts)).value


def put_call(id_: str) -> dict[str, Any]:
    return {"op": "put", "queue": QUEUE, "puts": [[id_, len(ATTRIBUTES), 2]]}


ATTRIBUTES = b'{"specversion":"1.0","id":"x","source":"s","type":"t"}'
PARTS = (ATTRIBUTES, b"{}")


def test_an_operation_answers_with_a_value_and_bytes(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            answer = await engine.link.call(
                {"op": "notes.add", "text": "a", "n": [2, 1]}, [b"xy", b"z"]
            )
            assert answer.value == {"kept": "a"}
            assert answer.parts() == [b"XY", b"Z"]
            assert await ask(engine, "notes.all") == ["a"]

    run(scenario())


def test_a_batch_is_done_whole(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            told = await all_or_none(
                engine, {"op": "notes.add", "text": "a"}, put_call("x"), parts=PARTS
            )
            assert [one["ok"] for one in told] == [{"kept": "a"}, []]
            assert await drain(engine) == ["x"]
            assert await ask(engine, "notes.all") == ["a"]

    run(scenario())


@pytest.mark.parametrize("last", ["notes.refuse", "notes.crash", "nack"])
def test_a_batch_that_is_refused_leaves_nothing(hub: HubProcess, last: str) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            await put(engine, "held")
            (lease,) = await take(engine)
            calls = [
                {"op": "notes.add", "text": "a"},
                put_call("x"),
                {"op": "ack", "tokens": [lease.token]},
                {"op": last, "token": "gone"},
            ]
            with pytest.raises(BusError, match="call 3 of the batch"):
                await all_or_none(engine, *calls, parts=PARTS)
            assert await ask(engine, "notes.all") == []
            await whole(engine)
            assert await engine.ack([lease]) == []
            assert await drain(engine) == []

    run(scenario())


def test_work_is_completed_together_with_its_record_or_not_at_all(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            await put(engine, "job", attempts_max=3)
            (lost,) = await take(engine, lease_s=0.2)
            (lease,) = await take(engine)
            assert await ask(engine, "notes.lease", token=lost.token) is None
            assert await ask(engine, "notes.lease", token=lease.token) == ["job", 2]
            burying = {"op": "bury", "token": lost.token}
            with pytest.raises(LeaseLost):
                await all_or_none(engine, {"op": "notes.add", "text": "late"}, burying)
            acking = {"op": "ack", "tokens": [lease.token]}
            await all_or_none(engine, {"op": "notes.add", "text": "done"}, acking)
            assert await ask(engine, "notes.all") == ["done"]

    run(scenario())


def test_a_fault_of_an_extension_is_an_answer_and_the_hub_goes_on(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            with pytest.raises(BusError, match="KeyError"):
                await ask(engine, "notes.crash")
            with pytest.raises(BusRefused, match="not today"):
                await ask(engine, "notes.refuse")
            await ask(engine, "notes.add", text="a")
            with pytest.raises(BusError, match="UNIQUE"):
                await ask(engine, "notes.add", text="a")
            assert await ask(engine, "notes.all") == ["a"]

    run(scenario())


def test_an_extension_puts_and_publishes_with_its_commit(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            items = aiter(await engine.subscribe("told"))
            await ask(engine, "notes.put", text="a")
            assert (await asyncio.wait_for(anext(items), PATIENCE_S)).data == b"a"  # type: ignore[union-attr]
            assert await drain(engine) == ["a"]

    run(scenario())


def test_what_is_due_is_done_once_also_over_a_restart(hub: HubProcess) -> None:
    async def before() -> None:
        async with connected(hub) as engine:
            await ask(engine, "notes.later", text="soon", delay_s=0.2)
            await ask(engine, "notes.later", text="later", delay_s=1.0)
            (lease,) = await take(engine)
            assert lease.message.id == "soon"
            await engine.ack([lease])

    async def after() -> None:
        async with connected(hub) as engine:
            (lease,) = await take(engine)
            assert lease.message.id == "later"
            await engine.ack([lease])
            assert await take(engine, wait_s=0.3) == []

    run(before())
    hub.kill()
    hub.start(module="extended_hub")
    run(after())


def test_an_extension_is_part_of_the_check(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            await ask(engine, "notes.add", text="bad")
            assert (await engine.link.call({"op": "integrity"})).value == ["a bad note"]

    run(scenario())


def test_an_operation_nobody_handles_is_refused(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub) as engine:
            for op in ("other.add", "notes", "put.add"):
                with pytest.raises(BusRefused, match="unknown"):
                    await ask(engine, op)

    run(scenario())
