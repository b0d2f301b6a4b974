"""SQLAlchemy: what is enqueued in a transaction is a part of it, however the app opened it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session
from sqlalchemy.orm import sessionmaker as sessions_of

from mergepoint.tasks import outbox
from mergepoint.tasks.outbox import OutboxMissing, OutboxRefused

from .conftest import put, rows


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def engine(sqlite_file: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{sqlite_file}")
    outbox.watch(made)
    yield made
    made.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    made = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    outbox.watch(made)
    yield made
    made.dispose()


def enqueue(id_: str, connection: object = None) -> bool:
    """Do what a task's `enqueue` does; tell whether a transaction was joined."""
    joined = outbox.join(connection)
    if joined is None:
        return False
    assert [one.id for one in joined.put("mail", [put(id_)])] == [id_]
    return True


def test_a_message_is_there_when_its_session_has_committed(
    engine: Engine, sqlite_file: Path
) -> None:
    with Session(engine) as session, session.begin():
        session.add(Order(id="1"))
        assert enqueue("m1")
        assert rows(sqlite_file) == []
    assert rows(sqlite_file) == ["m1"]


def test_a_message_of_a_session_that_has_not_reached_the_database_yet_is_joined(
    engine: Engine, sqlite_file: Path
) -> None:
    with Session(engine) as session:
        session.add(Order(id="1"))  # no statement has been sent
        assert enqueue("m1")
        session.rollback()
        session.add(Order(id="2"))
        assert enqueue("m2")
        session.commit()
    assert rows(sqlite_file) == ["m2"]


def test_an_error_takes_the_message_with_it(engine: Engine, sqlite_file: Path) -> None:
    with pytest.raises(ValueError, match="no stock"), Session(engine) as session, session.begin():
        session.add(Order(id="1"))
        enqueue("m1")
        raise ValueError("no stock")
    assert rows(sqlite_file) == []


def test_a_closed_session_takes_the_message_with_it(engine: Engine, sqlite_file: Path) -> None:
    with Session(engine) as session:
        session.add(Order(id="1"))
        enqueue("m1")
    assert rows(sqlite_file) == []


def test_a_savepoint_takes_its_own_messages_only(postgres: Engine, postgres_url: str) -> None:
    with Session(postgres) as session, session.begin():
        session.add(Order(id="1"))
        enqueue("m1")
        nested = session.begin_nested()
        enqueue("m2")
        nested.rollback()
        with session.begin_nested():
            enqueue("m3")
    assert rows(postgres_url) == ["m1", "m3"]


def test_without_a_transaction_there_is_nothing_to_join(engine: Engine) -> None:
    assert outbox.join() is None
    with Session(engine) as session:
        session.add(Order(id="1"))
        session.commit()
        assert outbox.join() is None


def test_a_core_connection_is_found(engine: Engine, sqlite_file: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO orders VALUES ('1')")
        assert enqueue("m1")
    assert rows(sqlite_file) == ["m1"]


def test_a_session_and_its_own_connection_are_one_transaction(
    engine: Engine, sqlite_file: Path
) -> None:
    with Session(engine) as session, session.begin():
        session.connection()
        session.add(Order(id="1"))
        session.flush()
        assert enqueue("m1")
    assert rows(sqlite_file) == ["m1"]


def test_two_open_transactions_are_refused_until_one_is_named(
    engine: Engine, postgres: Engine, sqlite_file: Path, postgres_url: str
) -> None:
    with Session(engine) as first, Session(postgres) as second, first.begin(), second.begin():
        with pytest.raises(OutboxRefused, match="2 transactions are open"):
            outbox.join()
        assert enqueue("m1", second)
        second.rollback()
        assert enqueue("m2")
    assert (rows(sqlite_file), rows(postgres_url)) == (["m2"], [])


def test_an_engine_nobody_watches_is_none_of_ours(tmp_path: Path, engine: Engine) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    with Session(other) as session, session.begin():
        assert outbox.join() is None
    other.dispose()


@pytest.mark.parametrize("factory", ["sessionmaker", "scoped_session"])
def test_a_factory_may_be_watched(sqlite_file: Path, factory: str) -> None:
    engine = create_engine(f"sqlite:///{sqlite_file}")
    made = sessions_of(engine)
    sessions = scoped_session(made) if factory == "scoped_session" else made
    outbox.watch(sessions)
    session = sessions()
    session.add(Order(id="1"))
    assert enqueue("m1")
    session.commit()
    session.close()
    engine.dispose()
    assert rows(sqlite_file) == ["m1"]


def test_a_factory_without_a_database_cannot_be_watched() -> None:
    with pytest.raises(OutboxRefused, match="names no database"):
        outbox.watch(sessions_of())


def test_a_scoped_session_can_be_named(sqlite_file: Path) -> None:
    engine = create_engine(f"sqlite:///{sqlite_file}")
    sessions = scoped_session(sessions_of(engine))
    sessions().add(Order(id="1"))
    assert enqueue("m1", sessions)
    sessions.commit()
    sessions.remove()
    engine.dispose()
    assert rows(sqlite_file) == ["m1"]


def test_autocommit_is_refused(engine: Engine, postgres: Engine) -> None:
    for one in (engine, postgres):
        with one.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.begin()
            joined = outbox.join(connection)
            assert joined is not None
            with pytest.raises(OutboxRefused, match="autocommit"):
                joined.put("mail", [put("m1")])


def test_a_closed_connection_is_refused(engine: Engine) -> None:
    connection = engine.connect()
    connection.close()
    joined = outbox.join(connection)
    assert joined is not None
    with pytest.raises(OutboxRefused, match="closed"):
        joined.put("mail", [put("m1")])


def test_a_transaction_of_another_thread_is_refused(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(Order(id="1"))
        context = copy_context()
        with ThreadPoolExecutor(1) as pool:
            # As a thread pool of a framework does, which copies the context of who asks.
            with pytest.raises(OutboxRefused, match="another thread or task"):
                pool.submit(context.run, outbox.join).result()
            assert pool.submit(outbox.join).result() is None


def test_a_session_begun_in_one_context_and_used_in_another_is_found(
    engine: Engine, sqlite_file: Path
) -> None:
    session = Session(engine)
    copy_context().run(session.begin)  # as a dependency that runs in a context of its own
    session.add(Order(id="1"))
    assert enqueue("m1")
    session.commit()
    session.close()
    assert rows(sqlite_file) == ["m1"]


def test_apart_enqueues_beside_an_open_transaction(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(Order(id="1"))
        with outbox.apart():
            assert outbox.join() is None
        assert outbox.join() is not None


def test_a_database_without_the_table_says_how_to_make_it(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/bare.db")
    with engine.begin() as connection, pytest.raises(OutboxMissing) as caught:
        enqueue("m1", connection)
    assert "python -m mergepoint.tasks.outbox" in caught.value.next
    engine.dispose()


def test_threads_have_transactions_of_their_own(engine: Engine, sqlite_file: Path) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Session(engine) as session, session.begin():
                session.add(Order(id=str(number)))
                assert enqueue(f"m{number}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(rows(sqlite_file)) == sorted(f"m{number}" for number in range(8))


def test_an_async_session_is_joined(postgres_url: str) -> None:
    async def shop() -> None:
        engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
        sessions = async_sessionmaker(engine)
        outbox.watch(sessions)
        for number, fails in enumerate((False, True, False)):
            async with sessions() as session:
                session.add(Order(id=str(number)))
                joined = outbox.join()
                assert joined is not None
                assert joined.asynchronous
                with pytest.raises(OutboxRefused, match="event loop"):
                    joined.put("mail", [put("never")])
                await joined.aput("mail", [put(f"m{number}")])
                await (session.rollback() if fails else session.commit())
        async with engine.begin() as connection:
            await connection.run_sync(lambda _: enqueue("m3"))
        async with engine.begin() as connection:
            named = outbox.join(connection)
            assert named is not None
            await named.aput("mail", [put("m4")])
        await engine.dispose()

    asyncio.run(shop())
    assert rows(postgres_url) == ["m0", "m2", "m3", "m4"]


def test_a_transaction_of_another_task_is_refused(postgres_url: str) -> None:
    async def shop() -> None:
        engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
        outbox.watch(engine)
        async with async_sessionmaker(engine)() as session:
            session.add(Order(id="1"))

            async def other() -> None:
                outbox.join()

            with pytest.raises(OutboxRefused, match="another thread or task"):
                await asyncio.create_task(other())
        await engine.dispose()

    asyncio.run(shop())
