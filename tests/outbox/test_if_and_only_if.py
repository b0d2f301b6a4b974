"""Jobs and events exist if and only if their order was committed, whoever is killed when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock
from mergepoint.tasks.outbox.crash import KILLED, POINTS

POINTS_OF_THE_SHOP = (
    "shop.before_insert",
    "shop.after_insert",
    "shop.before_commit",
    "shop.after_commit",
)
PATIENCE_S = 60.0


class Forks:
    """Processes of the shop, forked on demand."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("shop.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._alive: set[int] = set()

    def start(self, do: str, url: str, bus: str = "", crash_at: str = "") -> int:
        pid = self._ask({"do": do, "url": url, "bus": bus, "crash_at": crash_at})
        self._alive.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL

    def wait(self, pid: int) -> int:
        self._alive.discard(pid)
        return self._ask({"do": "wait", "pid": pid})

    def close(self) -> None:
        for pid in list(self._alive):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.wait(pid)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(PATIENCE_S)

    def _ask(self, command: dict[str, object]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(command) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@pytest.fixture
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def bus(server: Postgres) -> str:
    return server.create(f"bus{random.getrandbits(40):x}")


@pytest.fixture(params=["sqlite", "postgresql"])
def shop_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_file')}"
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("postgresql:", "postgresql+psycopg:")


@pytest.mark.parametrize(
    "kills", [25, pytest.param(200, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_orders_and_receipts_are_the_same_whoever_is_killed_when(
    forks: Forks, bus: str, shop_url: str, kills: int
) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    relay = forks.start("relay", shop_url, bus)
    for number in range(kills):
        shop = forks.start("shop", shop_url)
        before = _orders(shop_url)
        _until(lambda before=before: len(_orders(shop_url)) > len(before), "an order")
        time.sleep(chance.random() * 0.05)  # the moment of the kill is what chance is for
        if number % 3 == 2:
            forks.kill(relay)
            relay = forks.start("relay", shop_url, bus)
        forks.kill(shop)
    _settled(shop_url)
    forks.kill(relay)
    orders = _orders(shop_url)
    assert len(orders) >= kills
    assert _received(bus, "receipts") == sorted(orders)
    assert _received(bus, "heard") == sorted(orders)


def test_orders_and_receipts_are_the_same_at_every_point_where_one_may_die(
    forks: Forks, bus: str, shop_url: str
) -> None:
    for point in POINTS_OF_THE_SHOP:
        shop = forks.start("shop", shop_url, crash_at=f"{point}:5")
        assert forks.wait(shop) == KILLED
    for point in POINTS:
        shop = forks.start("shop", shop_url)
        relay = forks.start("relay", shop_url, bus, crash_at=f"{point}:2")
        assert forks.wait(relay) == KILLED
        forks.kill(shop)
    relay = forks.start("relay", shop_url, bus)
    _settled(shop_url)
    forks.kill(relay)
    orders = _orders(shop_url)
    assert len(orders) >= len(POINTS_OF_THE_SHOP)
    assert _received(bus, "receipts") == sorted(orders)
    assert _received(bus, "heard") == sorted(orders)


def _received(bus: str, queue: str) -> list[str]:
    """Take everything the queue has accepted; each order must be there once."""

    async def take() -> list[str]:
        engine = PostgresEngine(bus, Limits(), SystemClock())
        await engine.open(lambda *_: None)
        ids: list[str] = []
        while leases := await engine.take([queue], worker="w", limit=500, lease_s=60, wait_s=0.2):
            ids += [lease.message.id for lease in leases]
            assert await engine.ack(leases) == []
        await engine.close()
        return ids

    return sorted(asyncio.run(take()))


def _orders(url: str) -> list[str]:
    return _column(url, "SELECT id FROM orders")


def _settled(url: str) -> None:
    _until(lambda: not _column(url, "SELECT id FROM mergepoint_outbox LIMIT 1"), "an empty outbox")


def _until(stands: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not stands():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_S} s"
        time.sleep(0.01)


def _column(url: str, statement: str) -> list[str]:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE_S)
        found = connection.execute(statement).fetchall()
        connection.close()
    else:
        with psycopg.connect(url.replace("+psycopg", "")) as connected:
            found = connected.execute(statement.encode()).fetchall()
    return [value for (value,) in found]
