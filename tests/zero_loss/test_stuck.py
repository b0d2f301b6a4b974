"""The request limit in every worker model: answered, logged, replaced, neighbours untouched.

Place:  one stuck request among others -> a real site
Rule:   the limit is the edge's, so that no worker model can escape it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from mergepoint_testkit.load import Target, open_loop
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.sites import RunningSite

LIMIT_S = 2.0
SLACK_S = 1.0

MODELS = {
    "granian, four threads": ('wsgi = "app:wsgi"', "threads = 4", "/app/sleep/20"),
    "granian, one thread": ('wsgi = "app:wsgi"', "threads = 1", "/app/sleep/20"),
    "gunicorn, four threads": ('wsgi = "app:wsgi"', 'server = "gunicorn"', "/app/sleep/20"),
    "asgi, waiting": ('asgi = "app:asgi"', "", "/app/sleep/20"),
    "asgi, loop blocked": ('asgi = "app:asgi"', "", "/app/block/20"),
    "uvicorn, loop blocked": ('asgi = "app:asgi"', 'server = "uvicorn"', "/app/block/20"),
}


@pytest.mark.parametrize("model", MODELS)
def test_a_stuck_request_ends_at_its_limit_and_its_slot_is_replaced(
    site_of: Callable[..., RunningSite], release, model: str
) -> None:
    kind, more, path = MODELS[model]
    site = site_of(kind=kind, processes=2, more=f"timeout_s = {LIMIT_S}\n{more}")
    before = set(site.pids("app"))

    async def stuck_among_others() -> tuple[float, int, object]:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        stuck = loop.run_in_executor(
            None, lambda: exchange(site.port, request, first_s=LIMIT_S + 5, total_s=LIMIT_S + 5)
        )
        await asyncio.sleep(0.3)
        others = await open_loop(Target(site.port, "/app/"), rate=20, seconds=4, patience_s=3)
        answer = await stuck
        return time.monotonic() - began, answer.statuses[0], others

    _, status, others = asyncio.run(stuck_among_others())
    site.wait("replaced", lambda _: before - set(site.pids("app")), seconds=20)

    assert status == 504
    assert others.failures == 0, str(others)
    assert "sleep" in site.run("logs", "app", "-n", "200").stdout, "the stack is in the log"
    assert len(site.pids("app")) == 2
