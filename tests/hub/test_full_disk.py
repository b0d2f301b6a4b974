"""A full disk: puts are refused, work goes on, nothing is lost, and it resumes by itself.

The disk is a real one of 16 MiB, a tmpfs that this test mounts. Tried once: without the ballast the
acks of `test_a_full_disk_refuses_puts_and_lets_work_go_on` fail; without giving pages back the
hub never accepts again in `test_room_made_by_workers_alone_is_enough`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Put
from mergepoint.bus.errors import BusFull

from .bus import QUEUE, connected, drain, message, run, take, until, whole
from .hub_process import HubProcess

DISK_BYTES = 16 * 1024 * 1024
DATA = b"x" * 50_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        if os.environ.get("MERGEPOINT_REQUIRE_SERVICES"):
            pytest.fail("a small disk cannot be mounted here; run as root")
        pytest.skip("a small disk cannot be mounted here; run as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def fill(engine: HubEngine, prefix: str = "m") -> list[str]:
    """Put until the disk is full; return what was accepted."""
    accepted: list[str] = []
    with pytest.raises(BusFull, match="full"):
        while len(accepted) < 2 * DISK_BYTES / len(DATA):
            id_ = f"{prefix}{len(accepted)}"
            await engine.put(QUEUE, [Put(message=message(id_, DATA))])
            accepted.append(id_)
    return accepted


def test_a_full_disk_refuses_puts_and_lets_work_go_on(
    make_hub: Callable[..., HubProcess], small_disk: Path
) -> None:
    hub = make_hub(directory=small_disk / "state").start()

    async def scenario() -> None:
        async with connected(hub) as engine:
            accepted = await fill(engine)
            assert len(accepted) > 20
            with pytest.raises(BusFull):
                await engine.publish("news", message("kept", DATA), keep_last=True)
            await engine.publish("news", message("live"))
            await whole(engine)
            assert await drain(engine) == accepted
            await whole(engine)

    run(scenario())
    assert [line["event"] for line in hub.lines()].count("hub.full") == 1


def test_room_made_by_workers_alone_is_enough(
    make_hub: Callable[..., HubProcess], small_disk: Path
) -> None:
    hub = make_hub(directory=small_disk / "state").start()

    async def scenario() -> None:
        async with connected(hub) as engine:
            for number in range(3):
                accepted = await fill(engine, f"{number}-")
                assert len(accepted) > 20
                assert await drain(engine) == accepted
                await until(accepts(engine, f"after{number}"))
                assert await drain(engine) == [f"after{number}"]
            await whole(engine)

    run(scenario())


def accepts(engine: HubEngine, id_: str) -> Callable[[], object]:
    async def now() -> bool:
        try:
            await engine.put(QUEUE, [Put(message=message(id_))])
        except BusFull:
            return False
        return True

    return now


def test_room_made_by_somebody_else_is_noticed(
    make_hub: Callable[..., HubProcess], small_disk: Path
) -> None:
    hub = make_hub(directory=small_disk / "state").start()
    other = small_disk / "other"

    async def scenario() -> None:
        async with connected(hub) as engine:
            first = [f"a{number}" for number in range(20)]
            await engine.put(QUEUE, [Put(message=message(id_, DATA)) for id_ in first])
            _fill_disk(other)
            accepted = await fill(engine)
            other.unlink()
            await until(accepts(engine, "after"))
            assert await drain(engine) == [*first, *accepted, "after"]
            await whole(engine)

    run(scenario())


def _fill_disk(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_nothing_that_was_accepted_is_lost_by_kill_9_on_a_full_disk(
    make_hub: Callable[..., HubProcess], small_disk: Path
) -> None:
    hub = make_hub(directory=small_disk / "state").start()

    async def before() -> list[str]:
        engine = hub.engine()
        await engine.open(lambda _state, _reason: None)
        accepted = await fill(engine)
        leases = await take(engine, 5)
        assert await engine.ack(leases) == []
        hub.kill()
        engine.vanish()
        return accepted[5:]

    async def after() -> list[str]:
        async with connected(hub) as engine:
            await whole(engine)
            return await drain(engine)

    left = run(before())
    hub.start()
    assert hub.ready
    assert run(after()) == left


def test_a_hub_that_starts_on_a_full_disk_lets_work_go_on(
    make_hub: Callable[..., HubProcess], small_disk: Path
) -> None:
    """Somebody else filled the disk while the hub was away; its ballast is still its own."""
    hub = make_hub(directory=small_disk / "state").start()
    accepted = [f"{number}" for number in range(40)]

    async def before() -> None:
        async with connected(hub) as engine:
            await engine.put(QUEUE, [Put(message=message(id_, DATA)) for id_ in accepted])

    run(before())
    assert hub.stop() == 0
    _fill_disk(small_disk / "other")
    hub.start()
    assert hub.ready

    async def after() -> list[str]:
        async with connected(hub) as engine:
            with pytest.raises(BusFull):
                await engine.put(QUEUE, [Put(message=message("more", DATA))])
            return await drain(engine)

    assert run(after()) == accepted
