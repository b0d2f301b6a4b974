"""What the engine refuses, what it is told too late, and what other transactions do to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres

from mergepoint.bus.contract import Gap, Put
from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused

from .scene import PATIENCE_S, Make, engine_on, message, take

PUT_ONE = "SELECT mergepoint.put_one('q', %s, %s, '', 'k', 4, 0, 5, 0, 3600)"
HEAD = '{"specversion":"1.0","id":"%s","source":"s","type":"t"}'


def test_a_key_keeps_its_order_though_transactions_commit_against_their_numbers(
    database: Make,
) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            early, late = psycopg.connect(url), psycopg.connect(url)
            early.execute(PUT_ONE, ("early", HEAD % "early"))
            late.execute(PUT_ONE, ("late", HEAD % "late"))
            late.commit()
            (first,) = await take(engine)
            assert first.message.id == "late"  # committed first
            early.commit()
            assert await take(engine, wait_s=0.3) == []  # one at a time
            assert await engine.ack([first]) == []
            (second,) = await take(engine)
            assert second.message.id == "early"
            assert await engine.ack([second]) == []
            for connection in (early, late):
                connection.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "attributes",
    ["{}", "[]", '{"specversion":"1.0","id":7,"source":"s","type":"t"}', HEAD % ""],
    ids=["empty", "list", "number", "no id"],
)
def test_a_row_nobody_could_read_is_refused_where_it_is_put(
    database: Make, attributes: str
) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            with psycopg.connect(url) as connection:
                with pytest.raises(psycopg.errors.CheckViolation):
                    connection.execute(PUT_ONE, ("bad", attributes))
                connection.rollback()
                connection.execute(PUT_ONE, ("good", HEAD % "good"))
            assert [lease.message.id for lease in await take(engine)] == ["good"]

    asyncio.run(scene())


def test_events_forgotten_before_they_were_read_are_counted(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            heard = await engine.subscribe("news.*")
            with psycopg.connect(url) as connection:
                topics = ["news.a", "other", "news.b", "news.a"]
                count = len(topics)
                connection.execute(
                    "SELECT mergepoint.publish(%s, %s, %s, %s, %s, %s, 5, 3600, 0)",
                    (
                        topics,
                        [str(number) for number in range(count)],
                        [HEAD % number for number in range(count)],
                        [b""] * count,
                        [""] * count,
                        [False] * count,
                    ),
                )
                connection.execute("DELETE FROM mergepoint.event")
            await engine.publish("news.b", message("n"))
            received, lost = 0, 0
            async with asyncio.timeout(PATIENCE_S):
                while received + lost < 4:
                    item = await anext(aiter(heard))
                    lost += item.lost if isinstance(item, Gap) else 0
                    received += not isinstance(item, Gap)
            assert (received + lost, lost >= 3) == (4, True)

    asyncio.run(scene())


def test_many_may_make_the_schema_at_once(database: Make) -> None:
    url = database()

    async def one() -> None:
        async with engine_on(url) as engine:
            await engine.put("q", [Put(message=message("m"))])

    async def scene() -> None:
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(scene())
    with psycopg.connect(url) as connection:
        ((versions,),) = connection.execute("SELECT count(*) FROM mergepoint.about")
    assert versions == 1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda url: url.replace("/refused?", "/nowhere?"), BusRefused, "does not exist"),
        (
            lambda url: (
                url.replace("://", "://nobody:secret@", 1)
                .replace("postgres@", "", 1)
                .replace("nobody@", "", 1)
            ),
            BusRefused,
            "does not exist",
        ),
        (lambda url: url.replace("host=", "host=/nowhere"), BusLost, "nowhere"),
        (lambda url: url + "&options=-c%20default_transaction_read_only=on", BusRefused, ""),
        (lambda _: "postgresql://host/database?no_such_thing=1", BusRefused, "no PostgreSQL"),
    ],
    ids=["database", "user", "server", "read-only", "url"],
)
def test_what_cannot_be_connected_to_is_refused_with_what_to_do(
    server: Postgres, change: Callable[[str], str], error: type[BusError], words: str
) -> None:
    with contextlib.suppress(RuntimeError):
        server.create("refused")
    url = change(server.url("refused"))

    async def scene() -> None:
        with pytest.raises(error) as caught:
            async with engine_on(url, call_s=2.0):
                pass
        assert words in caught.value.message
        assert caught.value.next
        assert "secret" not in caught.value.message

    asyncio.run(scene())


def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            await engine.put("q", [Put(message=message("kept"))])
            with psycopg.connect(url, autocommit=True) as connection:
                # The server's own words for it; a disk that small cannot be had everywhere.
                connection.execute(
                    "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    " RAISE EXCEPTION 'could not extend file: No space left on device'"
                    " USING ERRCODE = '53100'; END $$"
                )
                connection.execute(
                    "CREATE TRIGGER full_disk BEFORE INSERT ON mergepoint.message"
                    " FOR EACH ROW EXECUTE FUNCTION public.full()"
                )
                with pytest.raises(BusFull):
                    await engine.put("q", [Put(message=message("m"))])
                connection.execute("DROP TRIGGER full_disk ON mergepoint.message")
            await engine.put("q", [Put(message=message("m"))])
            assert [lease.message.id for lease in await take(engine)] == ["kept", "m"]

    asyncio.run(scene())


def test_a_call_that_takes_too_long_is_lost(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url, call_s=1.0) as engine:
            with psycopg.connect(url) as connection:
                connection.execute("LOCK TABLE mergepoint.message IN ACCESS EXCLUSIVE MODE")
                with pytest.raises(BusLost):
                    await engine.put("q", [Put(message=message("m"))])
            await engine.put("q", [Put(message=message("m"))])
            assert len(await take(engine)) == 1

    asyncio.run(scene())


def test_an_app_may_put_with_the_right_to_that_and_nothing_else(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute("DROP ROLE IF EXISTS shop_only")
                owner.execute("CREATE ROLE shop_only LOGIN")
                owner.execute("GRANT USAGE ON SCHEMA mergepoint TO shop_only")
                owner.execute("GRANT EXECUTE ON FUNCTION mergepoint.put_one TO shop_only")
            with psycopg.connect(url, user="shop_only") as shop:
                shop.execute(PUT_ONE, ("m", HEAD % "m"))
                shop.commit()
                for statement in ("SELECT * FROM mergepoint.message", "SELECT mergepoint.tidy()"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        shop.execute(statement)
                    shop.rollback()
            assert [lease.message.id for lease in await take(engine)] == ["m"]
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute("DROP OWNED BY shop_only")
                owner.execute("DROP ROLE shop_only")

    asyncio.run(scene())
