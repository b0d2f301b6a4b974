"""Chance asks two ledgers the same at the same time: PostgreSQL's must answer as the hub's does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.contract import Ending, Finish, Progress, Start, message_id
from mergepoint.tasks.errors import TaskError
from mergepoint.tasks.settling import releasable
from mergepoint.tasks.spec import Options, Rate, Spec, Unique
from mergepoint.tasks.states import FINAL, TaskState
from tests.tasks.ledgers import Desk, local_desk
from tests.tasks_postgres.desks import PostgresDesk, desk_on, emptied

STEPS = 150
ENDINGS = [*Ending, Ending.COMPLETED, Ending.COMPLETED, Ending.COMPLETED]
Act = Callable[[Desk], Awaitable[Any]]


class Twins:
    """The same asked of both; whatever differs ends the test with the steps that led there."""

    def __init__(self, known: Desk, tried: PostgresDesk, chance: random.Random) -> None:
        self.known, self.tried, self.chance = known, tried, chance
        self.ids: list[str] = []
        self.tokens = 0
        self.told: list[str] = []

    async def ask(self, what: str, act: Act) -> Any:
        self.told.append(what)
        answers = [await _answer(act, desk) for desk in (self.known, self.tried)]
        # The hub puts whatever a call releases; a ledger in memory leaves some of it to `due`.
        left = await self.known.ledger.records(states=[TaskState.PENDING], limit=1000)
        await self.known.carry([releasable(record) for record in left])
        assert answers[1] == answers[0], self.story()
        await self.compare()
        return answers[0]

    async def compare(self) -> None:
        places, queues, states = [], [], []
        for desk in (self.known, self.tried):
            records = await desk.ledger.records(limit=1000)
            # The numbers differ, their order must not: it is what lines of keys go by.
            in_line = [r for r in records if r.spec.key and r.state not in FINAL]
            places.append([r.id for r in sorted(in_line, key=lambda r: r.place)])
            states.append([replace(r, place=0) for r in records])
            queues.append(sorted((each.id, each.generation) for each in desk.queue))
        assert [r for r in states[1] if r not in states[0]] == [
            r for r in states[0] if r not in states[1]
        ], self.story()
        assert places[1] == places[0], self.story()
        assert queues[1] == queues[0], self.story()

    def story(self) -> str:
        return "\n".join(self.told)

    def token(self) -> str:
        self.tokens += 1
        return str(self.tokens)

    def spec(self) -> Spec:
        chance = self.chance
        now = self.known.clock.at
        after = chance.sample(self.ids, min(len(self.ids), chance.choice([0, 0, 0, 1, 2])))
        options = Options(
            retries=chance.choice([0, 1, 2]),
            crashes_max=chance.choice([1, 3]),
            rate=chance.choice([None, None, None, Rate(count=2, per_s=30, bucket="b")]),
            keep_result_s=chance.choice([5.0, 600.0]),
        )
        made = self.known.spec(
            options=options,
            key=chance.choice(["", "", "k1", "k2"]),
            unique_key=chance.choice(["", "", "", "u1", "u2"]),
            unique=Unique(period_s=chance.choice([0.0, 40.0])),
            queue=chance.choice(["default", "other"]),
            priority=chance.choice([0, 4, 9]),
            not_before=chance.choice([0.0, 0.0, now + 20.0]),
            expires_at=chance.choice([0.0, 0.0, now + 60.0]),
            after=tuple(dict.fromkeys(after)),
            payload=chance.randbytes(3),
        )
        self.ids = [*self.ids[-30:], made.id]
        return made

    async def step(self) -> None:
        deeds = [self.add, self.add, self.take, self.take, self.end, self.end, self.wait, self.rare]
        await self.chance.choice(deeds)()

    async def add(self) -> None:
        specs = [self.spec() for _ in range(self.chance.choice([1, 1, 3]))]
        await self.ask(f"add {specs}", lambda desk: desk.add(*specs))

    async def take(self) -> None:
        """Start some messages together, perhaps such as are in other hands already."""
        waiting = sorted((each.id, each.generation) for each in self.known.queue)
        chosen = self.chance.sample(waiting, min(len(waiting), self.chance.choice([1, 1, 4])))
        if not chosen:
            return
        again = self.chance.random() < 0.2
        starts = [
            Start(message_id=message_id(*each), token=self.token(), worker="w") for each in chosen
        ]

        async def act(desk: Desk) -> Any:
            if not again:
                desk.queue = [r for r in desk.queue if (r.id, r.generation) not in chosen]
            answers = await desk.ledger.start(starts)
            await desk.carry(())
            return [(a.reason, a.inputs, a.record and replace(a.record, place=0)) for a in answers]

        await self.ask(f"start {starts}", act)

    async def end(self) -> None:
        """End some runs together, perhaps one of them with a token that is not its own."""
        running = await self.known.ledger.records(states=[TaskState.RUNNING], limit=1000)
        chosen = self.chance.sample(running, min(len(running), self.chance.choice([1, 1, 3])))
        if not chosen:
            return
        together = self.chance.choice([None, Ending.COMPLETED])
        finishes = [
            Finish(
                id=record.id,
                token=self.chance.choice([record.token] * 9 + ["0"]),
                ending=together or self.chance.choice(ENDINGS),
                result=b"r",
                result_type="t",
                error="why",
                delay_s=7.0,
            )
            for record in chosen
        ]

        async def act(desk: Desk) -> Any:
            made = await desk.ledger.finish(finishes)
            await desk.carry(made.releases)
            return made.settled

        await self.ask(f"end {finishes}", act)

    async def wait(self) -> None:
        seconds = self.chance.choice([1.0, 10.0, 70.0, 200.0])
        self.known.clock.at += seconds
        self.tried.clock.at = self.known.clock.at
        await self.ask(f"wait {seconds}", lambda desk: desk.due())

    async def rare(self) -> None:
        if not self.ids:
            return
        task = self.chance.choice(self.ids)
        record = await self.known.ledger.record(task)
        token = record.token if record else ""
        acts: dict[str, Act] = {
            "cancel": lambda desk: _carried(desk, desk.ledger.cancel(task, "enough")),
            "replay": lambda desk: _carried(desk, desk.ledger.replay(task, b"new")),
            "discard": lambda desk: _discarded(desk, task),
            "register": lambda desk: _carried(desk, desk.ledger.register(["m.work"])),
            "touch": lambda desk: desk.ledger.touch({task: token, "nobody": "1"}),
            "progress": lambda desk: desk.ledger.progress(task, token, Progress(done=1, note="n")),
            "once": lambda desk: desk.ledger.once(task, "mail", done=True),
            "counts": lambda desk: _counted(desk),
        }
        name = self.chance.choice(sorted(acts))
        await self.ask(f"{name} {task}", acts[name])


async def _answer(act: Act, desk: Desk) -> Any:
    try:
        return await act(desk)
    except (TaskError, BusRefused) as error:
        return type(error).__name__


async def _carried(desk: Desk, asking: Awaitable[Any]) -> Any:
    made = await asking
    if isinstance(made, tuple):
        await desk.carry(made)
        return None
    await desk.carry(made.releases)
    return made.settled


async def _discarded(desk: Desk, task: str) -> int:
    gone = await desk.ledger.discard([task])
    await desk.carry(())
    desk.queue = [each for each in desk.queue if each.id != task]
    return gone


async def _counted(desk: Desk) -> Any:
    return sorted((c.queue, c.state, c.count, c.oldest_at) for c in await desk.ledger.counts())


def run(url: str, seed: int, steps: int) -> None:
    print(f"seed {seed}")

    async def scene() -> None:
        async with desk_on(url) as tried:
            await emptied(tried)
            twins = Twins(local_desk(), tried, random.Random(seed))
            for _ in range(steps):
                await twins.step()

    asyncio.run(scene())


@pytest.mark.parametrize("nth", range(2))
def test_both_ledgers_answer_the_same_whatever_is_asked(shared: str, nth: int) -> None:
    del nth
    run(shared, random.randrange(2**32), STEPS)


@pytest.mark.soak
@pytest.mark.parametrize("nth", range(200))
def test_the_same_for_long(shared: str, nth: int) -> None:
    del nth
    run(shared, random.randrange(2**32), 4 * STEPS)
