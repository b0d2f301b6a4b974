"""Conditions that pin a statement to rows, and all that do not: judged by what SQLite answers."""

from __future__ import annotations

import datetime
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergepoint.cache.moments import is_of_the_moment, tells_the_time
from mergepoint.cache.pins import calls_anything, pinned


@pytest.mark.parametrize(
    ("sql", "parameters", "pin"),
    [
        ("SELECT * FROM t WHERE id = ?", (4,), ("t", "id", (4,))),
        ('SELECT "t"."a" FROM "t" WHERE "t"."id" = %s LIMIT 21', (4,), ("t", "id", (4,))),
        ("select a from t as x where x.slug = 'home'", (), ("t", "slug", ("home",))),
        ("SELECT a FROM t WHERE t.id = %(pk_1)s::INTEGER", {"pk_1": 7}, ("t", "id", (7,))),
        ("SELECT a FROM t WHERE a > ? AND (id = ?)", (1, 2), ("t", "id", (2,))),
        ("SELECT a FROM t WHERE (a = 1 AND owner_id = :o)", {"o": 2}, ("t", "owner_id", (2,))),
        ("SELECT a FROM t WHERE id IN (?, ?, 9) ORDER BY a", (1, 2), ("t", "id", (1, 2, 9))),
        ("SELECT a FROM t WHERE (id = ? OR id = ?)", (1, 2), ("t", "id", (1, 2))),
        ("SELECT a FROM app.t WHERE id = 1 FOR UPDATE", (), ("app.t", "id", (1,))),
        ("SELECT a FROM t WHERE id = ?2 AND a > ?1", (1, 2), ("t", "id", (2,))),
        ("SELECT a FROM t WHERE a IS NOT NULL AND id = 3", (), ("t", "id", (3,))),
        ("SELECT a FROM t WHERE (t.id) IN ((%s), (%s))", (1, 2), ("t", "id", (1, 2))),
        ("SELECT a FROM t WHERE id = ? OR b = ?", (1, 2), None),
        ("SELECT a FROM t WHERE id = ? OR a = 1 AND id = 2", (1,), None),
        ("SELECT a FROM t WHERE NOT id = 1", (), None),
        ("SELECT a FROM t WHERE NOT (id = 1 AND a = 2)", (), None),
        ("SELECT a FROM t WHERE id NOT IN (1, 2)", (), None),
        ("SELECT a FROM t WHERE a BETWEEN 1 AND id = 2", (), None),
        ("SELECT a FROM t WHERE id = 1 + 1", (), None),
        ("SELECT a FROM t WHERE id = -1", (), None),
        ("SELECT a FROM t WHERE id = 1.5", (), None),
        ("SELECT a FROM t WHERE id = ?", (1.0,), None),
        ("SELECT a FROM t WHERE id = ?", (True,), None),
        ("SELECT a FROM t WHERE id = ?", ("01",), None),
        ("SELECT a FROM t WHERE id = ?", (" 1",), None),
        ("SELECT a FROM t WHERE id = ?", (None,), None),
        ("SELECT a FROM t WHERE id = ?", (), None),
        ("SELECT a FROM t WHERE id = other", (), None),
        ("SELECT a FROM t WHERE lower(id) = 'a'", (), None),
        ("SELECT a FROM t, u WHERE t.id = 1", (), None),
        ("SELECT a FROM t JOIN u USING (id) WHERE t.id = 1", (), None),
        ("SELECT (SELECT max(b) FROM t) FROM t WHERE id = 1", (), None),
        ("SELECT a FROM t WHERE id = 1 UNION SELECT a FROM t", (), None),
        ("SELECT a, secret(b) FROM t WHERE id = 1", (), None),
        ("SELECT sum(a) OVER (ORDER BY a) FROM t WHERE id = 1", (), None),
        ("WITH x AS (SELECT 1) SELECT a FROM t WHERE id = 1", (), None),
        ("SELECT a FROM t WHERE id = 1 COLLATE NOCASE", (), None),
        ("SELECT a FROM t WHERE b = 'x%s' AND id = %s", (1, 2), None),
        ("SELECT a FROM t WHERE uuid = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", (), None),
        ("UPDATE t SET a = 1 WHERE id = 1", (), None),
        ("SELECT a FROM t", (), None),
    ],
)
def test_only_an_equality_that_all_rows_must_meet_pins(sql: str, parameters: Any, pin: Any) -> None:
    assert pinned(sql, parameters) == pin


NOW_S = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC).timestamp()
COMPARISONS = ["a = {}", "b = {}", "a > {}", "b <> {}", "a IN ({}, 1)", "NOT a = {}", "a IS NULL"]
conditions = st.recursive(
    st.builds(lambda text, n: text.format(n), st.sampled_from(COMPARISONS), st.integers(0, 3)),
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("{} AND {}".format, inner, inner),
        st.builds("{} OR {}".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a integer, b integer)")
    values = [None, 0, 1, 2, 3]
    db.executemany("INSERT INTO t VALUES (?, ?)", [(a, b) for a in values for b in values])
    return db


@given(conditions)
@settings(max_examples=500, deadline=None)
def test_no_row_outside_of_a_pin_is_ever_seen(database: sqlite3.Connection, where: str) -> None:
    sql = f"SELECT a, b FROM t WHERE {where}"
    pin = pinned(sql, ())
    if pin is not None:
        column = "ab".index(pin[1])
        assert {row[column] for row in database.execute(sql)} <= set(pin[2])


@given(st.text(max_size=60), st.lists(st.integers() | st.text(max_size=5), max_size=3))
@settings(max_examples=300)
def test_any_text_is_read_without_an_error(text: str, parameters: list[Any]) -> None:
    pinned(text, parameters)
    pinned("SELECT a FROM t WHERE " + text, parameters)
    calls_anything(text)


@pytest.mark.parametrize(
    ("sql", "does"),
    [
        ("SELECT now()", True),
        ("SELECT datetime('now', '-1 day')", True),
        ("SELECT a FROM t WHERE at > CURRENT_TIMESTAMP", True),
        ("SELECT a FROM t ORDER BY random()", True),
        ("SELECT date(created) FROM t", False),
        ("SELECT known FROM t WHERE nowhere = 1", False),
    ],
)
def test_statements_that_ask_for_the_time_are_told(sql: str, does: bool) -> None:
    assert tells_the_time(sql) is does


@pytest.mark.parametrize(
    ("value", "does"),
    [
        ("2020-05-01 10:00:00.123456", True),
        ("2020-05-01 10:00:00.000000", False),
        ("2020-05-01", False),
        ("2020-05-01 is a day", False),
        ("text", False),
        (5, False),
    ],
)
def test_moments_with_a_fraction_come_from_a_clock(value: Any, does: bool) -> None:
    assert is_of_the_moment((value,), NOW_S) is does
    assert is_of_the_moment({"a": value}, NOW_S) is does


def test_what_is_of_these_days_comes_from_a_clock() -> None:
    assert is_of_the_moment([datetime.date(2026, 5, 2)], NOW_S)
    assert is_of_the_moment(["2026-04-30"], NOW_S)
    assert is_of_the_moment([datetime.datetime(2026, 5, 1, 9, 0)], NOW_S)
    assert not is_of_the_moment([datetime.date(2026, 5, 3)], NOW_S)
