"""A reader that goes on from where it was, and a database of the test's own.

Place:  tests/feed -> [feed_follower] -> feed.adapters
Rule:   each call of a follower runs on one loop of its own, so that tests stay a list of steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psycopg

from mergepoint.core.clock import SystemClock
from mergepoint.feed.adapters.postgres import Reader
from mergepoint.feed.contract import Batch, Database, FeedLimits, Position

LIMITS = FeedLimits(lease_s=2.0, answer_s=10.0, read_s=20.0)
"""Patient with a busy machine, but for the lease, which some barriers wait for."""
Connect = Callable[..., psycopg.Connection]


class Follower:
    """A reader that goes on from where it was; each call on a loop of its own."""

    def __init__(self, database: Database, limits: FeedLimits = LIMITS) -> None:
        self.database, self.limits = database, limits
        self.position: Position | None = None
        self.runner = asyncio.Runner()
        self.reader = Reader(database, limits, SystemClock())
        self.read()

    def read(self) -> Batch:
        batch = self.runner.run(self.reader.read(self.position))
        self.position = batch.position
        return batch

    def rows(self) -> list[tuple[object, ...]]:
        """Return what changed since the last call, each as table, op and key."""
        batch = self.read()
        assert not batch.gap
        return [(c.table, c.op.value, *c.key.values()) for c in batch.changes]

    def close(self) -> None:
        self.runner.run(self.reader.close())
        self.runner.close()


Follow = Callable[..., Follower]
Serve = Callable[..., AbstractAsyncContextManager[Path]]
