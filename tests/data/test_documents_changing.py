"""What updates and pipelines do, the same on every engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mergepoint.data.documents.contract import Documents, Updated

sys.path.insert(0, str(Path(__file__).parent))
from collections_scene import (
    NOTES,
    is_lacking,
    kind,
    notes,
    url,
)

__all__ = ["kind", "notes", "url"]


UPDATES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"a": 1}, {"$set": {"b.c": 2}}, {"a": 1, "b": {"c": 2}}),
    ({"a": {"b": 1, "c": 2}}, {"$unset": {"a.b": ""}}, {"a": {"c": 2}}),
    ({"a": 1}, {"$inc": {"a": 2, "b": -1}}, {"a": 3, "b": -1}),
    ({"a": 3}, {"$mul": {"a": 2, "b": 5}}, {"a": 6, "b": 0}),
    ({"a": 3, "b": 3}, {"$min": {"a": 2}, "$max": {"b": 2}}, {"a": 2, "b": 3}),
    ({"a": 1}, {"$rename": {"a": "b"}}, {"b": 1}),
    ({"a": [1]}, {"$push": {"a": 2}}, {"a": [1, 2]}),
    ({"a": [3, 1]}, {"$push": {"a": {"$each": [2], "$sort": 1, "$slice": 2}}}, {"a": [1, 2]}),
    ({"a": [1]}, {"$push": {"a": {"$each": [8, 9], "$position": 0}}}, {"a": [8, 9, 1]}),
    ({"a": [1]}, {"$addToSet": {"a": {"$each": [1, 2]}}}, {"a": [1, 2]}),
    ({"a": [1, 5, 7]}, {"$pull": {"a": {"$gt": 4}}}, {"a": [1]}),
    ({"a": [{"n": 1}, {"n": 2}]}, {"$pull": {"a": {"n": 1}}}, {"a": [{"n": 2}]}),
    ({"a": [1, 2, 1]}, {"$pullAll": {"a": [1]}}, {"a": [2]}),
    ({"a": [1, 2]}, {"$pop": {"a": -1}}, {"a": [2]}),
    ({"a": [{"n": 1}]}, {"$set": {"a.0.n": 5}}, {"a": [{"n": 5}]}),
]


def test_an_update_changes_what_it_says(kind: str, notes: Documents) -> None:
    for number, (before, update, after) in enumerate(UPDATES):
        if is_lacking(kind, update, ("$mul",)):
            continue
        notes.insert({"_id": number, **before})
        assert notes.update_one({"_id": number}, update) == Updated(1, 1), update
        assert notes.find_one({"_id": number}) == {"_id": number, **after}, update


def test_changing_many_upserting_replacing_and_removing(notes: Documents) -> None:
    notes.insert_many(NOTES)
    assert notes.update_many({"votes": {"$gte": 7}}, {"$inc": {"votes": 1}}) == Updated(2, 2)
    assert notes.update_many({"votes": 3}, {"$set": {"votes": 3}}) == Updated(1, 0)
    assert notes.update_one({"_id": "none"}, {"$set": {"a": 1}}) == Updated(0, 0)
    done = notes.update_one(
        {"title": "new", "votes": {"$gt": 5}}, {"$set": {"a": 1}, "$setOnInsert": {"b": 2}},
        upsert=True,
    )  # fmt: skip
    assert (done.matched, done.modified) == (0, 0)
    assert notes.find_one({"title": "new"}) == {
        "_id": done.upserted_id, "title": "new", "a": 1, "b": 2,
    }  # fmt: skip
    assert notes.replace_one({"_id": 2}, {"only": 1}) == Updated(1, 1)
    assert notes.find_one({"_id": 2}) == {"_id": 2, "only": 1}
    assert notes.replace_one({"_id": "r"}, {"n": 1}, upsert=True).upserted_id == "r"
    assert notes.delete_one({"_id": 1}) == 1
    assert notes.delete_one({"_id": 1}) == 0
    assert notes.delete_many({}) == 5
    assert notes.count() == 0


AGGREGATES: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [
    ([{"$match": {"votes": {"$gt": 3}}}, {"$count": "n"}], [{"n": 2}]),
    (
        [
            {"$unwind": "$tags"},
            {"$group": {"_id": "$tags", "n": {"$sum": 1}, "most": {"$max": "$votes"}}},
            {"$sort": {"_id": 1}},
        ],
        [{"_id": "x", "n": 1, "most": 3}, {"_id": "y", "n": 2, "most": 7.5}],
    ),
    (
        [
            {"$match": {"votes": {"$exists": True}}},
            {"$group": {"_id": None, "mean": {"$avg": "$votes"}, "all": {"$push": "$title"}}},
        ],
        [{"_id": None, "mean": 17.5 / 3, "all": ["a", "b", "c"]}],
    ),
    (
        [
            {"$match": {"_id": {"$in": [1, 2]}}},
            {"$project": {"_id": 0, "who": {"$toUpper": "$by.name"}, "v": {"$add": ["$votes", 1]}}},
        ],
        [{"who": "ANN", "v": 4}, {"who": "BOB", "v": 8}],
    ),
    (
        [
            {"$match": {"_id": 1}},
            {"$addFields": {"big": {"$cond": [{"$gte": ["$votes", 3]}, "yes", "no"]}}},
            {"$unset": ["tags", "by", "title"]},
        ],
        [{"_id": 1, "votes": 3, "big": "yes"}],
    ),
    (
        [{"$match": {"by": {"$exists": True}}}, {"$replaceRoot": {"newRoot": "$by"}}],
        [{"name": "ann", "age": 30}, {"name": "bob"}],
    ),
    ([{"$sort": {"votes": -1}}, {"$skip": 1}, {"$limit": 1}, {"$project": {"votes": 1}}],
     [{"_id": 2, "votes": 7}]),
    (
        [{"$unwind": "$tags"}, {"$sortByCount": "$tags"}, {"$limit": 1}],
        [{"_id": "y", "count": 2}],
    ),
]  # fmt: skip


def test_a_pipeline_gives_what_its_stages_say(kind: str, notes: Documents) -> None:
    notes.insert_many(NOTES)
    for stages, expected in AGGREGATES:
        if not is_lacking(kind, stages, ("$unset", "$sortByCount")):
            assert notes.aggregate(stages) == expected, stages
