"""Tasks on their way: into the ledger, into their queues, or into the app's own transaction.

Place:  tasks.declare, tasks.runner -> [tasks.sending] -> Ledger, Engine, tasks.outbox
Rule:   ledger first; whoever dies before the queue has it leaves it to the next `due`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mergepoint.bus.contract import Engine, Lease, Put
from mergepoint.bus.errors import BusFull, BusLost
from mergepoint.tasks.contract import Enqueued, Ledger, Placed, Release
from mergepoint.tasks.home import Home
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.messages import INBOX, INBOX_TYPE, carrier_of, put_of
from mergepoint.tasks.spec import DELIVERIES_MAX, Spec
from mergepoint.wire.envelope import Message


async def send(home: Home, specs: Sequence[Spec]) -> tuple[Placed, ...]:
    """Record these and queue them; a task that was recorded will run, whatever happens next.

    Raises `BusFull` when the queue has no room; what was recorded is then cancelled.
    """
    ledger, engine = await home.ledger(), await home.engine()
    made = await ledger.enqueue(specs)
    try:
        await put_releases(engine, ledger, made.releases, home.address, home.clock.unix_s())
    except BusFull:
        for placed in made.placed:
            if not placed.duplicate:
                await ledger.cancel(placed.id, "its queue was full")
        raise
    except BusLost:
        pass  # recorded is accepted: it is put again as soon as the engine is back
    return made.placed


async def put_releases(
    engine: Engine, ledger: Ledger, releases: Sequence[Release], source: str, now: float
) -> None:
    """Put what the ledger released, and tell it."""
    by_queue: dict[str, list[Release]] = {}
    ranked = engine.capabilities.priority if releases else True
    for release in releases:
        queue = carrier_of(release.queue, release.priority, ranked=ranked)
        by_queue.setdefault(queue, []).append(release)
    for queue, each in by_queue.items():
        await engine.put(queue, [put_of(release, source, now) for release in each])
        await ledger.confirm([(release.id, release.generation) for release in each])


def inbox_put(spec: Spec, source: str) -> Put:
    """Return what an outbox relays for a task: the whole of it."""
    message = Message(
        id=spec.id,
        source=source or "tasks",
        type=INBOX,
        subject=spec.name,
        data=json.dumps(to_plain(spec), separators=(",", ":")).encode(),
        datacontenttype=INBOX_TYPE,
        extensions=dict(spec.context),
    )
    return Put(message=message, attempts_max=DELIVERIES_MAX)


async def take_over(engine: Engine, ledger: Ledger, leases: Sequence[Lease]) -> Enqueued:
    """Record what outboxes have relayed; what cannot be read is buried with the reason."""
    specs: list[Spec] = []
    good: list[Lease] = []
    for lease in leases:
        try:
            specs.append(spec_of(lease.message))
            good.append(lease)
        except ValueError as error:
            await engine.bury(lease, reason=f"no task: {error}")
    made = await ledger.enqueue(specs)
    await engine.ack(good)
    return made


def spec_of(message: Message) -> Spec:
    """Return the task in an inbox message; raise `ValueError`."""
    plain = json.loads(message.data)
    if not isinstance(plain, Mapping) or "id" not in plain or "name" not in plain:
        raise ValueError("a task is an object with id and name")
    return from_plain(Spec, plain)
