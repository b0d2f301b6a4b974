"""What a collection keeps and finds, the same on every engine."""

from __future__ import annotations

import asyncio
import datetime
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mergepoint.data.documents.contract import Documents, Index, Updated
from mergepoint.data.errors import DataRefused, DocumentRefused, DuplicateKey, QueryRefused
from mergepoint.data.site import Data

sys.path.insert(0, str(Path(__file__).parent))
from collections_scene import (
    MONGODB,
    NOTES,
    SCHEMA,
    UTC,
    ids,
    is_lacking,
    kind,
    notes,
    open_notes,
    url,
)

__all__ = ["kind", "notes", "url"]


def test_a_document_comes_back_as_it_was_kept(notes: Documents) -> None:
    made = notes.insert({"n": None, "b": True, "i": 2**62, "f": 1.5, "s": "ü\n'\"\\"})
    assert isinstance(made, str)
    document = {"_id": made, "n": None, "b": True, "i": 2**62, "f": 1.5, "s": "ü\n'\"\\"}
    assert notes.find_one({"_id": made}) == document
    notes.insert_many(NOTES)
    assert notes.find({"_id": {"$in": [1, 2, "3", "4"]}}, sort="_id") == [
        NOTES[0], NOTES[1], NOTES[2], NOTES[3],
    ]  # fmt: skip
    assert notes.count() == 5
    assert sorted(map(str, ids(list(notes.stream())))) == sorted(["1", "2", "3", "4", made])


def test_numbers_keep_their_kind(notes: Documents) -> None:
    values = [1, 1.0, -0.5, 1e22, 1e-7, 123456789012345678, 1e300, 5e-324]
    notes.insert({"_id": "n", "values": values})
    found = notes.find_one({"_id": "n"})
    assert found is not None
    assert found["values"] == values
    assert list(map(type, found["values"])) == list(map(type, values))


FOUND = [
    ({}, [1, 2, "3", "4"]),
    ({"votes": 7}, [2]),
    ({"votes": {"$gt": 3}}, [2, "3"]),
    ({"votes": {"$gte": 3, "$lt": 7.5}}, [1, 2]),
    ({"votes": {"$ne": 7}}, [1, "3", "4"]),
    ({"votes": {"$in": [3, 7.5, None]}}, [1, "3", "4"]),
    ({"votes": {"$nin": [3, 7.5]}}, [2, "4"]),
    ({"votes": {"$exists": True}}, [1, 2, "3"]),
    ({"votes": {"$type": "double"}}, ["3"]),
    ({"votes": {"$mod": [4, 3]}}, [1, 2, "3"]),
    ({"votes": {"$not": {"$gt": 3}}}, [1, "4"]),
    ({"title": None}, ["4"]),
    ({"by.age": None}, [2, "3", "4"]),
    ({"by.name": "ann"}, [1]),
    ({"by": {"name": "bob"}}, [2]),
    ({"tags": "y"}, [1, "3"]),
    ({"tags": ["y"]}, ["3"]),
    ({"tags": []}, [2]),
    ({"tags": {"$size": 2}}, [1]),
    ({"tags": {"$all": ["x", "y"]}}, [1]),
    ({"tags.0": "y"}, ["3"]),
    ({"lines.n": 2}, ["3"]),
    ({"lines": {"$elemMatch": {"n": {"$gt": 1}}}}, ["3"]),
    ({"title": {"$regex": "^[AB]$", "$options": "i"}}, [1, 2]),
    ({"title": re.compile("c")}, ["3"]),
    ({"at": {"$gt": datetime.datetime(2026, 1, 1, tzinfo=UTC)}}, ["4"]),
    ({"$or": [{"votes": 3}, {"tags": "y"}]}, [1, "3"]),
    ({"$and": [{"votes": {"$gt": 3}}, {"tags": "y"}]}, ["3"]),
    ({"$nor": [{"votes": 3}, {"tags": "y"}]}, [2, "4"]),
    ({"_id": 1}, [1]),
    ({"_id": {"$in": ["3", 2, 99]}}, [2, "3"]),
    ({"_id": "1"}, []),
]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_finds_what_mongodb_documents_say(
    kind: str, notes: Documents, indexed: bool
) -> None:
    notes.insert_many(NOTES)
    if indexed:
        for field in ("votes", "title", "tags", "by.name", "lines.n"):
            notes.create_index(field)
    for query, expected in FOUND:
        if is_lacking(kind, query, ("$mod",)):
            continue
        assert ids(notes.find(query)) == expected, query
        assert notes.count(query) == len(expected), query


def test_sorting_skipping_and_choosing_fields(notes: Documents) -> None:
    notes.insert_many(NOTES)
    assert ids(notes.find(sort="-votes")) == ["3", 2, 1, "4"]
    assert ids(notes.find(sort=[("tags", 1), ("_id", -1)])) == [2, "4", 1, "3"]
    assert ids(notes.find(sort="votes", skip=1, limit=2)) == [1, 2]
    assert ids(notes.find(limit=2)) == [1, 2]
    assert notes.find_one({"_id": 1}, fields={"by.name": 1}) == {"_id": 1, "by": {"name": "ann"}}
    assert notes.find_one({"_id": 2}, fields={"by": 0, "tags": 0, "_id": 0}) == {
        "title": "b", "votes": 7,
    }  # fmt: skip
    assert notes.distinct("tags") == ["x", "y"]


REFUSED = [
    lambda n: n.find({"a": {"$near": 1}}),
    lambda n: n.find({"$where": "1"}),
    lambda n: n.find({"a": {"$gt": 1, "b": 2}}),
    lambda n: n.find({"a": {"$in": 1}}),
    lambda n: n.find({"a": {"$regex": "("}}),
    lambda n: n.find({"a": {"$type": "text"}}),
    lambda n: n.find({"a": b"bytes"}),
    lambda n: n.find({"": 1}),
    lambda n: n.find({"$or": []}),
    lambda n: n.find({}, skip=-1),
    lambda n: n.find({}, sort=[("a", 2)]),
    lambda n: n.update_one({}, {"a": 1}),
    lambda n: n.update_one({}, {"$bit": {"a": 1}}),
    lambda n: n.update_one({}, {"$set": {"a": 1, "a.b": 2}}),
    lambda n: n.update_one({}, {"$set": {"a.$": 1}}),
    lambda n: n.update_one({}, {"$inc": {"a": "x"}}),
    lambda n: n.replace_one({}, {"$set": {"a": 1}}),
    lambda n: n.aggregate([{"$lookup": {}}]),
    lambda n: n.aggregate([{"$group": {"_id": 1, "a": {"$stdDevPop": "$x"}}}]),
    lambda n: n.aggregate([{"$project": {"a": {"$function": {}}}}]),
    lambda n: n.create_index([]),
]


def test_what_is_not_understood_is_refused_and_nothing_done(notes: Documents) -> None:
    notes.insert({"_id": 1, "a": 5})
    for number, call in enumerate(REFUSED):
        with pytest.raises(QueryRefused):
            call(notes)
            pytest.fail(f"REFUSED[{number}] was taken")
    assert notes.find() == [{"_id": 1, "a": 5}]


BAD_DOCUMENTS: list[Any] = [
    {"a": b"x"}, {"a": 2**63}, {"a": float("nan")}, {"a": float("inf")}, {"a": "x\0"}, {"$a": 1},
    {"a.b": 1}, {"": 1}, {1: 2}, {"_id": None}, {"_id": True}, {"_id": [1]}, {"a": {1}}, [1],
    {"a": "\ud800"},
]  # fmt: skip


def test_a_document_that_cannot_be_kept_everywhere_is_refused_everywhere(
    notes: Documents,
) -> None:
    for document in BAD_DOCUMENTS:
        with pytest.raises(DocumentRefused):
            notes.insert(document)
            pytest.fail(f"{document!r} was taken")
    assert notes.count() == 0


def test_an_id_or_a_unique_value_is_there_once(kind: str, notes: Documents) -> None:
    notes.insert({"_id": 1, "mail": "a"})
    with pytest.raises(DuplicateKey, match="this _id"):
        notes.insert({"_id": 1})
    name = notes.create_index("mail", unique=True)
    assert notes.create_index("mail", unique=True) == name
    assert notes.indexes() == [Index("mail_1", (("mail", 1),), unique=True)]
    with pytest.raises(DuplicateKey, match="unique index"):
        notes.insert({"mail": "a"})
    notes.insert({"_id": 2})
    if kind != "server":  # FerretDB 1.24 has its own rules and errors here
        with pytest.raises(DuplicateKey):
            notes.insert({"_id": 3})
        with pytest.raises(DuplicateKey):
            notes.update_one({"_id": 2}, {"$set": {"mail": "a"}})
    notes.drop_index(name)
    notes.insert({"_id": 3, "mail": "a"})
    assert notes.indexes() == []


def test_a_schema_holds_for_everything_that_is_written(
    kind: str, request: pytest.FixtureRequest
) -> None:
    notes = open_notes(kind, request, schema=SCHEMA)
    notes.insert({"_id": 1, "title": "a", "votes": 0})
    with pytest.raises(DocumentRefused, match="'title' is a required property"):
        notes.insert({"votes": 1})
    with pytest.raises(DocumentRefused, match="votes: -1 is less than the minimum"):
        notes.replace_one({"_id": 1}, {"title": "b", "votes": -1})
    refused = DataRefused if kind in MONGODB else DocumentRefused
    with pytest.raises(refused):
        notes.update_one({"_id": 1}, {"$inc": {"votes": -1}})
    assert notes.find() == [{"_id": 1, "title": "a", "votes": 0}]
    with pytest.raises(DataRefused, match="the schema of notes is wrong"):
        open_notes(kind, request, schema={"type": "thing"})


def test_more_than_the_bounds_is_refused(kind: str, request: pytest.FixtureRequest) -> None:
    notes = open_notes(kind, request, bounds={"documents_max": 5, "document_bytes_max": 200})
    notes.insert_many([{"n": n} for n in range(6)])
    with pytest.raises(QueryRefused, match="more than 5 documents"):
        notes.find()
    assert len(notes.find(limit=5)) == 5
    assert [one["n"] for one in notes.find(sort="-n", limit=2)] == [5, 4]
    with pytest.raises(DocumentRefused, match="it may have 200"):
        notes.insert({"text": "x" * 200})
    assert len(list(notes.stream())) == 6


def test_coroutines_have_every_method(kind: str, notes: Documents, request) -> None:
    async def work() -> None:
        assert await notes.ainsert({"_id": 1, "a": 1}) == 1  # type: ignore[attr-defined]
        assert await notes.aupdate_one({"_id": 1}, {"$inc": {"a": 1}}) == Updated(1, 1)  # type: ignore[attr-defined]
        assert await notes.afind({"a": 2}) == [{"_id": 1, "a": 2}]
        await notes.ainsert_many([{"_id": n} for n in range(2, 1205)])  # type: ignore[attr-defined]
        assert len([one async for one in notes.astream()]) == 1204
        assert await notes.acount() == 1204  # type: ignore[attr-defined]
        if kind not in MONGODB:
            await notes._data.aclose()  # type: ignore[attr-defined]

    asyncio.run(work())


def test_documents_and_tables_commit_together(kind: str, url: str, make_data) -> None:
    if kind in MONGODB:
        pytest.skip("powers.joins_transactions is False")
    data: Data = make_data()
    notes = data.documents("notes")
    with data.session() as session:
        session.execute(text("CREATE TABLE orders (id int)"))
    with pytest.raises(KeyError), data.transaction():
        data.session().execute(text("INSERT INTO orders VALUES (1)"))
        notes.insert({"_id": 1})
        assert notes.count() == 1
        raise KeyError
    with data.session() as session:
        assert session.scalar(text("SELECT count(*) FROM orders")) == 0
    assert notes.count() == 0
    with data.transaction():
        notes.insert({"_id": 1})
        with pytest.raises(DuplicateKey):
            notes.insert({"_id": 1})
        notes.insert({"_id": 2})
    assert ids(notes.find()) == [1, 2]


def test_an_index_is_used_for_what_it_is_over(kind: str, url: str, make_data) -> None:
    if kind in MONGODB:
        pytest.skip("the server's own affair")
    from mergepoint.data.documents.prefilter import where

    data: Data = make_data()
    notes = data.documents("notes")
    notes.insert_many([{"_id": n, "votes": n, "by": {"name": f"u{n}"}} for n in range(3000)])
    notes.create_index("votes")
    notes.create_index("by.name")
    with data.session() as session:
        session.execute(text("ANALYZE"))
        for query in ({"votes": 5}, {"votes": {"$lt": 3}}, {"by.name": "u7"}, {"_id": 9}):
            found = where(query, kind)
            explain = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
            sql = f"{explain} SELECT body FROM documents_notes WHERE {found.sql} ORDER BY place + 0"
            plan = "\n".join(str(row) for row in session.execute(text(sql), found.values))
            assert "Seq Scan" not in plan, plan
            assert "SCAN documents_notes" not in plan, plan
