"""A collection of JSON documents: one contract, on SQLite, PostgreSQL and MongoDB.

Place:  [documents.contract] <- documents.collection, documents.mongo, apps
Rule:   a leaf. What a name means is MongoDB's; what is not listed here is refused, never ignored.

A value is None, bool, int (64 bit), float (finite), str (without NUL), datetime (milliseconds,
UTC), list or dict; the order of a dict's fields means nothing. `_id` is a str or an int; without
one a document is given a random str. Without `sort`, documents come in the order they were inserted
(MongoDB: mostly).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Document = dict[str, Any]
Filter = Mapping[str, Any]
Sort = str | Sequence[tuple[str, int]]
"""`"votes"`, `"-votes"`, or `[("votes", -1), ("_id", 1)]`."""
Id = str | int

FILTER_OPERATORS = (
    "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$type", "$regex",
    "$options", "$mod", "$all", "$elemMatch", "$size", "$not",
)  # fmt: skip
LOGICAL_OPERATORS = ("$and", "$or", "$nor")
UPDATE_OPERATORS = (
    "$set", "$setOnInsert", "$unset", "$inc", "$mul", "$min", "$max", "$rename", "$push",
    "$addToSet", "$pull", "$pullAll", "$pop",
)  # fmt: skip
STAGES = (
    "$match", "$project", "$addFields", "$set", "$unset", "$group", "$sort", "$limit", "$skip",
    "$unwind", "$count", "$sortByCount", "$replaceRoot",
)  # fmt: skip
ACCUMULATORS = (
    "$sum", "$avg", "$min", "$max", "$first", "$last", "$push", "$addToSet", "$count",
)  # fmt: skip
EXPRESSIONS = (
    "$literal", "$add", "$subtract", "$multiply", "$divide", "$mod", "$abs", "$concat", "$toLower",
    "$toUpper", "$cond", "$ifNull", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$and", "$or",
    "$not", "$in", "$size", "$arrayElemAt", "$concatArrays", "$sum", "$avg", "$min", "$max",
)  # fmt: skip


@dataclass(frozen=True)
class Updated:
    """What an update did."""

    matched: int
    modified: int
    upserted_id: Id | None = None


@dataclass(frozen=True)
class Index:
    """An index over one path or several."""

    name: str
    fields: tuple[tuple[str, int], ...]
    unique: bool = False


@dataclass(frozen=True)
class Powers:
    """What this adapter can do beyond finding and changing."""

    joins_transactions: bool
    """Whether documents and the app's tables commit together."""
    keeps_order: bool
    """Whether documents without `sort` come in the order they were inserted, always."""
    unsupported: tuple[str, ...] = field(default=())


class Documents(Protocol):
    """One collection. Every method has an asynchronous twin: `afind`, `ainsert`.

    Raises `QueryRefused` for what is not understood, `DocumentRefused` for what cannot be kept,
    `DuplicateKey`, and `DataUnavailable`.
    """

    @property
    def name(self) -> str:
        """The collection's name."""
        ...

    @property
    def powers(self) -> Powers:
        """What this one can do."""
        ...

    def insert(self, document: Filter) -> Id:
        """Keep a document and return its `_id`; the argument is not changed."""
        ...

    def insert_many(self, documents: Sequence[Filter]) -> list[Id]:
        """Keep all of them, or none."""
        ...

    def find(
        self,
        filter: Filter | None = None,  # noqa: A002 - MongoDB's word
        *,
        sort: Sort = (),
        skip: int = 0,
        limit: int = 0,
        fields: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """Return documents; `limit` 0: all, up to `documents_max`, beyond which it raises."""
        ...

    def stream(self, filter: Filter | None = None) -> Iterator[Document]:  # noqa: A002
        """Yield documents, holding few at a time."""
        ...

    def find_one(
        self,
        filter: Filter | None = None,  # noqa: A002
        *,
        sort: Sort = (),
        fields: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Return the first document, or None."""
        ...

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """Return how many there are."""
        ...

    def distinct(self, path: str, filter: Filter | None = None) -> list[Any]:  # noqa: A002
        """Return the different values at a path, elements of lists each, in sorting order."""
        ...

    def update_one(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """Change the first that matches; `upsert`: insert one where none does."""
        ...

    def update_many(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """Change all that match."""
        ...

    def replace_one(self, filter: Filter, document: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """Put another document in the place of the first that matches; its `_id` stays."""
        ...

    def delete_one(self, filter: Filter) -> int:  # noqa: A002
        """Remove the first that matches; return how many were."""
        ...

    def delete_many(self, filter: Filter) -> int:  # noqa: A002
        """Remove all that match; return how many were."""
        ...

    def aggregate(self, pipeline: Sequence[Filter]) -> list[Document]:
        """Return what a pipeline of `STAGES` makes of the collection."""
        ...

    def create_index(self, fields: Sort, *, unique: bool = False, name: str = "") -> str:
        """Make an index and return its name; again changes nothing."""
        ...

    def drop_index(self, name: str) -> None:
        """Remove an index; nothing happens where there is none of that name."""
        ...

    def indexes(self) -> list[Index]:
        """Return the indexes, without that of `_id`."""
        ...

    async def afind(self, *arguments: Any, **how: Any) -> list[Document]:
        """As `find`; every other method has such a twin, too."""
        ...

    def astream(self, filter: Filter | None = None) -> AsyncIterator[Document]:  # noqa: A002
        """As `stream`."""
        ...


def sort_of(sort: Sort) -> tuple[tuple[str, int], ...]:
    """Return the fields and directions of a sort; raise `QueryRefused`. Pure."""
    from mergepoint.data.errors import QueryRefused

    if isinstance(sort, str):
        return ((sort.removeprefix("-"), -1 if sort.startswith("-") else 1),) if sort else ()
    fields = tuple((name, direction) for name, direction in sort)
    for name, direction in fields:
        if not isinstance(name, str) or not name or direction not in (1, -1):
            raise QueryRefused(f"sort takes (field, 1) or (field, -1), not {(name, direction)!r}")
    return fields
