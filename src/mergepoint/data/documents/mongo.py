"""A collection on a MongoDB server, through pymongo.

Place:  documents.opening -> [documents.mongo] -> pymongo
Rule:   a query is checked as for the other engines before it is sent, so that what works here works
        there; what the server does beyond the contract is refused.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from bson.regex import Regex
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from mergepoint.data.config import Bounds, Database
from mergepoint.data.documents import pipeline as stages
from mergepoint.data.documents import tables
from mergepoint.data.documents.contract import Document, Filter, Id, Index, Powers, Updated, sort_of
from mergepoint.data.documents.match import matcher
from mergepoint.data.documents.paths import parts_of
from mergepoint.data.documents.projection import projection
from mergepoint.data.documents.schema import size_checked, validator
from mergepoint.data.documents.update import Updater, replacement
from mergepoint.data.documents.values import UTC, checked, key
from mergepoint.data.errors import (
    DataRefused,
    DataUnavailable,
    DuplicateKey,
    QueryRefused,
    Unreachable,
)
from mergepoint.data.failures import words

_clients: dict[str, Any] = {}
_lock = threading.Lock()
T = TypeVar("T")
Query = Filter | None


def client_of(database: Database) -> Any:
    """Return the process's client for this address; it connects when it is used."""
    with _lock:
        if database.url not in _clients:
            bounds = database.bounds
            try:
                _clients[database.url] = MongoClient(
                    database.url,
                    tz_aware=True,
                    tzinfo=UTC,
                    maxPoolSize=bounds.connections_max,
                    waitQueueTimeoutMS=int(bounds.connection_wait_s * 1000),
                    serverSelectionTimeoutMS=int(bounds.connect_s * 1000),
                    connect=False,
                )
            except PyMongoError as error:
                raise DataRefused(f"the database's address: {words(error)}") from None
        return _clients[database.url]


class MongoDocuments:
    """See `contract.Documents`; it cannot be part of a transaction with tables."""

    powers = Powers(joins_transactions=False, keeps_order=False)

    def __init__(
        self, client: Any, name: str, bounds: Bounds, schema: Mapping[str, Any] | None = None
    ) -> None:
        tables.table_of(name)  # a name that would not do on the other engines will not do here
        self.name = name
        self._bounds = bounds
        self._validate = validator(schema, name)
        self._has_schema = schema is not None
        try:
            self._collection = client.get_default_database()[name]
        except ConfigurationError:
            raise DataRefused("the address names no database: mongodb://host/DATABASE") from None

    def __getattr__(self, name: str) -> Any:
        """Return the asynchronous twin of a method; it waits in a thread."""
        if name.startswith("a") and name[1:] in _TWINS:
            work = getattr(self, name[1:])

            async def twin(*given: Any, **how: Any) -> Any:
                return await asyncio.to_thread(work, *given, **how)

            return twin
        raise AttributeError(f"a collection has no {name!r}")

    def insert(self, document: Filter) -> Id:
        """See `Documents`."""
        return self.insert_many([document])[0]

    def insert_many(self, documents: Sequence[Filter]) -> list[Id]:
        """See `Documents`; a server alone, without replicas, may keep the first of several."""
        rows = [self._fresh(document) for document in documents]
        if rows:
            self._told(lambda: self._collection.insert_many(rows, ordered=True))
        return [one["_id"] for one in rows]

    def find(
        self,
        filter: Query = None,  # noqa: A002
        *,
        sort: Any = (),
        skip: int = 0,
        limit: int = 0,
        fields: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """See `Documents`."""
        matcher(filter)
        if fields:
            projection(fields)
        order = list(sort_of(sort))
        if skip < 0 or limit < 0:
            raise QueryRefused("skip and limit are not negative")
        most = self._bounds.documents_max

        def work() -> list[Document]:
            cursor = self._collection.find(sent(filter), fields or None)
            if order:
                cursor = cursor.sort(order)
            cursor = cursor.skip(skip).limit(limit or most + 1)
            return [plain(one) for one in stages.bounded(cursor, most, "returned")]

        return self._told(work)

    def find_one(
        self,
        filter: Query = None,  # noqa: A002
        *,
        sort: Any = (),
        fields: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """See `Documents`."""
        found = self.find(filter, sort=sort, limit=1, fields=fields)
        return found[0] if found else None

    def stream(self, filter: Query = None) -> Iterator[Document]:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        cursor = self._told(
            lambda: self._collection.find(sent(filter), batch_size=self._bounds.stream_rows)
        )
        with cursor:
            while (document := self._told(lambda: next(cursor, None))) is not None:
                yield plain(document)

    async def astream(self, filter: Query = None) -> AsyncIterator[Document]:  # noqa: A002
        """See `Documents`."""
        flow = self.stream(filter)
        while (document := await asyncio.to_thread(next, flow, None)) is not None:
            yield document

    def count(self, filter: Query = None) -> int:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        return int(self._told(lambda: self._collection.count_documents(sent(filter))))

    def distinct(self, path: str, filter: Query = None) -> list[Any]:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        parts_of(path)
        found = self._told(lambda: self._collection.distinct(path, sent(filter)))
        return sorted(map(plain, found), key=key)

    def update_one(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        return self._update(filter, update, upsert=upsert, many=False)

    def update_many(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        return self._update(filter, update, upsert=upsert, many=True)

    def replace_one(self, filter: Filter, document: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        whole = replacement(document, document.get("_id", ""))
        self._validate(whole)
        size_checked(whole, self._bounds.document_bytes_max)
        body = {name: value for name, value in whole.items() if name != "_id" or "_id" in document}
        if upsert and "_id" not in body and "_id" not in filter:
            done = self._told(lambda: self._collection.replace_one(sent(filter), body))
            if done.matched_count:
                return _updated(done)
            return Updated(0, 0, self.insert(body))
        return _updated(
            self._told(lambda: self._collection.replace_one(sent(filter), body, upsert=upsert))
        )

    def delete_one(self, filter: Filter) -> int:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        return int(self._told(lambda: self._collection.delete_one(sent(filter))).deleted_count)

    def delete_many(self, filter: Filter) -> int:  # noqa: A002
        """See `Documents`."""
        matcher(filter)
        return int(self._told(lambda: self._collection.delete_many(sent(filter))).deleted_count)

    def aggregate(self, pipeline: Sequence[Filter]) -> list[Document]:
        """See `Documents`."""
        stages.pipeline(pipeline, self._bounds.documents_max)
        most = self._bounds.documents_max

        def work() -> list[Document]:
            cursor = self._collection.aggregate(sent(list(pipeline)))
            return [plain(one) for one in stages.bounded(cursor, most, "returned")]

        return self._told(work)

    def create_index(self, fields: Any, *, unique: bool = False, name: str = "") -> str:
        """See `Documents`."""
        listed = sort_of(fields)
        if not listed:
            raise QueryRefused("an index names a field")
        chosen = name or tables.default_name(listed)
        return str(
            self._told(
                lambda: self._collection.create_index(list(listed), name=chosen, unique=unique)
            )
        )

    def drop_index(self, name: str) -> None:
        """See `Documents`."""
        if name in {one.name for one in self.indexes()}:
            self._told(lambda: self._collection.drop_index(name))

    def indexes(self) -> list[Index]:
        """See `Documents`."""
        known = self._told(self._collection.index_information)
        return sorted(
            (
                Index(
                    name,
                    tuple((field, int(way)) for field, way in told["key"]),
                    bool(told.get("unique")),
                )
                for name, told in known.items()
                if name != "_id_"
            ),
            key=lambda one: one.name,
        )

    def _fresh(self, document: Filter) -> Document:
        one = checked(document)
        one = {"_id": one["_id"] if "_id" in one else uuid4().hex, **one}
        self._validate(one)
        size_checked(one, self._bounds.document_bytes_max)
        return one

    def _update(self, query: Filter, update: Filter, *, upsert: bool, many: bool) -> Updated:
        matcher(query)
        Updater(update)
        if self._has_schema:
            raise DataRefused(
                "MongoDB changes documents where the schema cannot be checked",
                next="use replace_one, or give the server a validator and open without a schema",
            )
        if upsert and not any(name == "_id" for name in query):
            update = {**update, "$setOnInsert": {**update.get("$setOnInsert", {})}}
            update["$setOnInsert"].setdefault("_id", uuid4().hex)
        call = self._collection.update_many if many else self._collection.update_one
        return _updated(self._told(lambda: call(sent(query), sent(update), upsert=upsert)))

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except DuplicateKeyError as error:
            raise self._duplicate(str(error)) from error
        except BulkWriteError as error:
            if any(one.get("code") == 11000 for one in error.details.get("writeErrors", [])):
                raise self._duplicate(str(error.details)) from error
            raise DataUnavailable(words(error)) from error
        except AutoReconnect as error:
            raise Unreachable(f"the database cannot be reached: {words(error)}") from error
        except OperationFailure as error:
            raise QueryRefused(words(error)) from error
        except PyMongoError as error:
            raise DataUnavailable(words(error)) from error

    def _duplicate(self, said: str) -> DuplicateKey:
        what = "this _id" if "_id_" in said else "this _id, or this value of a unique index,"
        return DuplicateKey(f"{self.name} has a document with {what} already")


def plain(value: Any) -> Any:
    """Return a value without the driver's own types."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def sent(query: Any) -> Any:
    """Return a query as a server takes it: of a pattern's flags only those that it knows."""
    if query is None:
        return {}
    if isinstance(query, Mapping):
        return {name: _sent(one) for name, one in query.items()}
    return [_sent(one) for one in query]


def _sent(value: Any) -> Any:
    if isinstance(value, re.Pattern):
        return Regex(value.pattern, value.flags & ~re.UNICODE)
    if isinstance(value, Mapping | list | tuple):
        return sent(value)
    return value


def _updated(done: Any) -> Updated:
    if done.upserted_id is not None:
        return Updated(0, 0, done.upserted_id)
    return Updated(done.matched_count, done.modified_count)


_TWINS = frozenset(
    (
        "insert", "insert_many", "find", "find_one", "count", "distinct", "update_one",
        "update_many", "replace_one", "delete_one", "delete_many", "aggregate", "create_index",
        "drop_index", "indexes",
    )
)  # fmt: skip
