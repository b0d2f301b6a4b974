"""Collections on every engine, for the tests of documents."""

from __future__ import annotations

import datetime
import os
from typing import Any

import mongomock
import pytest

from mergepoint.data.config import Bounds, Database
from mergepoint.data.documents.contract import Documents
from mergepoint.data.documents.mongo import MongoDocuments, client_of

UTC = datetime.UTC
SCHEMA = {
    "type": "object",
    "required": ["title"],
    "properties": {"title": {"type": "string"}, "votes": {"type": "integer", "minimum": 0}},
}
NOTES = [
    {"_id": 1, "title": "a", "votes": 3, "tags": ["x", "y"], "by": {"name": "ann", "age": 30}},
    {"_id": 2, "title": "b", "votes": 7, "tags": [], "by": {"name": "bob"}},
    {"_id": "3", "title": "c", "votes": 7.5, "tags": ["y"], "lines": [{"n": 1}, {"n": 2}]},
    {"_id": "4", "title": None, "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)},
]


SERVER = os.environ.get("MERGEPOINT_TEST_MONGODB", "")
"""A MongoDB server, or another one that speaks as it does: its address, with a database."""


@pytest.fixture(params=["sqlite", "postgresql", "mongodb", *(["server"] if SERVER else [])])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(kind: str, tmp_path, request: pytest.FixtureRequest) -> str:
    """The base of `make_data`; a MongoDB collection has none."""
    if kind == "postgresql":
        return request.getfixturevalue("empty_postgres")
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture
def notes(kind: str, request: pytest.FixtureRequest) -> Documents:
    return open_notes(kind, request)


def open_notes(kind: str, request: pytest.FixtureRequest, **how: Any) -> Documents:
    if kind == "mongodb":
        client: Any = mongomock.MongoClient("mongodb://server/shop", tz_aware=True)
        return MongoDocuments(client, "notes", Bounds(**how.pop("bounds", {})), **how)  # type: ignore[return-value]
    if kind == "server":
        client = client_of(Database("mongo", SERVER))
        client.get_default_database()["notes"].drop()
        return MongoDocuments(client, "notes", Bounds(**how.pop("bounds", {})), **how)  # type: ignore[return-value]
    data = request.getfixturevalue("make_data")(**how.pop("bounds", {}))
    return data.documents("notes", **how)


MONGODB = ("mongodb", "server")
NOT_IN_FERRETDB = (
    "$position", "$slice", "$pull'", "$max", "$avg", "$toUpper", "$cond", "$replaceRoot",
    "$sortByCount", "$elemMatch': {'n': {'$gt",
)  # fmt: skip
"""What FerretDB 1.24 does not know, or answers unlike MongoDB's manual."""


def is_lacking(kind: str, told: Any, in_mongomock: tuple[str, ...] = ()) -> bool:
    """Tell whether the stand-in for a MongoDB server cannot be asked this."""
    lacking = {"mongodb": in_mongomock, "server": NOT_IN_FERRETDB}.get(kind, ())
    return any(sign in str(told) for sign in lacking)


def ids(found: list[dict[str, Any]]) -> list[Any]:
    return [one["_id"] for one in found]
