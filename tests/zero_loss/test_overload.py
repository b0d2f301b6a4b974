"""E6: three times more than the site can do, then normal again within two seconds.

Place:  open-loop load with impatient clients -> a real site
Rule:   the peers' measured figures are in docs/reference/reliability.md; this is the same test.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from mergepoint_testkit.load import Tally, Target, open_loop
from mergepoint_testkit.sites import RunningSite

CAPACITY = 20
"""Requests a second: 2 processes of 2 threads, 0.2 s each."""
OVERLOAD_S, CALM_S, PATIENCE_S = 10.0, 12.0, 2.0
RECOVERY_S_MAX = 2.0
WASTED_MAX = 0.10


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_after_threefold_overload_the_site_is_itself_within_two_seconds(
    site_of: Callable[..., RunningSite], release, server: str, record_property
) -> None:
    site = site_of(more=f'threads = 2\nserver = "{server}"')
    before = release.executed
    target = Target(site.port, "/app/sleep/0.2")

    async def storm() -> tuple[Tally, Tally, float]:
        hot = await open_loop(target, rate=3 * CAPACITY, seconds=OVERLOAD_S, patience_s=PATIENCE_S)
        ended = time.monotonic() - PATIENCE_S  # open_loop waits for its last client
        calm = await open_loop(target, rate=CAPACITY / 4, seconds=CALM_S, patience_s=PATIENCE_S)
        return hot, calm, ended

    hot, calm, ended = asyncio.run(storm())
    executed = release.executed - before
    answered = hot.succeeded + calm.succeeded
    wasted = (executed - answered) / executed
    recovery = max((at - ended for at in calm.failure_at_s), default=0.0)
    for name, value in (("executed", executed), ("answered", answered), ("recovery_s", recovery)):
        record_property(name, value)
    print(f"{server}: executed {executed}, answered {answered}, wasted {wasted:.1%}, "
          f"recovery {recovery:.2f} s, hot {hot}, calm {calm}")  # fmt: skip

    assert recovery < RECOVERY_S_MAX, str(calm)
    assert wasted < WASTED_MAX
    assert hot.succeeded > 0.8 * CAPACITY * OVERLOAD_S, str(hot)


@pytest.mark.soak
def test_a_minute_of_overload_leaves_no_trace(site_of: Callable[..., RunningSite], release) -> None:
    site = site_of(more="threads = 2")
    target = Target(site.port, "/app/sleep/0.2")

    asyncio.run(open_loop(target, rate=5 * CAPACITY, seconds=60, patience_s=PATIENCE_S))
    calm = asyncio.run(open_loop(target, rate=CAPACITY / 4, seconds=10, patience_s=PATIENCE_S))

    assert calm.failures == 0, str(calm)
