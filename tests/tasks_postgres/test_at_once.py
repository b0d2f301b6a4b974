"""Many processes ask at once: nothing is forgotten behind a key, a link or a unique key."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import pytest

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.core.clock import SystemClock
from mergepoint.tasks.contract import Ending, Finish, Start, TaskRecord
from mergepoint.tasks.errors import TaskError
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.ledger.postgres import PostgresLedger
from mergepoint.tasks.spec import Backoff, Options, Spec, Unique
from mergepoint.tasks.states import FINAL, TaskState
from tests.tasks_postgres.desks import engine_on

PATIENCE_S = 60.0
QUEUE = "tasks.q"
NOW = SystemClock()
OPTIONS = Options(retries=1000, backoff=Backoff(first_s=0.01, max_s=0.05), crashes_max=1000)


class Crowd:
    """Producers, workers and whoever cancels, on engines of their own."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ids: list[str] = []
        self.producing = 0
        self.running: dict[str, str] = {}
        """By key: the task that runs."""
        self.order: dict[str, list[int]] = {}

    async def produce(self, ledger: PostgresLedger, number: int) -> None:
        self.producing += 1
        for _ in range(number):
            specs = [self.spec() for _ in range(self.chance.choice([1, 1, 2]))]
            made = await ledger.enqueue(specs)
            self.ids += [placed.id for placed in made.placed if not placed.duplicate]
        self.producing -= 1

    def spec(self) -> Spec:
        chance = self.chance
        after = chance.sample(self.ids[-12:], min(len(self.ids), chance.choice([0, 0, 1, 3])))
        return Spec(
            id=new_id(NOW.unix_s()),
            name="n",
            queue="q",
            key=chance.choice(["", "k1", "k2"]),
            unique_key=chance.choice(["", "", "u1", "u2"]),
            unique=Unique(),
            after=tuple(dict.fromkeys(after)),
            options=OPTIONS,
        )

    async def work(self, engine: PostgresEngine, ledger: PostgresLedger) -> None:
        while True:
            limit = self.chance.choice([1, 3, 10])
            leases = await engine.take([QUEUE], worker="w", limit=limit, lease_s=30, wait_s=0.05)
            starts = [Start(message_id=one.message.id, token=one.token) for one in leases]
            started = [each.record for each in await ledger.start(starts)]
            begun = [record for record in started if record is not None]
            for record in begun:
                self.begin(record)
            await asyncio.sleep(0)
            finishes = [self.end(record) for record in begun]
            settled = (await ledger.finish(finishes)).settled
            assert not any(each.lost for each in settled)
            await engine.ack(leases)

    def begin(self, record: TaskRecord) -> None:
        key = record.spec.key
        if key:
            assert key not in self.running, f"two of {key} at once"
            self.running[key] = record.id
            places = self.order.setdefault(key, [])
            assert not places or places[-1] <= record.place, f"{key} out of order"
            places.append(record.place)

    def end(self, record: TaskRecord) -> Finish:
        # Before the ledger knows: from its commit on, the next of the key may run.
        self.running.pop(record.spec.key, None)
        how = [*[Ending.COMPLETED] * 6, Ending.RETURNED, Ending.FAILED, Ending.SNOOZED]
        return Finish(id=record.id, token=record.token, ending=self.chance.choice(how))

    async def meddle(self, ledger: PostgresLedger) -> None:
        """Release what is due, and cancel something now and then."""
        while True:
            await ledger.due()
            if self.ids and self.chance.random() < 0.1:
                with contextlib.suppress(TaskError):
                    await ledger.cancel(self.chance.choice(self.ids))
            await asyncio.sleep(0.01)

    async def all_ended(self, ledger: PostgresLedger) -> None:
        while True:
            await asyncio.sleep(0.05)
            left = {c.state for c in await ledger.counts()} - FINAL
            if not self.producing and not left:
                return


def run(url: str, seed: int, number: int, patience_s: float = PATIENCE_S) -> None:
    print(f"seed {seed}")
    crowd = Crowd(seed)

    async def scene() -> None:
        async with contextlib.AsyncExitStack() as stack:
            engines = [await stack.enter_async_context(engine_on(url)) for _ in range(3)]
            ledgers = [await PostgresLedger.opened(engine) for engine in engines]
            loops = [
                asyncio.create_task(crowd.work(engine, ledger))
                for engine, ledger in zip(engines, ledgers, strict=True)
                for _ in range(2)
            ]
            loops += [asyncio.create_task(crowd.meddle(ledger)) for ledger in ledgers[:2]]
            producing = [crowd.produce(ledger, number) for ledger in ledgers]
            await asyncio.gather(*producing)
            ended = asyncio.create_task(crowd.all_ended(ledgers[0]))
            done, _ = await asyncio.wait(
                [ended, *loops], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            for loop in loops:
                loop.cancel()
            failed = [loop for loop in done if loop is not ended and not loop.cancelled()]
            await asyncio.gather(*failed)  # raises what ended a loop
            ended.cancel()
            stuck = await ledgers[0].records(
                states=[state for state in TaskState if state not in FINAL], limit=20
            )
            assert not stuck
            assert ended.done()

    asyncio.run(scene())


def test_whatever_is_asked_at_once_everything_ends(database: Callable[[], str]) -> None:
    run(database(), random.randrange(2**32), 60)


@pytest.mark.soak
@pytest.mark.parametrize("nth", range(20))
def test_the_same_for_long(database: Callable[[], str], nth: int) -> None:
    del nth
    run(database(), random.randrange(2**32), 500, patience_s=20 * PATIENCE_S)
