"""Workers and hubs that die at random: every job ends, done or dead, and none vanishes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Lease, Limits, Put
from mergepoint.bus.errors import BusClosed, BusError

from .bus import QUEUE, connected, drain, message, run, take, until, whole
from .hub_process import HubProcess

LIMITS = Limits(heartbeat_s=0.5, reconnect_s_max=0.2, call_s=10.0)
WORKERS = 3


@pytest.mark.parametrize(
    ("seed", "jobs"),
    [(1, 300), (2, 300), *[pytest.param(n, 20_000, marks=pytest.mark.soak) for n in range(3, 9)]],
)
def test_every_job_ends_done_or_dead(
    make_hub: Callable[..., HubProcess], seed: int, jobs: int
) -> None:
    hub = make_hub(orphan_s=0.5).start()
    chance = random.Random(seed)
    put_ids: set[str] = set()
    done: set[str] = set()
    unsure: set[str] = set()
    """Finished, as far as the worker knows; the answer may have been lost with the hub."""
    dead: set[str] = set()
    kills = 0

    def over() -> bool:
        return len(put_ids) >= jobs and len(done | dead | unsure) >= jobs

    async def produce() -> None:
        async with connected(hub, limits=LIMITS) as engine:
            while len(put_ids) < jobs:
                id_ = f"{len(put_ids)}"
                await engine.put(QUEUE, [Put(message=message(id_), key=f"k{chance.randrange(40)}")])
                put_ids.add(id_)

    async def work() -> None:
        while not over():
            engine = hub.engine(LIMITS)
            try:
                await engine.open(lambda _state, _reason: None)
                for _ in range(chance.randrange(1, 40)):
                    for lease in await take(engine, chance.randrange(1, 5), wait_s=0.2):
                        await handle(engine, lease)
            except (BusError, BusClosed):
                pass
            finally:
                # As often killed as closed.
                engine.vanish() if chance.random() < 0.5 else await engine.close()

    async def handle(engine: HubEngine, lease: Lease) -> None:
        id_ = lease.message.id
        if chance.random() < 0.1:
            await engine.nack(lease, reason="by chance")
            return
        unsure.add(id_)
        if await engine.ack([lease]) == []:
            assert id_ not in done, "done twice with the blessing of the hub"
            done.add(id_)

    async def disturb() -> None:
        nonlocal kills
        while not over():
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            if kills < jobs / 60 and chance.random() < 0.5:
                kills += 1
                hub.kill()
                await asyncio.to_thread(hub.start)
            async with connected(hub) as engine:
                dead.update(entry.message.id for entry in await engine.dead(QUEUE, limit=1000))

    async def scenario() -> None:
        await asyncio.gather(produce(), disturb(), *(work() for _ in range(WORKERS)))
        async with connected(hub) as engine:
            await until(lambda: nothing_is_held(engine))
            left = set(await drain(engine))
            await whole(engine)
            dead.update(entry.message.id for entry in await engine.dead(QUEUE, limit=1000))
        told = done | dead | left
        assert left <= unsure - done, f"seed {seed}"
        assert put_ids - told <= unsure, f"seed {seed}"
        assert len(put_ids - told) <= kills * WORKERS, "an answer for each kill and worker, at most"

    run(scenario())


async def nothing_is_held(engine: HubEngine) -> bool:
    (stats,) = await engine.queues()
    return not stats.leased
