"""E5: whatever the processes of one app do, the other app answers as if it were alone.

Place:  processes that burn, grow, leak, print, die, lie and breed -> a real site
Rule:   every limit is one of the manifest; what is bounded is looked at, not believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from mergepoint_testkit.sites import RunningSite

from .beside import clients, measure, request, status_of
from .conftest import USER, raw_command

BOOTS_MAX = max(4, 2 * (os.cpu_count() or 1))
"""Processes that may start at the same moment, as the supervisor has it."""
CHILDREN_MAX = 48
FILES_MAX = 64
MEMORY_BYTES_MAX = 96 << 20
PROCESSES = 2
RESTART_S_MAX = 8.0
BURN_S = 3.0
BURN_FLOOR_S = 0.050
"""Where every CPU is taken, each step of a request may wait for its turn."""


@contextlib.asynccontextmanager
async def asked(
    port: int, path: str, times: int = 1, lasts_s: float = 0.0
) -> AsyncIterator[list[int]]:
    """Ask so many times at once, run the block, and wait for the end of what was begun."""
    end = time.monotonic() + lasts_s
    yield await asyncio.gather(*(status_of(port, request(path)) for _ in range(times)))
    await asyncio.sleep(max(0.0, end - time.monotonic()))


def repeated(path: str, statuses: Counter[int], pause_s: float = 0.02) -> Callable[..., object]:
    """Return a fault of two clients that ask for ever."""

    async def one(port: int) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                statuses[await status_of(port, request(path))] += 1
            await asyncio.sleep(pause_s)

    return lambda port: clients(2, lambda: one(port))


@pytest.mark.parametrize("limits", ["", "limits = { cpu = 0.25 }"], ids=["no limit", "a share"])
def test_processes_that_burn_every_cpu_harm_no_other_app(
    site_of: Callable[..., RunningSite], limits: str
) -> None:
    site = site_of(f'wsgi = "bad:app"\nprocesses = {PROCESSES}\n{limits}')

    measured = measure(
        site, lambda port: asked(port, f"/burn/{BURN_S}", 4 * PROCESSES, BURN_S + 0.5), BURN_FLOOR_S
    )

    measured.assert_unharmed()
    cpu_s = sum(slot["cpu_s"] for slot in site.status()["apps"]["bad"]["slots"])
    assert cpu_s > 1.0, "it did burn"


def test_a_process_that_grows_is_replaced_and_harms_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(f'wsgi = "bad:app"\nprocesses = 1\nlimits = {{ memory = {MEMORY_BYTES_MAX} }}')
    before = site.pids("bad")

    measured = measure(site, lambda port: asked(port, "/eat/1"))
    site.wait("replaced", lambda _: site.pids("bad") and site.pids("bad") != before)

    measured.assert_unharmed()
    assert "its limit is 96 MB" in site.output


def test_memory_beyond_the_limit_is_refused_to_the_process_that_wants_it(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(f'wsgi = "bad:app"\nprocesses = 1\nlimits = {{ memory = {MEMORY_BYTES_MAX} }}')
    statuses: list[int] = []

    @contextlib.asynccontextmanager
    async def gulped(port: int) -> AsyncIterator[None]:
        async with asked(port, "/gulp/4") as found:
            statuses.extend(found)
            yield

    measured = measure(site, gulped)

    measured.assert_unharmed()
    assert statuses[0] in (500, 502, 503)


def test_a_leak_of_file_descriptors_ends_at_the_limit_of_its_process(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(f'wsgi = "bad:app"\nprocesses = 1\nlimits = {{ files = {FILES_MAX} }}')
    (pid,) = site.pids("bad")
    statuses: Counter[int] = Counter()

    measured = measure(site, repeated("/leak/10", statuses))

    measured.assert_unharmed()
    assert set(statuses) - {200}, f"the leak was refused at some time: {statuses}"
    with contextlib.suppress(FileNotFoundError):
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) <= FILES_MAX


def test_a_process_that_prints_a_hundred_megabytes_harms_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of('wsgi = "bad:app"\nprocesses = 1')

    measured = measure(site, lambda port: asked(port, "/chatter/100"))

    measured.assert_unharmed()
    assert "are missing here" in site.run("logs", "bad", "-n", "100000").stdout
    assert "faster than they can be read" in site.output


def test_processes_that_end_in_every_request_harm_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of('wsgi = "bad:app"\nprocesses = 2')
    statuses: Counter[int] = Counter()

    measured = measure(site, repeated("/leave/1", statuses))

    measured.assert_unharmed()
    assert set(statuses) <= {502, 503}, statuses


def test_answers_that_are_garbage_harm_no_other_app(site_of: Callable[..., RunningSite]) -> None:
    site = site_of(raw_command())
    statuses: Counter[int] = Counter()

    measured = measure(site, repeated("/garbage", statuses))

    measured.assert_unharmed()
    assert set(statuses) <= {502, 503}, statuses


def test_response_heads_without_an_end_harm_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(raw_command())
    statuses: Counter[int] = Counter()

    measured = measure(site, repeated("/endless-head", statuses))

    measured.assert_unharmed()
    assert set(statuses) <= {502, 503}, statuses


def test_a_process_that_ignores_term_is_killed_and_harms_no_other_app(
    site_of: Callable[..., RunningSite],
) -> None:
    site = site_of(raw_command("stubborn") + "\ntimeouts = { drain_s = 0.5, kill_s = 0.5 }")
    before = site.pids("bad")

    @contextlib.asynccontextmanager
    async def restarted(_port: int) -> AsyncIterator[None]:
        restarting = asyncio.create_task(asyncio.to_thread(site.run, "restart", "bad"))
        yield
        await restarting

    measured = measure(site, restarted)

    measured.assert_unharmed()
    assert not set(before) & set(site.pids("bad"))
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_processes_that_hang_at_their_start_keep_no_other_app_from_starting(
    site_of: Callable[..., RunningSite],
) -> None:
    bad = f'wsgi = "bad:app"\nprocesses = {2 * BOOTS_MAX}\nenv = {{ BOOT_S = "20" }}'
    site = site_of(bad, wait=False)
    site.wait("good", lambda status: status["apps"]["good"]["state"] == "ready")
    (pid,) = site.pids("good")

    os.kill(pid, signal.SIGKILL)
    site.wait("good again", lambda _: site.pids("good") not in ([], [pid]), RESTART_S_MAX)

    assert site.status()["apps"]["bad"]["state"] == "starting"
    site.run("stop", "--now")


def test_a_process_that_breeds_is_bounded_and_harms_no_other_app(
    site_of: Callable[..., RunningSite], other_user: str
) -> None:
    site = site_of(
        f'{raw_command(python=other_user)}\nprocesses = 1\nuser = "{USER}"\n'
        f"limits = {{ processes = {CHILDREN_MAX} }}"
    )
    (pid,) = site.pids("bad")

    measured = measure(site, lambda port: asked(port, "/breed"))

    measured.assert_unharmed()
    family = psutil.Process(pid).children(recursive=True)
    assert CHILDREN_MAX / 2 < len(family) <= CHILDREN_MAX
    site.stop()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive, "the whole family went with its parent"
