"""Files a hub must not touch, or cannot: said in one line, with exit code 78, nothing changed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.bus.hub.schema import STEPS

from .bus import PATIENCE_S, QUEUE, connected, drain, put, run, whole
from .hub_process import HubProcess

CONFIG = 78


def refused(hub: HubProcess) -> str:
    """Start a hub that refuses; return what it says."""
    hub.start()
    assert not hub.ready
    assert hub.wait() == CONFIG
    assert "Traceback" not in hub.log.read_text()
    last = hub.lines()[-1]
    assert last["event"] == "hub.refused"
    assert last["next"]
    return f"{last['message']}"


def test_two_hubs_never_have_one_file(hub: HubProcess, make_hub: Callable[..., HubProcess]) -> None:
    other = make_hub(directory=hub.directory)
    other.socket = hub.directory / "other.sock"

    assert f"another hub has it, process {hub.pid}" in refused(other)

    async def still_there() -> list[str]:
        async with connected(hub) as engine:
            await put(engine, "a")
            return await drain(engine)

    assert run(still_there()) == ["a"]


@pytest.mark.parametrize(
    "data", [b"#!/bin/sh\n" * 1000, os.urandom(8192), b"SQLite format 3\x00" + b"\xff" * 8000]
)
def test_a_file_that_is_no_database_is_left_as_it_is(
    make_hub: Callable[..., HubProcess], data: bytes
) -> None:
    hub = make_hub()
    hub.directory.mkdir()
    file = hub.directory / "bus.db"
    file.write_bytes(data)

    assert "bus.db" in refused(hub)
    assert file.read_bytes() == data


def test_a_database_of_something_else_is_left_as_it_is(make_hub: Callable[..., HubProcess]) -> None:
    hub = make_hub()
    hub.directory.mkdir()
    with sqlite3.connect(hub.directory / "bus.db") as db:
        db.execute("CREATE TABLE customers (name)")
    db.close()

    assert "not a hub's" in refused(hub)
    with sqlite3.connect(hub.directory / "bus.db") as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    db.close()


def test_a_file_of_a_newer_hub_is_refused(hub: HubProcess) -> None:
    assert hub.stop() == 0
    with sqlite3.connect(hub.directory / "bus.db") as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()

    assert f"of version {len(STEPS) + 1}" in refused(hub)


def test_a_directory_in_the_way_is_refused(make_hub: Callable[..., HubProcess]) -> None:
    hub = make_hub()
    (hub.directory / "bus.db").mkdir(parents=True)

    assert "no ordinary file" in refused(hub)


def test_a_state_directory_that_is_a_file_is_refused(make_hub: Callable[..., HubProcess]) -> None:
    hub = make_hub()
    hub.socket = hub.directory.with_name("hub.sock")
    hub.directory.write_text("mine")

    assert str(hub.directory) in refused(hub)


def test_a_read_only_directory_is_refused(
    make_hub: Callable[..., HubProcess], tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        if os.environ.get("MERGEPOINT_REQUIRE_SERVICES"):
            pytest.fail("a read-only disk cannot be mounted here; run as root")
        pytest.skip("a read-only disk cannot be mounted here; run as root")
    try:
        assert "Read-only" in refused(make_hub(directory=place))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"durability": "maybe"}, "durability"),
        ({"colour": "red"}, "colour"),
        ({"connections_max": "many"}, "connections_max"),
        ({"orphan_s": -1}, "orphan_s"),
        ({"listen": "0.0.0.0:7400"}, "certificate"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(
    make_hub: Callable[..., HubProcess], settings: dict[str, object], said: str
) -> None:
    assert said in refused(make_hub(**settings))


def test_a_file_in_the_place_of_the_socket_is_left_as_it_is(
    make_hub: Callable[..., HubProcess],
) -> None:
    hub = make_hub()
    hub.directory.mkdir()
    hub.socket.write_text("mine")

    assert "no socket" in refused(hub)
    assert hub.socket.read_text() == "mine"


def test_only_its_user_may_connect(hub: HubProcess) -> None:
    assert hub.socket.stat().st_mode & 0o777 == 0o600
    assert hub.directory.stat().st_mode & 0o777 == 0o700
    files = [one for one in hub.directory.iterdir() if one.is_file()]
    assert {one.stat().st_mode & 0o077 for one in files} == {0}


def test_a_copy_is_made_while_work_goes_on_and_is_a_hubs_file(
    hub: HubProcess, make_hub: Callable[..., HubProcess]
) -> None:
    """What was accepted before the copy began is in it, and it is whole."""

    async def scenario() -> None:
        async with connected(hub) as engine:
            await put(engine, *[f"before{number}" for number in range(2000)])
            copying = asyncio.create_task(
                engine.link.call({"op": "backup", "name": "copy.db"}, wait_s=PATIENCE_S)
            )
            number = 0
            while not copying.done():
                await put(engine, f"during{number}")
                number += 1
            told = (await copying).value
            assert Path(told["path"]) == hub.directory / "backups" / "copy.db"
            assert number > 0, "nobody waited for the whole of it"

    run(scenario())
    copy = make_hub()
    copy.directory.mkdir()
    (hub.directory / "backups" / "copy.db").rename(copy.directory / "bus.db")
    copy.start()

    async def left() -> list[str]:
        async with connected(copy) as engine:
            await whole(engine)
            return await drain(engine)

    found = run(left())
    assert found[:2000] == [f"before{number}" for number in range(2000)]
    assert [id_ for id_ in found[2000:] if not id_.startswith("during")] == []


def test_a_restart_with_a_hundred_thousand_messages_is_quick(hub: HubProcess) -> None:
    """The hub says itself how long it took from its first line to listening."""

    async def fill() -> None:
        async with connected(hub) as engine:
            for start in range(0, 100_000, 5_000):
                ids = [f"{number}" for number in range(start, start + 5_000)]
                await put(engine, *ids, queue=QUEUE)

    run(fill())
    hub.kill()
    hub.start()
    started = [line["seconds"] for line in hub.lines() if line["event"] == "hub.started"]
    assert started[1] < 1.0
