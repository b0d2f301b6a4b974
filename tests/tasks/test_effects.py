"""Marks of effects: part of the transaction that has the effect, whatever drives the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from mergepoint.bus.errors import NotCapable
from mergepoint.tasks.context import Context
from mergepoint.tasks.effects import mark_in


def test_a_mark_is_set_once_and_forgotten_with_its_transaction(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "app.db")
    assert mark_in(database, "t", "mail") is True
    assert mark_in(database, "t", "mail") is False
    assert mark_in(database, "t", "other") is True
    assert mark_in(database, "other", "mail") is True
    database.rollback()
    assert mark_in(database, "t", "mail") is True
    database.commit()
    database.close()

    again = sqlite3.connect(tmp_path / "app.db")
    assert mark_in(again, "t", "mail") is False
    again.close()


@pytest.mark.parametrize("kind", ["connection", "session"])
def test_a_mark_belongs_to_the_transaction_of_sqlalchemy(tmp_path: Path, kind: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'app.db'}")

    def opened() -> Any:
        return engine.connect() if kind == "connection" else Session(engine)

    with opened() as first:
        assert mark_in(first, "t", "mail") is True
        first.rollback()
    with opened() as second:
        assert mark_in(second, "t", "mail") is True
        second.commit()
    with opened() as third:
        assert mark_in(third, "t", "mail") is False
    engine.dispose()


def test_an_effect_that_fails_is_not_marked() -> None:
    database = sqlite3.connect(":memory:")
    context = Context(id="t", name="n")
    with pytest.raises(ValueError, match="boom"), database, context.once("mail", database) as one:
        assert one
        raise ValueError("boom")
    with database, context.once("mail", database) as again:
        assert again


def test_a_connection_that_is_not_known_is_refused() -> None:
    with pytest.raises(NotCapable, match="knows no connections") as refused:
        mark_in(object(), "t", "mail")
    assert refused.value.next
