"""Expressions of pipelines: `"$votes"`, `{"$add": ["$a", 1]}`.

Place:  documents.pipeline -> [documents.expressions] -> documents.paths, values
Rule:   pure; what is not listed in `contract.EXPRESSIONS` is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.data.documents.contract import EXPRESSIONS
from mergepoint.data.documents.match import is_operators, literal
from mergepoint.data.documents.paths import parts_of, plain
from mergepoint.data.documents.values import MISSING, key, rank
from mergepoint.data.errors import QueryRefused

Value = Callable[[Any], Any]
"""From a document to the value of an expression; `MISSING` where there is none."""


def expression(told: Any) -> Value:
    """Return the function; raise `QueryRefused`."""
    if isinstance(told, str) and told.startswith("$"):
        return _path(told)
    if is_operators(told):
        if len(told) != 1:
            raise QueryRefused("an expression has one operator")
        ((name, value),) = told.items()
        return _operator(name, value)
    if isinstance(told, Mapping):
        inner = {name: expression(value) for name, value in told.items()}
        return lambda document: {
            name: found
            for name, value in inner.items()
            if (found := value(document)) is not MISSING
        }
    if isinstance(told, list | tuple):
        each = [expression(one) for one in told]
        return lambda document: [_null(value(document)) for value in each]
    constant = literal(told)
    return lambda _: constant


def is_true(value: Any) -> bool:
    """Tell what a value means as a condition: false are null, missing, 0 and false."""
    return not (value is None or value is MISSING or value is False or _is_zero(value))


def _is_zero(value: Any) -> bool:
    return rank(value) == 2 and value == 0


def _path(told: str) -> Value:
    if told in ("$$ROOT", "$$CURRENT"):
        return lambda document: document
    if told.startswith("$$ROOT."):
        told = "$" + told.removeprefix("$$ROOT.")
    if told.startswith("$$"):
        raise QueryRefused(f"{told} is not supported; there is $$ROOT")
    parts = parts_of(told[1:])
    return lambda document: plain(document, parts)


def _operator(name: str, value: Any) -> Value:
    if name not in EXPRESSIONS:
        raise QueryRefused(f"{name} is not supported; there are {', '.join(EXPRESSIONS)}")
    if name == "$literal":
        constant = literal(value)
        return lambda _: constant
    if name == "$cond":
        return _cond(value)
    single = not isinstance(value, list | tuple)
    each = [expression(one) for one in ([value] if single else value)]
    if name in ("$sum", "$avg", "$min", "$max"):
        return lambda document: _accumulated(name, [one(document) for one in each])
    work, count = _WORK[name]
    if count is not None and len(each) != count:
        raise QueryRefused(f"{name} takes {count} values, not {len(each)}")
    return lambda document: work([one(document) for one in each])


def _cond(value: Any) -> Value:
    told = value
    if isinstance(value, Mapping):
        if set(value) != {"if", "then", "else"}:
            raise QueryRefused("$cond takes if, then and else")
        told = [value["if"], value["then"], value["else"]]
    if not isinstance(told, list | tuple) or len(told) != 3:
        raise QueryRefused("$cond takes [if, then, else]")
    test, then, other = (expression(one) for one in told)
    return lambda document: then(document) if is_true(test(document)) else other(document)


def _accumulated(name: str, found: list[Any]) -> Any:
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    return ACCUMULATE[name](found)


def total(found: list[Any]) -> Any:
    """Return the sum of the numbers; others do not count."""
    return literal(sum(one for one in found if rank(one) == 2))


def average(found: list[Any]) -> Any:
    """Return the mean of the numbers as a float; None without any."""
    numbers = [one for one in found if rank(one) == 2]
    return literal(math.fsum(numbers) / len(numbers)) if numbers else None


def least(found: list[Any]) -> Any:
    """Return the least that is neither null nor missing; None without any."""
    return min((one for one in found if rank(one) != 1), key=key, default=None)


def most(found: list[Any]) -> Any:
    """Return the most, as `least`."""
    return max((one for one in found if rank(one) != 1), key=key, default=None)


ACCUMULATE: Mapping[str, Callable[[list[Any]], Any]] = {
    "$sum": total,
    "$avg": average,
    "$min": least,
    "$max": most,
}


def _null(value: Any) -> Any:
    return None if value is MISSING else value


def _numbers(name: str, work: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def checked(found: list[Any]) -> Any:
        if any(rank(one) == 1 for one in found):
            return None
        for one in found:
            if rank(one) != 2:
                raise QueryRefused(f"{name} of {type(one).__name__}; it takes numbers")
        return literal(work(found))

    return checked


def _divide(found: list[Any]) -> Any:
    if found[1] == 0:
        raise QueryRefused("$divide by 0")
    return found[0] / found[1]


def _mod(found: list[Any]) -> Any:
    if found[1] == 0:
        raise QueryRefused("$mod by 0")
    if all(isinstance(one, int) for one in found):
        rest = abs(found[0]) % abs(found[1])
        return -rest if found[0] < 0 else rest
    return math.fmod(found[0], found[1])


def _concat(found: list[Any]) -> Any:
    if any(rank(one) == 1 for one in found):
        return None
    if not all(isinstance(one, str) for one in found):
        raise QueryRefused("$concat takes texts")
    return "".join(found)


def _case(found: list[Any], to: Callable[[str], str]) -> str:
    if rank(found[0]) == 1:
        return ""
    if not isinstance(found[0], str):
        raise QueryRefused("$toLower and $toUpper take a text")
    return to(found[0])


def _first_known(found: list[Any]) -> Any:
    return next((one for one in found if rank(one) != 1), found[-1] if found else None)


def _size(found: list[Any]) -> int:
    if not isinstance(found[0], list):
        raise QueryRefused("$size takes a list")
    return len(found[0])


def _element(found: list[Any]) -> Any:
    if rank(found[0]) == 1 or rank(found[1]) == 1:
        return None
    if not isinstance(found[0], list) or not isinstance(found[1], int):
        raise QueryRefused("$arrayElemAt takes a list and a number")
    place = found[1]
    return found[0][place] if -len(found[0]) <= place < len(found[0]) else MISSING


def _inside(found: list[Any]) -> bool:
    if not isinstance(found[1], list):
        raise QueryRefused("$in takes a value and a list")
    return key(found[0]) in {key(one) for one in found[1]}


def _joined(found: list[Any]) -> Any:
    if any(rank(one) == 1 for one in found):
        return None
    if not all(isinstance(one, list) for one in found):
        raise QueryRefused("$concatArrays takes lists")
    return [one for each in found for one in each]


def _order(value: Any) -> tuple[Any, ...]:
    return (0,) if value is MISSING else key(value)


_WORK: Mapping[str, tuple[Callable[[list[Any]], Any], int | None]] = {
    "$add": (_numbers("$add", sum), None),
    "$subtract": (_numbers("$subtract", lambda found: found[0] - found[1]), 2),
    "$multiply": (_numbers("$multiply", math.prod), None),
    "$divide": (_numbers("$divide", _divide), 2),
    "$mod": (_numbers("$mod", _mod), 2),
    "$abs": (_numbers("$abs", lambda found: abs(found[0])), 1),
    "$concat": (_concat, None),
    "$toLower": (lambda found: _case(found, str.lower), 1),
    "$toUpper": (lambda found: _case(found, str.upper), 1),
    "$ifNull": (_first_known, None),
    "$eq": (lambda found: _order(found[0]) == _order(found[1]), 2),
    "$ne": (lambda found: _order(found[0]) != _order(found[1]), 2),
    "$gt": (lambda found: _order(found[0]) > _order(found[1]), 2),
    "$gte": (lambda found: _order(found[0]) >= _order(found[1]), 2),
    "$lt": (lambda found: _order(found[0]) < _order(found[1]), 2),
    "$lte": (lambda found: _order(found[0]) <= _order(found[1]), 2),
    "$and": (lambda found: all(map(is_true, found)), None),
    "$or": (lambda found: any(map(is_true, found)), None),
    "$not": (lambda found: not is_true(found[0]), 1),
    "$in": (_inside, 2),
    "$size": (_size, 1),
    "$arrayElemAt": (_element, 2),
    "$concatArrays": (_joined, None),
}
