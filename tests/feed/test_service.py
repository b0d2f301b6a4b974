"""The feed over its socket, from real databases: what edges are told, and when.

Place:  make test
Rule:   edges speak the protocol; order and counts are asserted, never how long something took.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.feed_edge import Edge
from mergepoint_testkit.feed_follower import LIMITS, Serve

from mergepoint.core.clock import SystemClock
from mergepoint.feed.adapters import postgres, postgres_install, sqlite, sqlite_install
from mergepoint.feed.contract import Database, FeedLimits, Reader

SHORT = FeedLimits(lease_s=0.3, answer_s=10.0, read_s=20.0)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 100))  # type: ignore[arg-type]


@pytest.fixture
def followed(app: sqlite3.Connection, database: Database) -> Reader:
    sqlite_install.install(database, LIMITS)
    return sqlite.Reader(database, LIMITS)


def test_every_edge_has_applied_a_write_before_its_barrier_is_answered(
    app: sqlite3.Connection, followed: Reader, serve: Serve
) -> None:
    async def scene() -> None:
        async with serve({"main": followed}) as path:
            edges = [Edge(str(number)) for number in range(4)]
            for edge in edges:
                await edge.connect(path)
                await edge.pull("main")
                await edge.pull("main")  # says where it is, which a flush did not
            for turn in range(1, 6):
                app.execute("INSERT INTO tickets VALUES (?, ?, '')", (turn, f"s{turn}"))
                await edges[turn % 4].barrier()
                assert all(f"main/tickets:id={turn}" in edge.seen["main"] for edge in edges)
            for edge in edges:
                await edge.close()

    run(scene)


def test_an_edge_that_does_not_apply_costs_a_lease_and_no_more(
    app: sqlite3.Connection, database: Database, serve: Serve
) -> None:
    sqlite_install.install(database, SHORT)

    async def scene() -> None:
        async with serve({"main": sqlite.Reader(database, SHORT)}, SHORT) as path:
            writer, deaf = Edge("writer"), Edge("deaf")
            await writer.connect(path)
            await deaf.connect(path)
            deaf.applies = False
            await writer.pull("main")
            asked = asyncio.get_running_loop().time()
            await writer.barrier()
            assert asyncio.get_running_loop().time() - asked >= SHORT.lease_s - 0.01
            assert deaf.barriers
            await writer.close()
            await deaf.close()

    run(scene)


def test_a_database_that_is_not_there_hurts_no_other(
    app: sqlite3.Connection, followed: Reader, serve: Serve, tmp_path: Path
) -> None:
    lost = Database("lost", f"sqlite:///{tmp_path}/nowhere.db")
    away = Database("away", "postgresql://nobody@/nothing?host=/nonexistent")
    readers: dict[str, Reader] = {
        "main": followed,
        "lost": sqlite.Reader(lost, LIMITS),
        "away": postgres.Reader(away, LIMITS, SystemClock()),
    }

    async def scene() -> None:
        async with serve(readers) as path:
            edge = Edge()
            await edge.connect(path)
            await edge.pull("main", "lost", "away")
            app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
            told = await edge.pull("main", "lost", "away")
            assert "main/tickets:id=1" in told["main"]["tags"]
            assert "nowhere.db" in told["lost"]["error"]
            assert "away" in told["away"]["error"]
            await edge.close()

    run(scene)


def test_an_edge_keeps_its_place_over_a_restart_of_the_hub(
    app: sqlite3.Connection, database: Database, serve: Serve
) -> None:
    sqlite_install.install(database, LIMITS)

    async def scene() -> None:
        edge = Edge()
        async with serve({"main": sqlite.Reader(database, LIMITS)}) as path:
            first = await edge.connect(path)
            await edge.pull("main")
        await edge.ended()
        app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
        async with serve({"main": sqlite.Reader(database, LIMITS)}) as path:
            second = await edge.connect(path)
            edge.told["main"]["at"] = 0  # another hub counts anew
            told = await edge.pull("main")
            await edge.close()
        assert first["hub"] != second["hub"]
        assert not told["main"]["flush"]
        assert "main/tickets:id=1" in told["main"]["tags"]

    run(scene)


def test_the_socket_is_for_its_owner_alone_and_garbage_ends_a_connection(
    followed: Reader, serve: Serve
) -> None:
    async def scene() -> None:
        async with serve({"main": followed}) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            for garbage in (b"\xff\xfe\n", b"[1]\n", b'{"id": 1, "verb": "pull"}\n'):
                reader, writer = await asyncio.open_unix_connection(str(path))
                writer.write(garbage)
                assert b"feed.invalid" in await reader.read()
                writer.close()
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"x" * (LIMITS.line_bytes_max + 1))
            assert await reader.read() == b""
            writer.close()

    run(scene)


def test_requests_come_through_whole_byte_by_byte_and_many_at_once(
    followed: Reader, serve: Serve
) -> None:
    hello = b'{"id":1,"verb":"hello","edge":"e","schema":1}\n'
    pull = b'{"id":%d,"verb":"pull","sources":{"main":{"epoch":null,"cursor":null}}}\n'

    async def scene() -> None:
        async with serve({"main": followed}) as path:
            reader, writer = await asyncio.open_unix_connection(str(path))
            for byte in hello:
                writer.write(bytes([byte]))
                await writer.drain()
            writer.write(b"".join(pull % number for number in range(2, 12)))
            lines = [await reader.readline() for _ in range(11)]
            assert b'"hub"' in lines[0]
            assert sum(b'"flush":true' in line for line in lines) == 10
            writer.close()

    run(scene)


def test_more_tags_than_an_answer_holds_are_a_flush(
    app: sqlite3.Connection, database: Database, serve: Serve
) -> None:
    few = FeedLimits(tags_max=50, answer_s=10.0, read_s=20.0)
    sqlite_install.install(database, few)

    async def scene() -> None:
        async with serve({"main": sqlite.Reader(database, few)}, few) as path:
            edge = Edge()
            await edge.connect(path)
            await edge.pull("main")
            await edge.pull("main")
            app.executemany("INSERT INTO tickets VALUES (?, ?, '')", [(n, n) for n in range(60)])
            assert (await edge.pull("main"))["main"]["flush"]
            app.execute("INSERT INTO tickets VALUES (99, 'on', '')")
            told = (await edge.pull("main"))["main"]
            assert not told["flush"] and "main/tickets:id=99" in told["tags"]
            await edge.close()

    run(scene)


def test_whatever_transactions_do_every_commit_is_told_and_nothing_else(
    tickets: psycopg.Connection, on_postgres: Database, postgres_url: str, serve: Serve
) -> None:
    """Random transactions on four connections; each row is written once, by its own number."""
    seed = random.randrange(1 << 30)
    postgres_install.install(on_postgres, LIMITS)
    committed: set[int] = set()
    undone: set[int] = set()

    def work(worker: int) -> None:
        dice = random.Random(f"{seed}/{worker}")
        number = worker * 10_000
        with psycopg.connect(postgres_url) as db:
            for _ in range(60):
                own, lost = [], []
                for _ in range(dice.randint(1, 4)):
                    number += 1
                    values = (number, f"s{number}")
                    if dice.random() < 0.3:
                        db.execute("SAVEPOINT s")
                        db.execute("INSERT INTO tickets VALUES (%s, %s)", values)
                        if dice.random() < 0.5:
                            db.execute("ROLLBACK TO s")
                            lost.append(number)
                        else:
                            own.append(number)
                    else:
                        db.execute("INSERT INTO tickets VALUES (%s, %s)", values)
                        own.append(number)
                if dice.random() < 0.25:
                    db.rollback()
                    undone.update(own, lost)
                else:
                    db.commit()
                    committed.update(own)
                    undone.update(lost)

    async def scene() -> None:
        reader = postgres.Reader(on_postgres, LIMITS, SystemClock())
        async with serve({"main": reader}) as path:
            edge, other = Edge("a"), Edge("b")
            await edge.connect(path)
            await other.connect(path)
            for one in (edge, other, edge, other):  # the second time they say where they are
                await one.pull("main")
            threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                acknowledged = set(committed)
                await edge.barrier()
                for one in (edge, other):
                    missing = {n for n in acknowledged if tag(n) not in one.seen["main"]}
                    assert not missing, f"seed {seed}: {missing} were not told"
            await edge.barrier()
            for one in (edge, other):
                assert {n for n in committed if tag(n) not in one.seen["main"]} == set()
                assert {n for n in undone if tag(n) in one.seen["main"]} == set(), seed
                assert one.flushes["main"] <= 1  # the first
                await one.close()

    def tag(number: int) -> str:
        return f"main/tickets:id={number}"

    run(scene)
    assert len(committed) > 100 and undone
