"""Random commands to an engine and to the model, and a comparison after each.

Place:  tests/<engine> -> [bus.machine] -> bus.model, an engine
Rule:   what time does is one command (a lease ends, a delay is over), so nothing races.

    TestMyEngine = machine_of(MySource).TestCase

makes a test of it; `settings` bounds it (`max_examples`, `stateful_step_count`). A failure prints
the shortest commands that lead to it. `explore` is a test for an engine on a real server. Engines
without queues have nothing to compare.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mergepoint.bus.capabilities import Watching, has
from mergepoint.bus.contract import Engine, EntryState, Lease, Put
from mergepoint.bus.errors import LeaseLost
from mergepoint_testkit.bus.model import Model
from mergepoint_testkit.bus.source import EngineSource
from mergepoint_testkit.bus.stand import Stand

Answer = TypeVar("Answer")
FAR_S = 100_000.0
"""Longer than all commands of a run together."""
LOOK_S = 0.05
"""Between two looks at what a server may not know yet."""
CONNECTIONS = 2
QUEUES = strategies.sampled_from(("a", "b"))
KEYS = strategies.sampled_from(("", "", "k1", "k2"))
INDEX = strategies.integers(0, 1000)


def machine_of(make_source: Callable[[], EngineSource]) -> type[QueueMachine]:
    """Return the machine for one engine; every run gets a source of its own."""

    class Machine(QueueMachine):
        source_factory = staticmethod(make_source)

    return Machine


def explore(make_source: Callable[[], EngineSource], *, examples: int, steps: int) -> None:
    """Put an engine on a real server through so many runs of so many random commands.

    Nothing is made shorter when it fails: with a real server that takes minutes.
    """
    run_state_machine_as_test(
        machine_of(make_source),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


class QueueMachine(RuleBasedStateMachine):
    """Queues, leases, keys, dead letters and bindings of two connections."""

    source_factory: Callable[[], EngineSource]

    def __init__(self) -> None:
        super().__init__()
        self.source = self.source_factory()
        virtual = self.source.virtual
        self.runner = asyncio.Runner(loop_factory=virtual.loop if virtual else None)
        self.run(self.source.start())
        self.stand = Stand(self.source)
        self.engines = [self.run(self.stand.connect()) for _ in range(CONNECTIONS)]
        claims = self.engines[0].capabilities
        self.able = {
            name for name in ("delay", "priority", "key_order", "dedupe") if has(claims, name)
        }
        self.able |= {name for name in ("dead_letters", "browse", "bind") if has(claims, name)}
        if self.source.can_kill and claims.lease is Watching.CONNECTION:
            self.able.add("kill")
        self.model = Model(priority="priority" in self.able, dedupe="dedupe" in self.able)
        self.leases: list[tuple[int, Lease]] = []
        self.sent: list[tuple[str, Put]] = []

    def run(self, coming: Coroutine[Any, Any, Answer]) -> Answer:
        """Run it on the engine's loop."""
        return self.runner.run(coming)

    def teardown(self) -> None:
        """Take what is left, and close."""
        try:
            for queue in ("a", "b"):
                while self._taken(0, queue, 3):
                    pass
        finally:
            self.run(self.stand.__aexit__())
            self.run(self.source.stop())
            self.runner.close()

    @rule(
        queue=QUEUES,
        key=KEYS,
        priority=strategies.sampled_from((0, 4, 9)),
        count=strategies.integers(1, 3),
        attempts_max=strategies.integers(1, 3),
    )
    def put(self, queue: str, key: str, priority: int, count: int, attempts_max: int) -> None:
        """Put some messages, treated alike."""
        puts = [self._made(key, priority, attempts_max) for _ in range(count)]
        self._put(queue, puts, delayed=False)

    @precondition(lambda self: "delay" in self.able)
    @rule(queue=QUEUES, key=KEYS)
    def put_for_later(self, queue: str, key: str) -> None:
        """Put a message that does not come during this run."""
        self._put(queue, [self._made(key, 4, 2, not_before=self.stand.now + FAR_S)], delayed=True)

    @precondition(lambda self: "dedupe" in self.able and self.sent)
    @rule(index=INDEX)
    def put_again(self, index: int) -> None:
        """Repeat an id."""
        queue, put = self.sent[index % len(self.sent)]
        (accepted,) = self.run(self.engines[0].put(self.stand.name(queue), [put]))
        assert accepted.duplicate is self.model.put(queue, put)

    @rule(queue=QUEUES, connection=strategies.integers(0, 1), limit=strategies.integers(1, 3))
    def take(self, queue: str, connection: int, limit: int) -> None:
        """Take some, and keep them."""
        self.leases += [(connection, lease) for lease in self._taken(connection, queue, limit)]

    @rule(queue=QUEUES)
    def take_and_hold_too_long(self, queue: str) -> None:
        """Take one and let its lease end."""
        taken = self._taken(0, queue, 1, lease_s=self.stand.short_s)
        self.leases += [(0, lease) for lease in taken]
        if taken:
            self.run(self.stand.passing(2 * self.stand.short_s))
        for lease in taken:
            if job := self.model.holder(lease.token):
                self.model.give_back(job, burn=True)

    @precondition(lambda self: self.leases)
    @rule(indexes=strategies.lists(INDEX, min_size=1, max_size=3))
    def ack(self, indexes: list[int]) -> None:
        """Finish some, held or lost."""
        connection = self._lease(indexes[0])[0]
        chosen = {
            lease.token: lease for owner, lease in map(self._lease, indexes) if owner == connection
        }
        lost = self.run(self.engines[connection].ack(list(chosen.values())))
        expected = [token for token in chosen if self.model.holder(token) is None]
        assert [lease.token for lease in lost] == expected
        for token in chosen:
            if job := self.model.holder(token):
                self.model.finish(job)
        self._forget(*chosen)

    @precondition(lambda self: self.leases)
    @rule(index=INDEX, burn=strategies.booleans(), later=strategies.booleans())
    def nack(self, index: int, burn: bool, later: bool) -> None:
        """Give one back, held or lost; perhaps for a time that does not come."""
        connection, lease = self._lease(index)
        later = later and "delay" in self.able
        job = self.model.holder(lease.token)
        returning = self.engines[connection].nack(lease, delay_s=FAR_S if later else 0.0, burn=burn)
        assert self._is_lost(returning) is (job is None)
        if job is not None:
            self.model.give_back(job, burn=burn, delayed=later)
        self._forget(lease.token)

    @precondition(lambda self: self.leases and "dead_letters" in self.able)
    @rule(index=INDEX)
    def bury(self, index: int) -> None:
        """Make one dead, held or lost."""
        connection, lease = self._lease(index)
        job = self.model.holder(lease.token)
        burying = self.engines[connection].bury(lease, reason="buried")
        assert self._is_lost(burying) is (job is None)
        if job is not None:
            self.model.kill(job)
        self._forget(lease.token)

    @precondition(lambda self: self.leases)
    @rule(index=INDEX)
    def extend(self, index: int) -> None:
        """Hold one longer, held or lost."""
        connection, lease = self._lease(index)
        lost = self.run(self.engines[connection].extend([lease], FAR_S))
        assert bool(lost) is (self.model.holder(lease.token) is None)

    @precondition(lambda self: "dead_letters" in self.able)
    @rule(queue=QUEUES, index=INDEX, again=strategies.booleans())
    def settle_a_dead_letter(self, queue: str, index: int, again: bool) -> None:
        """Replay or discard one, if there is one."""
        dead = self.model.dead(queue)
        if not dead:
            return
        job = dead[index % len(dead)]
        if again:
            self.run(self.engines[0].replay(self.stand.name(queue), job.id))
            self.model.replay(job)
        else:
            assert self.run(self.engines[0].discard(self.stand.name(queue), [job.id])) == 1
            self.model.finish(job)

    @precondition(lambda self: "browse" in self.able and self.sent)
    @rule(indexes=strategies.lists(INDEX, min_size=1, max_size=2))
    def drop(self, indexes: list[int]) -> None:
        """Drop some, whatever became of them."""
        queue = self.sent[indexes[0] % len(self.sent)][0]
        ids = {self.sent[index % len(self.sent)][1].message.id for index in indexes}
        dropped = self.run(self.engines[0].drop(self.stand.name(queue), sorted(ids)))
        assert dropped == self.model.drop(queue, ids)

    @precondition(lambda self: "bind" in self.able)
    @rule(queue=QUEUES, bound=strategies.booleans())
    def bind(self, queue: str, bound: bool) -> None:
        """Feed a queue by a topic, or no longer."""
        change = self.engines[0].bind if bound else self.engines[0].unbind
        self.run(change(self.stand.name(queue), self.stand.name("topic")))
        (self.model.bindings.add if bound else self.model.bindings.discard)((queue, "topic"))

    @precondition(lambda self: "bind" in self.able)
    @rule()
    def publish(self) -> None:
        """Publish to the topic that queues may be bound to."""
        put = self._made("", 4, self.source.limits.attempts_max)
        self.run(self.engines[1].publish(self.stand.name("topic"), put.message))
        self.model.publish("topic", put)

    @rule(connection=strategies.integers(0, 1), abruptly=strategies.booleans())
    def end(self, connection: int, abruptly: bool) -> None:
        """Close a connection or kill it, and make a new one."""
        abruptly = abruptly and "kill" in self.able
        engine = self.engines[connection]
        self.run(self.stand.kill(engine) if abruptly else engine.close())
        self.model.abandon(connection, burn=abruptly)
        self.engines[connection] = self.run(self.stand.connect())

    @invariant()
    def every_message_is_where_it_should_be(self) -> None:
        """Compare all states, where the engine can tell them."""
        for queue in ("a", "b"):
            if "browse" in self.able:
                self.run(self._compare(self.engines[0], queue))
            if "dead_letters" in self.able:
                self.run(self._compare_dead(self.engines[0], queue))

    async def _compare(self, engine: Engine, queue: str) -> None:
        entries = await engine.browse(self.stand.name(queue), states=tuple(EntryState), limit=1000)
        seen = {entry.message.id: entry.state for entry in entries}
        assert len(seen) == len(entries), "a message is there twice"
        assert seen == self.model.states(queue)

    async def _compare_dead(self, engine: Engine, queue: str) -> None:
        """Compare dead letters; a server hears of a killed connection in its own time."""
        wanted = sorted(job.id for job in self.model.dead(queue))
        ends_s = time.monotonic() + self.source.patience_s / 2
        while True:
            entries = await engine.dead(self.stand.name(queue), limit=1000)
            dead = sorted(entry.message.id for entry in entries)
            if dead == wanted or time.monotonic() > ends_s:
                break
            await asyncio.sleep(LOOK_S)
        assert dead == wanted

    def _made(self, key: str, priority: int, attempts_max: int, **how: float) -> Put:
        able = self.able
        return Put(
            message=self.stand.message(),
            key=key if "key_order" in able else "",
            priority=priority if "priority" in able else 4,
            attempts_max=attempts_max,
            not_before=how.get("not_before", 0.0),
        )

    def _put(self, queue: str, puts: list[Put], *, delayed: bool) -> None:
        accepted = self.run(self.engines[1].put(self.stand.name(queue), puts))
        assert not any(one.duplicate for one in accepted)
        for put in puts:
            self.model.put(queue, put, delayed=delayed)
            self.sent.append((queue, put))

    def _taken(
        self, connection: int, queue: str, limit: int, lease_s: float = FAR_S
    ) -> list[Lease]:
        """Take from the engine and check against the model, one after the other."""
        wait_s = self.source.patience_s / 2 if self.model.free(queue) else 0.0
        leases = self.run(
            self.engines[connection].take(
                [self.stand.name(queue)],
                worker=f"w{connection}",
                limit=limit,
                lease_s=lease_s,
                wait_s=wait_s,
            )
        )
        assert bool(leases) is bool(self.model.free(queue))
        assert len(leases) <= limit
        for lease in leases:
            allowed = {job.id: job for job in self.model.allowed(queue)}
            assert lease.message.id in allowed, f"not its turn: {lease.message.id}"
            job = allowed[lease.message.id]
            assert self.model.take(job, lease.token, connection) == lease.attempt
            assert lease.key == job.put.key
        return leases

    def _lease(self, index: int) -> tuple[int, Lease]:
        return self.leases[index % len(self.leases)]

    def _forget(self, *tokens: str) -> None:
        self.leases = [one for one in self.leases if one[1].token not in tokens]

    def _is_lost(self, coming: Coroutine[Any, Any, None]) -> bool:
        try:
            self.run(coming)
        except LeaseLost:
            return True
        return False
