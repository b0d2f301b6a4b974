"""A filter to a function that says whether a document matches.

Place:  documents.collection, pipeline, update -> [documents.match] -> documents.paths, values
Rule:   pure; the one place that decides, whatever the engine underneath has sorted out before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mergepoint.data.documents.contract import FILTER_OPERATORS, LOGICAL_OPERATORS
from mergepoint.data.documents.paths import parts_of, values
from mergepoint.data.documents.values import MISSING, key, rank, value_of
from mergepoint.data.errors import DocumentRefused, QueryRefused

Match = Callable[[Any], bool]
"""Whether a document matches."""
Test = Callable[[list[Any]], bool]
"""Whether what was found at a path does."""
FILTER_DEPTH_MAX = 50
REGEX_CHARACTERS_MAX = 1000
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
TYPES: Mapping[str | int, str] = {
    "double": "double", "string": "string", "object": "object", "array": "array", "bool": "bool",
    "date": "date", "null": "null", "int": "int", "long": "long", "number": "number",
    1: "double", 2: "string", 3: "object", 4: "array", 8: "bool", 9: "date", 10: "null", 16: "int",
    18: "long",
}  # fmt: skip


def matcher(query: Mapping[str, Any] | None, depth: int = 0) -> Match:
    """Return the function; raise `QueryRefused` for what is not understood."""
    if query is None:
        return lambda _: True
    if not isinstance(query, Mapping):
        raise QueryRefused(f"a filter is a dict, not {type(query).__name__}")
    if depth > FILTER_DEPTH_MAX:
        raise QueryRefused(f"a filter deeper than {FILTER_DEPTH_MAX}")
    tests = [_clause(name, value, depth) for name, value in query.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def is_operators(value: Any) -> bool:
    """Tell whether a value is `{"$gt": 5}`; raise `QueryRefused` for a mixture."""
    if not isinstance(value, Mapping) or not value:
        return False
    with_sign = [isinstance(name, str) and name.startswith("$") for name in value]
    if any(with_sign) and not all(with_sign):
        raise QueryRefused(f"operators and fields in one: {', '.join(map(str, value))}")
    return all(with_sign)


def literal(value: Any) -> Any:
    """Return a value of a query as documents have it; raise `QueryRefused`."""
    try:
        return value_of(value, "")
    except DocumentRefused as error:
        raise QueryRefused(error.message) from None


def _clause(name: str, value: Any, depth: int) -> Match:
    if name in LOGICAL_OPERATORS:
        return _logical(name, value, depth)
    if isinstance(name, str) and name.startswith("$"):
        known = ", ".join(LOGICAL_OPERATORS)
        raise QueryRefused(f"{name} is not supported here; there are {known}")
    parts = parts_of(name)
    test = tested(value, depth)
    return lambda document: test(list(values(document, parts)))


def _logical(name: str, value: Any, depth: int) -> Match:
    if not isinstance(value, list | tuple) or not value:
        raise QueryRefused(f"{name} takes a list that is not empty")
    each = [matcher(one, depth + 1) for one in value]
    if name == "$and":
        return lambda document: all(match(document) for match in each)
    if name == "$or":
        return lambda document: any(match(document) for match in each)
    return lambda document: not any(match(document) for match in each)


def tested(value: Any, depth: int) -> Test:
    """Return the test of `field: value`."""
    if isinstance(value, re.Pattern):
        return _regex(value)
    if not is_operators(value):
        return _equal(literal(value))
    if "$options" in value and "$regex" not in value:
        raise QueryRefused("$options without $regex")
    tests = [_operator(name, value[name], value, depth) for name in value if name != "$options"]
    return lambda found: all(test(found) for test in tests)


def _operator(name: str, value: Any, beside: Mapping[str, Any], depth: int) -> Test:
    if name in _COMPARISONS:
        return _compared(name, literal(value))
    simple = _SIMPLE.get(name)
    if simple is not None:
        return simple(value)
    if name == "$regex":
        return _regex(pattern(value, beside.get("$options", "")))
    if name in ("$in", "$nin"):
        return _in(value, wanted=name == "$in")
    if name == "$not":
        if not isinstance(value, re.Pattern) and not is_operators(value):
            raise QueryRefused("$not takes operators")
        inner = tested(value, depth + 1)
        return lambda found: not inner(found)
    if name == "$elemMatch":
        element = element_matcher(value, depth + 1)
        return lambda found: any(
            isinstance(one, list) and any(element(each) for each in one) for one in found
        )
    if name == "$all":
        return _all(value, depth)
    raise QueryRefused(f"{name} is not supported; there are {', '.join(FILTER_OPERATORS)}")


def element_matcher(value: Any, depth: int) -> Match:
    """Return the test of one element of a list, for `$elemMatch` and `$pull`."""
    if is_operators(value) and not set(value) & set(LOGICAL_OPERATORS):
        test = tested(value, depth)
        return lambda element: test([element])
    if not isinstance(value, Mapping):
        raise QueryRefused("$elemMatch takes a dict")
    inner = matcher(value, depth)
    return lambda element: isinstance(element, dict | list) and inner(element)


def pattern(value: Any, options: Any) -> re.Pattern[str]:
    """Return a compiled pattern; raise `QueryRefused`."""
    if isinstance(value, re.Pattern):
        if options:
            raise QueryRefused("$options beside a compiled pattern")
        return value
    if not isinstance(value, str) or len(value) > REGEX_CHARACTERS_MAX:
        raise QueryRefused(f"$regex takes a text of at most {REGEX_CHARACTERS_MAX} characters")
    if not isinstance(options, str) or set(options) - set(_FLAGS):
        raise QueryRefused(f"$options are some of {''.join(_FLAGS)}")
    flags = re.RegexFlag(0)
    for letter in options:
        flags |= _FLAGS[letter]
    try:
        return re.compile(value, flags)
    except re.error as error:
        raise QueryRefused(f"$regex {value!r}: {error}") from None


def each(found: list[Any]) -> list[Any]:
    """Return the values, and the elements of those that are lists."""
    expanded = []
    for value in found:
        if isinstance(value, list):
            expanded.extend(value)
        expanded.append(value)
    return expanded


def _equal(value: Any) -> Test:
    wanted = key(value)
    return lambda found: any(key(one) == wanted for one in each(found))


def _in(value: Any, *, wanted: bool) -> Test:
    if not isinstance(value, list | tuple):
        raise QueryRefused("$in and $nin take a list")
    patterns = [_regex(one) for one in value if isinstance(one, re.Pattern)]
    keys = {key(literal(one)) for one in value if not isinstance(one, re.Pattern)}

    def test(found: list[Any]) -> bool:
        inside = any(key(one) in keys for one in each(found))
        return (inside or any(one(found) for one in patterns)) is wanted

    return test


def _compared(name: str, value: Any) -> Test:
    if name == "$eq":
        return _equal(value)
    if name == "$ne":
        same = _equal(value)
        return lambda found: not same(found)
    kind, wanted, compare = rank(value), key(value), _COMPARISONS[name]
    if kind == 1:  # null and missing are neither less nor more than null
        return _equal(None) if name in ("$gte", "$lte") else lambda _: False
    return lambda found: any(
        rank(one) == kind and one is not MISSING and compare(key(one), wanted)
        for one in each(found)
    )


def _exists(value: Any) -> Test:
    wanted = bool(value)
    return lambda found: any(one is not MISSING for one in found) is wanted


def _size(value: Any) -> Test:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise QueryRefused("$size takes a whole number")
    if value < 0:
        raise QueryRefused("$size takes no negative number")
    return lambda found: any(isinstance(one, list) and len(one) == value for one in found)


def _mod(value: Any) -> Test:
    good = isinstance(value, list | tuple) and len(value) == 2
    if not good or any(isinstance(n, bool) or not isinstance(n, int | float) for n in value):
        raise QueryRefused("$mod takes [divisor, remainder]")
    divisor, remainder = int(value[0]), int(value[1])
    if divisor == 0:
        raise QueryRefused("$mod by 0")
    return lambda found: any(
        rank(one) == 2 and truncated(int(one), divisor) == remainder for one in each(found)
    )


def truncated(number: int, divisor: int) -> int:
    """Return the remainder with the sign of the number, as C and MongoDB have it. Pure."""
    rest = abs(number) % abs(divisor)
    return -rest if number < 0 else rest


def _type(value: Any) -> Test:
    names = value if isinstance(value, list | tuple) else [value]
    kinds = set()
    for one in names:
        if isinstance(one, bool) or one not in TYPES:
            known = ", ".join(str(name) for name in TYPES if isinstance(name, str))
            raise QueryRefused(f"$type {one!r} is none of {known}")
        kinds.add(TYPES[one])
    return lambda found: any(_is_type(one, kinds) for one in each(found))


def _is_type(value: Any, kinds: set[str]) -> bool:
    if value is MISSING:
        return False
    number = {"double"} if isinstance(value, float) else {"int"}
    if rank(value) == 2:
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            number = {"long"}
        return bool(kinds & (number | {"number"}))
    names = {1: "null", 3: "string", 4: "object", 5: "array", 8: "bool", 9: "date"}
    return names[rank(value)] in kinds


def _regex(compiled: re.Pattern[str]) -> Test:
    return lambda found: any(isinstance(one, str) and compiled.search(one) for one in each(found))


def _all(value: Any, depth: int) -> Test:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise QueryRefused("$all takes a list")
    tests = []
    for one in value:
        if isinstance(one, Mapping) and set(one) == {"$elemMatch"}:
            tests.append(_operator("$elemMatch", one["$elemMatch"], one, depth))
        elif isinstance(one, re.Pattern):
            tests.append(_regex(one))
        else:
            tests.append(_equal(literal(one)))
    return lambda found: bool(tests) and all(test(found) for test in tests)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda a, b: bool(a == b),
    "$ne": lambda a, b: bool(a != b),
    "$gt": lambda a, b: bool(a > b),
    "$gte": lambda a, b: bool(a >= b),
    "$lt": lambda a, b: bool(a < b),
    "$lte": lambda a, b: bool(a <= b),
}
_SIMPLE: Mapping[str, Callable[[Any], Test]] = {
    "$exists": _exists,
    "$size": _size,
    "$mod": _mod,
    "$type": _type,
}
