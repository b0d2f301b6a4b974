"""Choosing and adding fields: `fields=` of find, `$project`, `$addFields`.

Place:  documents.operations, pipeline -> [documents.projection] -> documents.expressions
Rule:   pure; a document is never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.data.documents.expressions import Value, expression
from mergepoint.data.documents.paths import parts_of
from mergepoint.data.documents.values import MISSING
from mergepoint.data.errors import QueryRefused

Project = Callable[[Any], Any]
Parts = tuple[str, ...]
Tree = dict[str, Any]
"""Names to trees; an empty one is the end of a path."""


def projection(fields: Mapping[str, Any], *, expressions: bool = False) -> Project:
    """Return what keeps the fields marked 1, or all but those marked 0; `_id` stays unless 0."""
    if not isinstance(fields, Mapping) or not fields:
        raise QueryRefused("a projection is a dict that is not empty")
    kept: list[Parts] = []
    dropped: list[Parts] = []
    made: dict[Parts, Value] = {}
    for name, value in fields.items():
        if isinstance(value, bool | int | float):
            (kept if value else dropped).append(parts_of(name))
        elif expressions:
            made[parts_of(name)] = expression(value)
        else:
            raise QueryRefused(f"{name}: {value!r} is neither 1 nor 0")
    hides_id = ("_id",) in dropped
    others = [parts for parts in dropped if parts != ("_id",)]
    if others and (made or [one for one in kept if one != ("_id",)]):
        raise QueryRefused("a projection either keeps or drops")
    if others or (hides_id and not kept and not made):
        return lambda document: without(document, dropped)
    tree = _tree(kept if hides_id else [("_id",), *kept])

    def project(document: Any) -> Any:
        result = _kept(document, tree)
        for parts, value in made.items():
            found = value(document)
            if found is not MISSING:
                result = _put(result, parts, found)
        return result

    return project


def adding(fields: Mapping[str, Any]) -> Project:
    """Return what sets fields to the values of expressions."""
    if not isinstance(fields, Mapping) or not fields:
        raise QueryRefused("$addFields takes a dict that is not empty")
    made = {parts_of(name): expression(value) for name, value in fields.items()}

    def add(document: Any) -> Any:
        result = document
        for parts, value in made.items():
            found = value(document)
            if found is not MISSING:
                result = _put(result, parts, found)
        return result

    return add


def without(document: Any, dropped: list[Parts]) -> Any:
    """Return the document without these paths."""
    return _without(document, _tree(dropped))


def _tree(paths: list[Parts]) -> Tree:
    tree: Tree = {}
    for parts in paths:
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
    return tree


def _kept(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_kept(one, tree) for one in value if isinstance(one, dict | list)]
    result = {}
    for name, one in value.items():
        below = tree.get(name)
        if below is None:
            continue
        if not below:
            result[name] = one
        elif isinstance(one, dict | list):
            result[name] = _kept(one, below)
    return result


def _without(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_without(one, tree) for one in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for name, one in value.items():
        below = tree.get(name)
        if below is None:
            result[name] = one
        elif below:
            result[name] = _without(one, below)
    return result


def _put(document: Any, parts: Parts, value: Any) -> Any:
    if not parts:
        return value
    if isinstance(document, list):
        return [_put(one, parts, value) for one in document]
    known = document if isinstance(document, dict) else {}
    return {**known, parts[0]: _put(known.get(parts[0], {}), parts[1:], value)}
