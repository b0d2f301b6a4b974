"""Aggregation: documents through stages.

Place:  documents.operations -> [documents.pipeline] -> documents.expressions, match, projection
Rule:   pure: an iterator in, an iterator out; what has to be held in memory has a bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mergepoint.data.documents.contract import ACCUMULATORS, STAGES, Document, sort_of
from mergepoint.data.documents.expressions import ACCUMULATE, Value, expression
from mergepoint.data.documents.match import matcher
from mergepoint.data.documents.paths import parts_of, values
from mergepoint.data.documents.projection import adding, projection, without
from mergepoint.data.documents.values import MISSING, key, sort_key
from mergepoint.data.errors import QueryRefused

Stage = Callable[[Iterable[Document]], Iterator[Document]]
STAGES_MAX = 100


def pipeline(stages: Sequence[Mapping[str, Any]], documents_max: int) -> list[Stage]:
    """Return the stages as functions; raise `QueryRefused` for what is not understood."""
    if isinstance(stages, Mapping) or len(stages) > STAGES_MAX:
        raise QueryRefused(f"a pipeline is a list of at most {STAGES_MAX} stages")
    made = []
    for number, stage in enumerate(stages, 1):
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise QueryRefused(f"stage {number} is not one operator with its value")
        ((name, value),) = stage.items()
        if name not in _STAGES:
            raise QueryRefused(f"{name} is not supported; there are {', '.join(STAGES)}")
        made.append(_STAGES[name](value, documents_max))
    return made


def run(stages: list[Stage], documents: Iterable[Document]) -> Iterator[Document]:
    """Return what comes out at the end."""
    flow: Iterator[Document] = iter(documents)
    for stage in stages:
        flow = stage(flow)
    return flow


def ordered(
    documents: Iterable[Document], sort: Any, documents_max: int, first: int = 0
) -> list[Document]:
    """Return them sorted, equal ones as they came; `first`: so many suffice. Bounded."""
    fields = [(parts_of(name), direction) for name, direction in sort_of(sort)]
    if not fields:
        raise QueryRefused("a sort names a field")

    def place(document: Document) -> tuple[Any, ...]:
        return tuple(
            _Turned(sort_key(list(values(document, parts)), way), way) for parts, way in fields
        )

    if 0 < first <= documents_max:
        return heapq.nsmallest(first, documents, key=place)
    return sorted(bounded(documents, documents_max, "sorted"), key=place)


def bounded(documents: Iterable[Any], documents_max: int, what: str) -> Iterator[Any]:
    """Yield them; raise `QueryRefused` beyond the bound."""
    for number, document in enumerate(documents, 1):
        if number > documents_max:
            raise QueryRefused(
                f"more than {documents_max} documents would be {what} in memory",
                next="narrow the filter, give a limit, or raise documents_max",
            )
        yield document


class _Turned:
    """A key that compares the other way round where the direction is -1."""

    __slots__ = ("key", "way")

    def __init__(self, of: tuple[Any, ...], way: int) -> None:
        self.key = of
        self.way = way

    def __lt__(self, other: _Turned) -> bool:
        return bool(self.key < other.key if self.way > 0 else other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Turned) and self.key == other.key

    __hash__ = None  # type: ignore[assignment]


def _match(value: Any, _: int) -> Stage:
    match = matcher(value)
    return lambda documents: (one for one in documents if match(one))


def _project(value: Any, _: int) -> Stage:
    project = projection(value, expressions=True)
    return lambda documents: (project(one) for one in documents)


def _add_fields(value: Any, _: int) -> Stage:
    add = adding(value)
    return lambda documents: (add(one) for one in documents)


def _unset(value: Any, _: int) -> Stage:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise QueryRefused("$unset takes a name or a list of names")
    parts = [parts_of(name) for name in names]
    return lambda documents: (without(one, parts) for one in documents)


def _sort(value: Any, documents_max: int) -> Stage:
    if not isinstance(value, Mapping):
        raise QueryRefused("$sort takes a dict")
    fields = sort_of(tuple(value.items()))
    return lambda documents: iter(ordered(documents, fields, documents_max))


def _count_of(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < (name == "$limit"):
        raise QueryRefused(f"{name} takes a number above 0, not {value!r}")
    return value


def _limit(value: Any, _: int) -> Stage:
    most = _count_of("$limit", value)

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        for number, document in enumerate(documents, 1):
            yield document
            if number == most:
                return

    return stage


def _skip(value: Any, _: int) -> Stage:
    count = _count_of("$skip", value)
    return lambda documents: (one for n, one in enumerate(documents) if n >= count)


def _unwind(value: Any, _: int) -> Stage:
    told = value if isinstance(value, Mapping) else {"path": value}
    unknown = set(told) - {"path", "preserveNullAndEmptyArrays"}
    path = told.get("path")
    if unknown or not isinstance(path, str) or not path.startswith("$"):
        raise QueryRefused("$unwind takes '$path', or {path, preserveNullAndEmptyArrays}")
    parts, keep = parts_of(path[1:]), bool(told.get("preserveNullAndEmptyArrays"))

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            found = _at(document, parts)
            if isinstance(found, list) and found:
                yield from (_with(document, parts, one) for one in found)
            elif found is None or found is MISSING or found == []:
                if keep:
                    yield without(document, [parts]) if found == [] else document
            else:
                yield document

    return stage


def _at(document: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        if not isinstance(document, dict) or part not in document:
            return MISSING
        document = document[part]
    return document


def _with(document: Document, parts: tuple[str, ...], value: Any) -> Document:
    if len(parts) == 1:
        return {**document, parts[0]: value}
    return {**document, parts[0]: _with(document[parts[0]], parts[1:], value)}


def _count(value: Any, _: int) -> Stage:
    if not isinstance(value, str) or not value or value.startswith("$") or "." in value:
        raise QueryRefused("$count takes a name")

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        total = sum(1 for _ in documents)
        if total:
            yield {value: total}

    return stage


def _sort_by_count(value: Any, documents_max: int) -> Stage:
    group = _group({"_id": value, "count": {"$sum": 1}}, documents_max)
    return lambda documents: iter(ordered(group(documents), "-count", documents_max))


def _replace_root(value: Any, _: int) -> Stage:
    if not isinstance(value, Mapping) or set(value) != {"newRoot"}:
        raise QueryRefused("$replaceRoot takes newRoot")
    root = expression(value["newRoot"])

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            found = root(document)
            if not isinstance(found, dict):
                raise QueryRefused("newRoot is no document")
            yield found

    return stage


def _group(value: Any, documents_max: int) -> Stage:
    if not isinstance(value, Mapping) or "_id" not in value:
        raise QueryRefused("$group takes _id and accumulators")
    by = expression(value["_id"])
    fields = {name: _accumulator(name, how) for name, how in value.items() if name != "_id"}

    def stage(documents: Iterable[Document]) -> Iterator[Document]:
        groups: dict[tuple[Any, ...], tuple[Any, dict[str, list[Any]]]] = {}
        for document in bounded(documents, documents_max, "grouped"):
            id_ = by(document)
            id_ = None if id_ is MISSING else id_
            _, found = groups.setdefault(key(id_), (id_, {name: [] for name in fields}))
            for name, (value_of, _work) in fields.items():
                found[name].append(value_of(document))
        for id_, found in groups.values():
            yield {"_id": id_, **{name: fields[name][1](found[name]) for name in fields}}

    return stage


def _accumulator(name: str, how: Any) -> tuple[Value, Callable[[list[Any]], Any]]:
    if "." in name or name.startswith("$"):
        raise QueryRefused(f"{name!r} is no name of a field of $group")
    if not isinstance(how, Mapping) or len(how) != 1:
        raise QueryRefused(f"{name} takes one accumulator: {{'$sum': '$votes'}}")
    ((operator, value),) = how.items()
    if operator not in ACCUMULATORS:
        raise QueryRefused(f"{operator} is not supported; there are {', '.join(ACCUMULATORS)}")
    if operator == "$count":
        if value != {}:
            raise QueryRefused("$count takes {}")
        return (lambda _: 1), len
    return expression(value), ACCUMULATE.get(operator) or _COLLECT[operator]


def _different(found: list[Any]) -> list[Any]:
    return list({key(one): one for one in reversed(found) if one is not MISSING}.values())[::-1]


def _known(value: Any) -> Any:
    return None if value is MISSING else value


_COLLECT: Mapping[str, Callable[[list[Any]], Any]] = {
    "$first": lambda found: _known(found[0]),
    "$last": lambda found: _known(found[-1]),
    "$push": lambda found: [one for one in found if one is not MISSING],
    "$addToSet": _different,
}
_STAGES: Mapping[str, Callable[[Any, int], Stage]] = {
    "$match": _match,
    "$project": _project,
    "$addFields": _add_fields,
    "$set": _add_fields,
    "$unset": _unset,
    "$group": _group,
    "$sort": _sort,
    "$limit": _limit,
    "$skip": _skip,
    "$unwind": _unwind,
    "$count": _count,
    "$sortByCount": _sort_by_count,
    "$replaceRoot": _replace_root,
}
