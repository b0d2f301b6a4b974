"""Random queries: SQLite, PostgreSQL and mongomock give the same answers.

Where mongomock differs from the MongoDB manual it is not asked:
* it compares values of different types with `$gt` and its kin as Python does, or raises;
* it sorts lists by Python's order, not by their least or most element;
* it takes true for 1 in equality, as Python does; so there are no booleans beside numbers here;
* it finds a scalar to have `$size` 1;
* it lets `$type`, `$mod` and `$mul` out;
* `$exists` and null below a scalar in a list follow other rules; so lists here hold documents or
  scalars, not both, and paths do not go below lists of scalars.
"""

from __future__ import annotations

import copy
from typing import Any

import mongomock
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mergepoint_testkit.postgres import Postgres

from mergepoint.core.clock import SystemClock
from mergepoint.data.config import Bounds, of_urls
from mergepoint.data.documents.match import matcher
from mergepoint.data.documents.mongo import MongoDocuments
from mergepoint.data.documents.values import decode, encode
from mergepoint.data.site import Data

EXAMPLES = 25
numbers = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.5])
words = st.sampled_from(["", "a", "b", "ab", "ä"])
scalars = numbers | words | st.none()
fields = st.sampled_from(["a", "b", "c"])
inner = st.dictionaries(st.sampled_from(["x", "y"]), scalars, max_size=2)
values = (
    scalars
    | st.lists(scalars, max_size=3)
    | inner
    | st.lists(
        st.dictionaries(st.sampled_from(["x", "y"]), scalars, min_size=1), min_size=1, max_size=3
    )
)
documents = st.lists(st.dictionaries(fields, values, max_size=3), max_size=6)
plain_paths = fields


def comparison(value: Any) -> Any:
    return st.sampled_from(["$gt", "$gte", "$lt", "$lte"]).map(lambda sign: {sign: value})


conditions = (
    scalars
    | scalars.map(lambda v: {"$ne": v})
    | st.lists(scalars, max_size=3).map(lambda v: {"$in": v})
    | st.lists(scalars, max_size=3).map(lambda v: {"$nin": v})
    | st.booleans().map(lambda v: {"$exists": v})
    | st.lists(scalars, min_size=1, max_size=2).map(lambda v: {"$all": v})
    | st.sampled_from(["a", "^b", "^$"]).map(lambda v: {"$regex": v})
    | scalars.map(lambda v: {"$not": {"$in": [v]}})
)
clauses = st.dictionaries(plain_paths, conditions, max_size=2)
queries = st.recursive(
    clauses,
    lambda each: st.tuples(
        st.sampled_from(["$and", "$or", "$nor"]), st.lists(each, min_size=1, max_size=3)
    ).map(lambda pair: {pair[0]: pair[1]}),
    max_leaves=4,
)
number_queries = st.dictionaries(
    st.sampled_from(["n", "m"]),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]), numbers).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    max_size=2,
)


@pytest.fixture(scope="module")
def stores(server: Postgres, tmp_path_factory: pytest.TempPathFactory):
    file = tmp_path_factory.mktemp("oracle") / "o.db"
    data = Data(
        of_urls({"lite": f"sqlite:///{file}", "pg": server.create("oracle")}), SystemClock()
    )
    made = [data.documents("notes", "lite"), data.documents("notes", "pg")]
    for one in made:
        one.insert({"_id": "first"})
        for field in ("a", "b", "n"):
            one.create_index(field)
    yield made
    data.close()


def filled(stores: list[Any], rows: list[dict[str, Any]]) -> tuple[list[Any], Any]:
    with_ids = [{"_id": number, **row} for number, row in enumerate(rows)]
    oracle = MongoDocuments(mongomock.MongoClient("mongodb://x/y"), "notes", Bounds())
    for one in [*stores, oracle]:
        one.delete_many({})
        if with_ids:
            one.insert_many(copy.deepcopy(with_ids))
    return stores, oracle


quiet = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


@quiet
@given(rows=documents, query=queries)
def test_random_filters_find_the_same_everywhere(stores, rows, query) -> None:
    made, oracle = filled(stores, rows)
    expected = oracle.find(query)

    for one in made:
        assert one.find(query) == expected
        assert one.count(query) == len(expected)


@quiet
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["n", "m"]), numbers, max_size=2), max_size=6),
    query=number_queries,
    sort=st.sampled_from([[("n", 1)], [("n", -1), ("m", 1)], [("m", -1)]]),
    skip=st.integers(0, 2),
    limit=st.integers(0, 3),
)
def test_random_comparisons_and_sorting_are_the_same(stores, rows, query, sort, skip, limit):
    made, oracle = filled(stores, rows)
    how = {"sort": [*sort, ("_id", 1)], "skip": skip, "limit": limit}

    for one in made:
        assert one.find(query, **how) == oracle.find(query, **how)


updates = st.one_of(
    st.dictionaries(fields, values, min_size=1, max_size=2).map(lambda v: {"$set": v}),
    st.dictionaries(fields, st.just(""), min_size=1).map(lambda v: {"$unset": v}),
    st.integers(-2, 2).map(lambda v: {"$inc": {"n": v}}),
    st.integers(-2, 2).map(lambda v: {"$max": {"n": v}}),
    scalars.map(lambda v: {"$push": {"list": v}}),
    st.lists(scalars, max_size=3).map(lambda v: {"$push": {"list": {"$each": v, "$slice": -2}}}),
    scalars.map(lambda v: {"$addToSet": {"list": v}}),
    scalars.map(lambda v: {"$pull": {"list": v}}),
    st.sampled_from([1, -1]).map(lambda v: {"$pop": {"list": v}}),
)


@quiet
@given(
    rows=st.lists(
        st.fixed_dictionaries({"n": st.integers(-3, 3), "list": st.lists(scalars, max_size=3)}),
        max_size=4,
    ),
    query=number_queries,
    changes=st.lists(updates, max_size=3),
    many=st.booleans(),
)
def test_random_updates_leave_the_same(stores, rows, query, changes, many) -> None:
    made, oracle = filled(stores, rows)
    for change in changes:
        for one in [*made, oracle]:
            (one.update_many if many else one.update_one)(query, change)

    expected = oracle.find({}, sort="_id")
    for one in made:
        assert one.find({}, sort="_id") == expected


any_scalar = scalars | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
any_value = st.recursive(
    any_scalar,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(fields, each, max_size=3),
    max_leaves=6,
)
any_condition = st.one_of(
    any_scalar,
    any_scalar.flatmap(comparison),
    any_value.map(lambda v: {"$eq": v}),
    st.sampled_from(["int", "double", "string", "array", "object", "bool", "null"]).map(
        lambda v: {"$type": v}
    ),
    st.dictionaries(fields, any_scalar, min_size=1, max_size=1).map(lambda v: {"$elemMatch": v}),
    st.tuples(st.sampled_from([2, 3, -2]), st.integers(-2, 2)).map(lambda v: {"$mod": list(v)}),
)
any_path = st.sampled_from(["a", "b", "a.b", "a.0", "b.c", "a.b.c", "a.1.b"])


@quiet
@given(
    rows=st.lists(st.dictionaries(fields, any_value, max_size=3), max_size=6),
    query=st.dictionaries(any_path, any_condition, min_size=1, max_size=2),
)
def test_what_the_database_leaves_out_would_not_have_matched(stores, rows, query) -> None:
    made, _ = filled(stores, rows)
    match = matcher(query)
    expected = [one for n, row in enumerate(rows) if match(one := {"_id": n, **row})]

    for one in made:
        assert one.find(query) == expected


@given(any_value)
def test_json_gives_back_the_same_value_of_the_same_type(value) -> None:
    back = decode(encode(value))

    assert repr(back) == repr(value)
