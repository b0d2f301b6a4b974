"""What a site knows of its bus and its tasks, gathered from whoever knows it.

Place:  cli.commands.{metrics,balance} -> [assembly.figures] -> assembly.reach, bus.telling
Rule:   asks and adds up; a part that does not answer is left out, never guessed.
"""

from __future__ import annotations

import os
from typing import Any

from mergepoint.assembly.reach import Reach
from mergepoint.bus.contract import QueueStats
from mergepoint.bus.exposition import Sample, from_plain
from mergepoint.bus.telling import ask
from mergepoint.tasks.contract import QueueCount

Json = dict[str, Any]


async def told(reach: Reach) -> list[Json]:
    """Return what every process tells that has the bus open."""
    return await ask(reach.engine, f"cli-{os.getpid()}", reach.clock)


async def samples(reach: Reach) -> list[Sample]:
    """Return everything there is a metric of."""
    now = reach.clock.unix_s()
    found: list[Sample] = []
    for process in await told(reach):
        found += from_plain(process.get("samples"))
    if reach.engine.capabilities.browse:
        found += of_queues(await reach.engine.queues())
    return found + of_tasks(await reach.ledger.counts(), now)


def of_queues(stats: list[QueueStats]) -> list[Sample]:
    """Return how the engine's queues stand, those of tasks among them; pure."""
    made: list[Sample] = []
    for one in stats:
        held = {"ready": one.ready, "delayed": one.delayed, "leased": one.leased, "dead": one.dead}
        made += [
            ("mergepoint_queue_messages", {"queue": one.name, "state": state}, count)
            for state, count in held.items()
            if count is not None
        ]
        if one.oldest_s is not None:
            made.append(("mergepoint_queue_oldest_seconds", {"queue": one.name}, one.oldest_s))
    return made


def of_tasks(counts: list[QueueCount], now: float) -> list[Sample]:
    """Return how the ledger stands; pure."""
    made: list[Sample] = []
    for one in counts:
        labels = {"queue": one.queue, "state": str(one.state)}
        made.append(("mergepoint_tasks", labels, one.count))
        age_s = max(0.0, now - one.oldest_at)
        made.append(("mergepoint_tasks_oldest_seconds", labels, round(age_s, 3)))
    return made
