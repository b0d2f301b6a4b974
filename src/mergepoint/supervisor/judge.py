"""Judge what was measured: grow or shrink a pool, replace a process, step a canary back.

Place:  supervisor.observe -> [supervisor.judge] -> supervisor.pool
Rule:   pure; counts and times in, a decision out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from mergepoint.supervisor.contract import AppSpec

QUEUE_SAMPLES = 2
"""Samples in a row with waiting requests before a pool grows."""
CALM_S = 30.0
"""How long one process fewer would have been enough before a pool shrinks."""
CALM_LOAD = 0.7
CANARY_ERRORS_MIN = 3
CANARY_RATIO = 2.0
CANARY_RATE_MARGIN = 0.01
CANARY_RATE_MAX = 0.5
"""At the end of its watch a canary that fails this often steps back, however few the requests."""
CANARY_EXTRA_S_MIN = 10.0
"""A canary without a finished request is watched as long again, and at least this much longer."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one app had to do at one sample."""

    queue: int = 0
    in_flight: int = 0
    dropped: int = 0
    """Requests dropped from the queue since the sample before."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What earlier samples left behind."""

    busy_samples: int = 0
    calm_since_s: float | None = None


def scaled(
    spec: AppSpec, count: int, load: Load, trend: Trend, now: float, *, room: bool
) -> tuple[int, Trend]:
    """Return the number of slots there should be and the trend for the next sample.

    One more at a time while requests wait and memory has `room`; one fewer after a calm while.
    """
    if spec.processes_min >= spec.processes_max:
        return count, Trend()
    if load.queue > 0 or load.dropped > 0:
        busy = trend.busy_samples + 1
        if busy >= QUEUE_SAMPLES and count < spec.processes_max and room:
            return count + 1, Trend()
        return count, Trend(busy_samples=busy)
    enough = load.in_flight <= (count - 1) * spec.concurrency * CALM_LOAD
    if count <= spec.processes_min or not enough:
        return count, Trend()
    since = now if trend.calm_since_s is None else trend.calm_since_s
    if now - since >= CALM_S:
        return count - 1, Trend()
    return count, Trend(calm_since_s=since)


def outlived(spec: AppSpec, key: int, requests: int, age_s: float, rss_bytes: int) -> str:
    """Return why a process should be replaced by a fresh one, or an empty string.

    Limits of requests and age are spread per process, so that a pool is not replaced at once.
    """
    share = spread(spec.name, key)
    if spec.requests_max and requests >= spec.requests_max + round(share * spec.requests_jitter):
        return f"served {requests} requests"
    if spec.lifetime_s and age_s >= spec.lifetime_s * (0.9 + 0.1 * share):
        return f"is {age_s:.0f} s old"
    limit = spec.limits.memory_bytes_max
    if limit is not None and rss_bytes > limit:
        return f"uses {rss_bytes >> 20} MB of memory; its limit is {limit >> 20} MB"
    return ""


def spread(name: str, key: int) -> float:
    """Return a number from 0 to 1 that is fixed for a process and even over processes."""
    digest = hashlib.sha256(f"{name}.{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFFFFFF


class Verdict(StrEnum):
    """What to do with a canary."""

    WATCH = "watch"
    PROMOTE = "promote"
    STEP_BACK = "step_back"


@dataclass(frozen=True, slots=True)
class Tally:
    """Finished requests and failures of one group of slots since the canary went out."""

    requests: int = 0
    failures: int = 0

    @property
    def rate(self) -> float:
        """Return failures per request."""
        return self.failures / self.requests if self.requests else 0.0


def canary_verdict(canary: Tally, stable: Tally, watched_s: float, watch_s: float) -> Verdict:
    """Return whether a canary goes on, rolls on or steps back.

    It steps back at three failures when it fails clearly more often than what serves beside it, at
    the end of its watch when half of what it did failed, and when it did nothing for twice as long.
    """
    worse = canary.rate > stable.rate * CANARY_RATIO + CANARY_RATE_MARGIN
    if canary.failures >= CANARY_ERRORS_MIN and worse:
        return Verdict.STEP_BACK
    if watched_s < watch_s:
        return Verdict.WATCH
    if canary.requests or canary.failures:
        bad = worse and canary.failures >= canary.requests * CANARY_RATE_MAX
        return Verdict.STEP_BACK if bad else Verdict.PROMOTE
    return Verdict.WATCH if watched_s < canary_s_max(watch_s) else Verdict.STEP_BACK


def canary_s_max(watch_s: float) -> float:
    """Return how long a canary is watched at most, while no request of it has finished."""
    return watch_s + max(watch_s, CANARY_EXTRA_S_MIN)


def has_room(budget: int | None, used: int, one_more: int) -> bool:
    """Tell whether one more process of this size fits into the site's memory budget."""
    return budget is None or used + one_more <= budget
