"""A collection kept in a table, for blocking code and for coroutines.

Place:  documents.opening -> [documents.collection] -> documents.operations
Rule:   each call is a part of the request's transaction, or one of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from mergepoint.data import units
from mergepoint.data.contract import Databases
from mergepoint.data.documents import tables
from mergepoint.data.documents.contract import Document, Filter, Id, Index, Powers, Updated, sort_of
from mergepoint.data.documents.operations import CHUNK, Operations
from mergepoint.data.documents.values import key
from mergepoint.data.errors import QueryRefused

T = TypeVar("T")
Work = Callable[[Session], T]
Query = Filter | None


class TableDocuments:
    """See `contract.Documents`."""

    powers = Powers(joins_transactions=True, keeps_order=True)

    def __init__(self, data: Databases, database: str, operations: Operations) -> None:
        self._data = data
        self._database = database
        self._operations = operations

    @property
    def name(self) -> str:
        """See `Documents`."""
        return self._operations.name

    def __getattr__(self, name: str) -> Any:
        """Return the asynchronous twin of a method: `afind` of `find`."""
        if name.startswith("a") and name[1:] in _TWINS:
            work = _TWINS[name[1:]]

            async def twin(*given: Any, **how: Any) -> Any:
                return await self._ado(work(self._operations, *given, **how), name[1:] in _READS)

            return twin
        raise AttributeError(f"a collection has no {name!r}")

    def insert(self, document: Filter) -> Id:
        """See `Documents`."""
        return self._do(_insert(self._operations, document))

    def insert_many(self, documents: Sequence[Filter]) -> list[Id]:
        """See `Documents`."""
        return self._do(_insert_many(self._operations, documents))

    def find(self, filter: Query = None, **how: Any) -> list[Document]:  # noqa: A002
        """See `Documents`."""
        return self._do(_find(self._operations, filter, **how), reads=True)

    def find_one(self, filter: Query = None, **how: Any) -> Document | None:  # noqa: A002
        """See `Documents`."""
        return self._do(_find_one(self._operations, filter, **how), reads=True)

    def stream(self, filter: Query = None) -> Iterator[Document]:  # noqa: A002
        """See `Documents`."""
        if units.current() is not None:
            yield from self._operations.read(self._data.session(self._database), filter)
            return
        with self._data.session(self._database, read_only=True) as session:
            yield from self._operations.read(session, filter)

    async def astream(self, filter: Query = None) -> AsyncIterator[Document]:  # noqa: A002
        """See `Documents`."""
        inside = units.current() is not None
        session = self._data.asession(self._database, read_only=not inside)
        async with session:
            flow = await session.run_sync(lambda used: self._operations.read(used, filter))
            while True:
                chunk = await session.run_sync(lambda _: _some(flow))
                for document in chunk:
                    yield document
                if len(chunk) < CHUNK:
                    return

    def count(self, filter: Query = None) -> int:  # noqa: A002
        """See `Documents`."""
        return self._do(_count(self._operations, filter), reads=True)

    def distinct(self, path: str, filter: Query = None) -> list[Any]:  # noqa: A002
        """See `Documents`."""
        return self._do(_distinct(self._operations, path, filter), reads=True)

    def update_one(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        return self._do(_update_one(self._operations, filter, update, upsert=upsert))

    def update_many(self, filter: Filter, update: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        return self._do(_update_many(self._operations, filter, update, upsert=upsert))

    def replace_one(self, filter: Filter, document: Filter, *, upsert: bool = False) -> Updated:  # noqa: A002
        """See `Documents`."""
        return self._do(_replace_one(self._operations, filter, document, upsert=upsert))

    def delete_one(self, filter: Filter) -> int:  # noqa: A002
        """See `Documents`."""
        return self._do(_delete_one(self._operations, filter))

    def delete_many(self, filter: Filter) -> int:  # noqa: A002
        """See `Documents`."""
        return self._do(_delete_many(self._operations, filter))

    def aggregate(self, pipeline: Sequence[Filter]) -> list[Document]:
        """See `Documents`."""
        return self._do(_aggregate(self._operations, pipeline), reads=True)

    def create_index(self, fields: Any, *, unique: bool = False, name: str = "") -> str:
        """See `Documents`."""
        return self._do(_create_index(self._operations, fields, unique=unique, name=name))

    def drop_index(self, name: str) -> None:
        """See `Documents`."""
        self._do(_drop_index(self._operations, name))

    def indexes(self) -> list[Index]:
        """See `Documents`."""
        return self._do(_indexes(self._operations), reads=True)

    def _do(self, work: Work[T], *, reads: bool = False) -> T:
        if units.current() is not None and reads:
            return work(self._data.session(self._database))
        with self._data.session(self._database, read_only=reads) as session:
            return work(session)

    async def _ado(self, work: Work[T], reads: bool) -> T:
        if units.current() is not None and reads:
            return await self._data.asession(self._database).run_sync(work)
        async with self._data.asession(self._database, read_only=reads) as session:
            return await session.run_sync(work)


def _some(flow: Iterator[Document]) -> list[Document]:
    return [one for _, one in zip(range(CHUNK), flow, strict=False)]


def _insert(operations: Operations, document: Filter) -> Work[Id]:
    return lambda session: operations.insert(session, [document])[0]


def _insert_many(operations: Operations, documents: Sequence[Filter]) -> Work[list[Id]]:
    return lambda session: operations.insert(session, documents)


def _find(
    operations: Operations,
    query: Query = None,
    *,
    sort: Any = (),
    skip: int = 0,
    limit: int = 0,
    fields: Mapping[str, Any] | None = None,
) -> Work[list[Document]]:
    return lambda session: operations.find(session, query, sort, skip, limit, fields)


def _find_one(
    operations: Operations,
    query: Query = None,
    *,
    sort: Any = (),
    fields: Mapping[str, Any] | None = None,
) -> Work[Document | None]:
    def work(session: Session) -> Document | None:
        found = operations.find(session, query, sort, 0, 1, fields)
        return found[0] if found else None

    return work


def _count(operations: Operations, query: Query = None) -> Work[int]:
    return lambda session: operations.count(session, query)


def _distinct(operations: Operations, path: str, query: Query = None) -> Work[list[Any]]:
    from mergepoint.data.documents.match import each
    from mergepoint.data.documents.paths import parts_of, values
    from mergepoint.data.documents.values import MISSING

    parts = parts_of(path)

    def work(session: Session) -> list[Any]:
        found: dict[tuple[Any, ...], Any] = {}
        for document in operations.read(session, query):
            for value in values(document, parts):
                inner = each([value])[:-1] if isinstance(value, list) else [value]
                for one in inner:
                    if one is not MISSING:
                        found.setdefault(key(one), one)
        return [found[one] for one in sorted(found)]

    return work


def _update_one(
    operations: Operations, query: Filter, update: Filter, *, upsert: bool = False
) -> Work[Updated]:
    return lambda session: operations.update(session, query, update, many=False, upsert=upsert)


def _update_many(
    operations: Operations, query: Filter, update: Filter, *, upsert: bool = False
) -> Work[Updated]:
    return lambda session: operations.update(session, query, update, many=True, upsert=upsert)


def _replace_one(
    operations: Operations, query: Filter, document: Filter, *, upsert: bool = False
) -> Work[Updated]:
    return lambda session: operations.replace(session, query, document, upsert=upsert)


def _delete_one(operations: Operations, query: Filter) -> Work[int]:
    return lambda session: operations.delete(session, query, many=False)


def _delete_many(operations: Operations, query: Filter) -> Work[int]:
    return lambda session: operations.delete(session, query, many=True)


def _aggregate(operations: Operations, stages: Sequence[Filter]) -> Work[list[Document]]:
    return lambda session: operations.aggregate(session, stages)


def _create_index(
    operations: Operations, fields: Any, *, unique: bool = False, name: str = ""
) -> Work[str]:
    listed = sort_of(fields)
    if not listed:
        raise QueryRefused("an index names a field")
    index = Index(name or tables.default_name(listed), listed, unique)

    def work(session: Session) -> str:
        operations.create_index(session, index)
        return index.name

    return work


def _drop_index(operations: Operations, name: str) -> Work[None]:
    return lambda session: operations.drop_index(session, name)


def _indexes(operations: Operations) -> Work[list[Index]]:
    return operations.indexes


_READS = frozenset(("find", "find_one", "count", "distinct", "aggregate", "indexes"))
_TWINS: Mapping[str, Callable[..., Work[Any]]] = {
    "insert": _insert,
    "insert_many": _insert_many,
    "find": _find,
    "find_one": _find_one,
    "count": _count,
    "distinct": _distinct,
    "update_one": _update_one,
    "update_many": _update_many,
    "replace_one": _replace_one,
    "delete_one": _delete_one,
    "delete_many": _delete_many,
    "aggregate": _aggregate,
    "create_index": _create_index,
    "drop_index": _drop_index,
    "indexes": _indexes,
}
