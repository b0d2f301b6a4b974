"""What a session promises, in a request's transaction and outside of one."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from mergepoint.data.errors import DataError, DataRefused, ReadOnly
from mergepoint.data.site import Data

ADD = text("INSERT INTO orders (id) VALUES (:id)")


@pytest.fixture(autouse=True)
def orders(data: Data) -> None:
    with data.session() as session:
        session.execute(text("CREATE TABLE orders (id text PRIMARY KEY)"))


def ids(data: Data) -> list[str]:
    with data.session(read_only=True) as session:
        return list(session.scalars(text("SELECT id FROM orders ORDER BY id")))


def test_a_with_block_outside_of_a_request_is_one_transaction(data: Data) -> None:
    with data.session() as session:
        session.execute(ADD, {"id": "a"})
    with pytest.raises(KeyError), data.session() as session:
        session.execute(ADD, {"id": "b"})
        raise KeyError

    assert ids(data) == ["a"]


def test_everything_in_a_unit_is_committed_together_or_not_at_all(data: Data) -> None:
    with data.transaction():
        with data.session() as session:
            session.execute(ADD, {"id": "a"})
        with data.session() as session:
            session.execute(ADD, {"id": "b"})
        assert ids(data) == []
    with pytest.raises(KeyError), data.transaction():
        data.session().execute(ADD, {"id": "c"})
        raise KeyError

    assert ids(data) == ["a", "b"]


def test_a_block_that_fails_within_a_unit_undoes_itself_alone(data: Data) -> None:
    with data.transaction():
        data.session().execute(ADD, {"id": "a"})
        with pytest.raises(IntegrityError), data.session() as session:
            session.execute(ADD, {"id": "b"})
            session.execute(ADD, {"id": "a"})
        data.session().execute(ADD, {"id": "c"})

    assert ids(data) == ["a", "c"]


def test_coroutines_have_the_same_promises(data: Data) -> None:
    async def work() -> None:
        async with data.asession() as session:
            await session.execute(ADD, {"id": "a"})
        with pytest.raises(KeyError):
            async with data.atransaction():
                async with data.asession() as session:
                    await session.execute(ADD, {"id": "b"})
                raise KeyError
        async with data.atransaction():
            await data.asession().execute(ADD, {"id": "c"})
            with pytest.raises(IntegrityError):
                async with data.asession() as session:
                    await session.execute(ADD, {"id": "a"})
        await data.aclose()

    asyncio.run(work())

    assert ids(data) == ["a", "c"]


def test_a_transaction_can_stand_above_a_function(data: Data) -> None:
    @data.transaction()
    def add(id_: str, fails: bool) -> None:
        data.session().execute(ADD, {"id": id_})
        if fails:
            raise KeyError

    @data.atransaction()
    async def aadd(id_: str) -> None:
        await data.asession().execute(ADD, {"id": id_})

    async def work() -> None:
        await aadd("c")
        await aadd("d")
        await data.aclose()

    add("a", False)
    with pytest.raises(KeyError):
        add("b", True)
    asyncio.run(work())

    assert ids(data) == ["a", "c", "d"]


def test_a_read_only_session_refuses_writes_and_the_next_one_takes_them(data: Data) -> None:
    with pytest.raises(DataError) as refused, data.session(read_only=True) as session:
        try:
            session.execute(ADD, {"id": "a"})
        except Exception as error:
            from mergepoint.data.failures import meaning

            found = meaning(error.orig)  # type: ignore[attr-defined]
            assert found is not None
            raise found from error
    assert isinstance(refused.value, ReadOnly)
    with data.session() as session:
        session.execute(ADD, {"id": "b"})

    assert ids(data) == ["b"]


def test_a_repeatable_session_sees_one_moment(data: Data) -> None:
    with data.session(repeatable=True) as session:
        before = list(session.scalars(text("SELECT id FROM orders")))
        with data.session() as other:
            other.execute(ADD, {"id": "a"})
        after = list(session.scalars(text("SELECT id FROM orders")))

    assert before == after == []
    assert ids(data) == ["a"]


def test_a_transaction_that_failed_silently_is_not_reported_as_committed(
    data: Data, kind: str
) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite undoes the statement alone")
    with pytest.raises(DataRefused, match="nothing of it can be committed"), data.transaction():
        data.session().execute(ADD, {"id": "a"})
        with pytest.raises(Exception, match="nonsense"):
            data.session().execute(text("SELECT nonsense"))

    assert ids(data) == []


def test_after_a_unit_has_ended_nothing_is_written(data: Data) -> None:
    from mergepoint.data import units

    unit = units.Unit()
    with units.entered(unit):
        data.session().execute(ADD, {"id": "a"})
        unit.end(good=True)
        with pytest.raises(Exception, match=r"read-?only"):
            data.session().execute(ADD, {"id": "b"})
    unit.close()

    assert ids(data) == ["a"]


def test_a_database_that_is_not_there_is_named_with_those_that_are(data: Data) -> None:
    with pytest.raises(DataRefused, match=r"no database 'shop'; there are main"):
        data.session("shop")


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "::"])
def test_an_address_that_cannot_work_is_refused(bad: str, make_data) -> None:
    with pytest.raises(DataRefused):
        make_data(url=bad).engine()
