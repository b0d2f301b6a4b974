"""What can be done with a collection that is a table: each in one session, blocking.

Place:  documents.collection -> [documents.operations] -> documents.tables, prefilter, match
Rule:   the database narrows down, `match` decides; what is changed is locked and looked at again.

Asynchronous code runs these through `AsyncSession.run_sync`, so that there is one of each.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mergepoint.data.config import Bounds
from mergepoint.data.documents import pipeline, tables
from mergepoint.data.documents.contract import Document, Index, Updated, sort_of
from mergepoint.data.documents.match import is_operators, matcher
from mergepoint.data.documents.prefilter import Where, id_text, where
from mergepoint.data.documents.projection import projection
from mergepoint.data.documents.schema import Validate, size_checked
from mergepoint.data.documents.update import Updater, replacement
from mergepoint.data.documents.values import checked, dated, decode
from mergepoint.data.errors import DuplicateKey, QueryRefused

CHUNK = 500
MADE = "mergepoint_documents_made"
"""In `Session.info`: tables that this session made."""
INDEXES = "mergepoint_document_indexes"
Query = Mapping[str, Any] | None


class Operations:
    """One collection on one kind of database."""

    def __init__(self, name: str, kind: str, bounds: Bounds, validate: Validate) -> None:
        self.name = name
        self.kind = kind
        self._table = tables.table_of(name)
        self._bounds = bounds
        self._validate = validate
        self._is_known = False

    # --- reading ---

    def read(self, session: Session, query: Query) -> Iterator[Document]:
        """Yield what matches, in the order of insertion."""
        match = matcher(query)
        found = where(query, self.kind)
        return (one for _, one in self._rows(session, found) if found.exact or match(one))

    def find(
        self,
        session: Session,
        query: Query,
        sort: Any,
        skip: int,
        limit: int,
        fields: Mapping[str, Any] | None,
    ) -> list[Document]:
        """See `Documents.find`."""
        if skip < 0 or limit < 0:
            raise QueryRefused("skip and limit are not negative")
        shown = projection(fields) if fields else None
        most = self._bounds.documents_max
        flow: Iterable[Document] = self.read(session, query)
        if sort_of(sort):
            flow = pipeline.ordered(flow, sort, most, skip + limit if limit else 0)
        stop = skip + limit if limit else None
        chosen = pipeline.bounded(itertools.islice(flow, skip, stop), most, "returned")
        return [shown(one) if shown else one for one in chosen]

    def count(self, session: Session, query: Query) -> int:
        """See `Documents.count`."""
        found = where(query, self.kind)
        if not found.exact:
            return sum(1 for _ in self.read(session, query))
        matcher(query)
        if not self._is_there(session):
            return 0
        sql = f"SELECT count(*) FROM {self._table} WHERE {found.sql}"  # noqa: S608 - checked names
        return int(session.execute(text(sql), found.values).scalar_one())

    def aggregate(self, session: Session, stages: Sequence[Mapping[str, Any]]) -> list[Document]:
        """See `Documents.aggregate`."""
        made = pipeline.pipeline(stages, self._bounds.documents_max)
        first = stages[0].get("$match") if stages else None
        flow = pipeline.run(made, self.read(session, first))
        return list(pipeline.bounded(flow, self._bounds.documents_max, "returned"))

    # --- changing ---

    def insert(self, session: Session, documents: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Keep all of them; return their ids."""
        rows, ids = [], []
        for document in documents:
            one = checked(document)
            one = {"_id": one["_id"] if "_id" in one else uuid4().hex, **one}
            self._validate(one)
            body = size_checked(one, self._bounds.document_bytes_max)
            rows.append({"id": id_text(one["_id"]), "body": body})
            ids.append(one["_id"])
        self._make(session)
        sql = f"INSERT INTO {self._table} (id, body) VALUES (:id, {self._json('body')})"  # noqa: S608
        try:
            for start in range(0, len(rows), CHUNK):
                session.execute(text(sql), rows[start : start + CHUNK])
        except IntegrityError as error:
            raise self._duplicate(error) from error
        return ids

    def update(
        self,
        session: Session,
        query: Mapping[str, Any],
        update: Mapping[str, Any],
        *,
        many: bool,
        upsert: bool,
    ) -> Updated:
        """See `Documents.update_one`."""
        updater = Updater(update)

        def change(document: Document) -> Document:
            return updater.applied(document)

        done = self._changed(session, query, change, many=many)
        if done.matched or not upsert:
            return done
        fresh = updater.applied(_from_filter(query), inserting=True)
        return Updated(0, 0, self.insert(session, [fresh])[0])

    def replace(
        self,
        session: Session,
        query: Mapping[str, Any],
        document: Mapping[str, Any],
        *,
        upsert: bool,
    ) -> Updated:
        """See `Documents.replace_one`."""
        if is_operators(document):
            raise QueryRefused("a replacement is a document, without operators")

        def change(old: Document) -> Document:
            return replacement(document, old["_id"])

        done = self._changed(session, query, change, many=False)
        if done.matched or not upsert:
            return done
        known = _from_filter(query)
        fresh = {**({"_id": known["_id"]} if "_id" in known else {}), **document}
        return Updated(0, 0, self.insert(session, [fresh])[0])

    def delete(self, session: Session, query: Query, *, many: bool) -> int:
        """Remove the first, or all, that match."""
        match = matcher(query)
        places = self._places(session, query, many=many)
        gone = 0
        for chunk in _chunks(places):
            found = [place for place, one in self._locked(session, chunk) if match(one)]
            sql = f"DELETE FROM {self._table} WHERE place IN :places"  # noqa: S608 - checked name
            session.execute(_with_places(sql), {"places": found})
            gone += len(found)
        return gone

    # --- indexes ---

    def create_index(self, session: Session, index: Index) -> None:
        """Make it; again changes nothing, another one of its name is refused."""
        known = {one.name: one for one in self.indexes(session)}.get(index.name)
        if known == index:
            return
        if known is not None:
            raise QueryRefused(f"there is another index {index.name!r} on {self.name}")
        self._make(session)
        session.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {INDEXES} (collection text NOT NULL,"
                " name text NOT NULL, fields text NOT NULL, is_unique integer NOT NULL,"
                " PRIMARY KEY (collection, name))"
            )
        )
        try:
            for statement in tables.index_statements(self._table, index, self.kind):
                session.execute(text(statement.replace(":", "\\:")))
        except IntegrityError as error:
            raise self._duplicate(error) from error
        session.execute(
            text(f"INSERT INTO {INDEXES} VALUES (:collection, :name, :fields, :is_unique)"),  # noqa: S608
            {
                "collection": self.name,
                "name": index.name,
                "fields": json.dumps(index.fields),
                "is_unique": int(index.unique),
            },
        )

    def drop_index(self, session: Session, name: str) -> None:
        """Remove it, if it is there."""
        if name not in {one.name for one in self.indexes(session)}:
            return
        session.execute(text(f"DROP INDEX IF EXISTS {tables.index_name(self._table, name)}"))
        session.execute(
            text(f"DELETE FROM {INDEXES} WHERE collection = :collection AND name = :name"),  # noqa: S608
            {"collection": self.name, "name": name},
        )

    def indexes(self, session: Session) -> list[Index]:
        """See `Documents.indexes`."""
        if not self._is_there(session, INDEXES):
            return []
        sql = f"SELECT name, fields, is_unique FROM {INDEXES} WHERE collection = :c ORDER BY name"  # noqa: S608
        return [
            Index(name, tuple((f, d) for f, d in json.loads(fields)), bool(unique))
            for name, fields, unique in session.execute(text(sql), {"c": self.name})
        ]

    # --- behind them ---

    def _rows(
        self, session: Session, found: Where, what: str = "body"
    ) -> Iterator[tuple[int, Document]]:
        if not self._is_there(session):
            return
        # Sorting by an expression lets an index for the filter be chosen, not that of the order.
        order = "place" if found.sql == "true" else "place + 0"
        sql = f"SELECT place, {what} FROM {self._table} WHERE {found.sql} ORDER BY {order}"  # noqa: S608
        options = {"yield_per": self._bounds.stream_rows, "stream_results": True}
        result = session.execute(text(sql), found.values, execution_options=options)
        try:
            for place, body in result:
                yield place, self._decoded(body)
        finally:
            result.close()

    def _decoded(self, body: Any) -> Document:
        document: Document = decode(body) if isinstance(body, str) else dated(body)
        return document

    def _places(self, session: Session, query: Query, *, many: bool) -> list[int]:
        match = matcher(query)
        found = where(query, self.kind)
        hits = (place for place, one in self._rows(session, found) if found.exact or match(one))
        if not many:
            return list(itertools.islice(hits, 1))
        return list(pipeline.bounded(hits, self._bounds.documents_max, "changed by one call"))

    def _locked(self, session: Session, places: list[int]) -> list[tuple[int, Document]]:
        lock = " FOR UPDATE" if self.kind == "postgresql" else ""
        sql = f"SELECT place, body FROM {self._table} WHERE place IN :places ORDER BY place{lock}"  # noqa: S608
        found = session.execute(_with_places(sql), {"places": places}).all()
        return [(place, self._decoded(body)) for place, body in found]

    def _changed(self, session: Session, query: Query, change: Any, *, many: bool) -> Updated:
        match = matcher(query)
        matched = modified = 0
        sql = f"UPDATE {self._table} SET body = {self._json('body')} WHERE place = :place"  # noqa: S608
        for chunk in _chunks(self._places(session, query, many=many)):
            rows = []
            for place, old in self._locked(session, chunk):
                if not match(old):  # changed since it was found
                    continue
                matched += 1
                new = checked(change(old))
                if new != old or _types(new) != _types(old):
                    self._validate(new)
                    body = size_checked(new, self._bounds.document_bytes_max)
                    rows.append({"place": place, "body": body})
            try:
                if rows:
                    session.execute(text(sql), rows)
            except IntegrityError as error:
                raise self._duplicate(error) from error
            modified += len(rows)
        return Updated(matched, modified)

    def _json(self, name: str) -> str:
        return f"CAST(:{name} AS jsonb)" if self.kind == "postgresql" else f":{name}"

    def _make(self, session: Session) -> None:
        if self._is_there(session):
            return
        for statement in tables.made(self._table, self.kind):
            session.execute(text(statement))

        session.info.setdefault(MADE, set()).add(self._table)

    def _is_there(self, session: Session, table: str = "") -> bool:
        name = table or self._table
        if name == self._table and self._is_known:
            return True
        sql = (
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"
            if self.kind == "sqlite"
            else "SELECT 1 WHERE to_regclass(:name) IS NOT NULL"
        )
        found = session.execute(text(sql), {"name": name}).first() is not None
        # What this session made may be rolled back yet; another one sees what was committed.
        if found and name == self._table and name not in session.info.get(MADE, ()):
            self._is_known = True
        return found

    def _duplicate(self, error: IntegrityError) -> DuplicateKey:
        is_id = f"{self._table}.id" in str(error.orig) or f"{self._table}_id_key" in str(error.orig)
        what = "this _id" if is_id else "this value of a unique index"
        return DuplicateKey(f"{self.name} has a document with {what} already")


def _types(value: Any) -> Any:
    """Return what differs between values that Python takes for equal: 1, 1.0 and True."""
    if isinstance(value, dict):
        return {name: _types(one) for name, one in value.items()}
    return list(map(_types, value)) if isinstance(value, list) else type(value)


def _from_filter(query: Mapping[str, Any]) -> Document:
    """Return what an upsert starts from: the values the filter asks to be equal."""
    fields: dict[str, Any] = {}
    for name, value in query.items():
        if name == "$and":
            for one in value:
                fields.update(_from_filter(one))
        elif not name.startswith("$"):
            if not is_operators(value):
                fields[name] = value
            elif "$eq" in value:
                fields[name] = value["$eq"]
    return Updater({"$set": fields}).applied({}, inserting=True) if fields else {}


def _with_places(sql: str) -> Any:
    return text(sql).bindparams(bindparam("places", expanding=True))


def _chunks(places: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), CHUNK):
        yield places[start : start + CHUNK]
