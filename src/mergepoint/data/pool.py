"""A pool that says how long was waited, and for how many connections, when there is none.

Place:  data.engines -> [data.pool] -> sqlalchemy.pool
Rule:   changes nothing else of SQLAlchemy's pools.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from mergepoint.data import units
from mergepoint.data.errors import DataUnavailable


class PoolExhausted(DataUnavailable, PoolTimeout):
    """Every connection of this process is in use, and none came back in time."""

    code = "data.pool_exhausted"


class BoundedPool(QueuePool):
    """For blocking code."""

    def _do_get(self) -> Any:  # Any: SQLAlchemy's own record, which has no public type
        try:
            return super()._do_get()
        except PoolTimeout:
            raise _exhausted(self) from None


class AsyncBoundedPool(AsyncAdaptedQueuePool):
    """For coroutines."""

    def _do_get(self) -> Any:  # Any: as above
        try:
            return super()._do_get()
        except PoolTimeout:
            raise _exhausted(self) from None


def _exhausted(pool: QueuePool) -> PoolExhausted:
    error = PoolExhausted(
        f"all {pool.size()} connections are in use, and none was free within {pool.timeout():g} s",
        next="raise connections_max, or look for what holds them: mergepoint db advice",
    )
    unit = units.current()
    if unit is not None:
        unit.failure = error
    return error
