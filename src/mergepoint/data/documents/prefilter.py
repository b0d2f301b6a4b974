"""A filter to SQL that leaves out what cannot match, so that indexes are used.

Place:  documents.operations -> [documents.prefilter]
Rule:   pure; may let too much through, never too little: `documents.match` decides.

What MongoDB finds in lists, SQL does not see at a path, so wherever a list stands on the way the
document is let through.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.data.documents.match import is_operators
from mergepoint.data.documents.paths import parts_of

ALL = "true"
ALTERNATIVES_MAX = 200
"""Values of `$in`, or branches of `$or`, that are handed to the database."""
_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


@dataclass
class Where:
    """A condition and the values of its parameters."""

    sql: str = ALL
    values: dict[str, Any] = field(default_factory=dict)
    exact: bool = False
    """Whether it decides by itself."""


def where(query: Mapping[str, Any] | None, kind: str) -> Where:
    """Return the condition for a checked filter."""
    if not query:
        return Where(ALL, exact=True)
    made = _Maker(kind)
    exact = list(query) == ["_id"] and _is_id(query["_id"])
    return Where(made.query(query), made.values, exact)


def id_text(id_: Any) -> str:
    """Return how an `_id` is kept in its column: 1 and "1" differ, 1 and 1.0 do not."""
    if isinstance(id_, float) and id_ == int(id_):
        id_ = int(id_)
    return json.dumps(id_, ensure_ascii=False)


def names_sqlite(parts: tuple[str, ...]) -> str:
    """Return a path as SQLite's JSON functions take it, quoted as text in SQL."""
    path = "$" + "".join(f'."{part}"' for part in parts)
    return "'" + path.replace("'", "''") + "'"


def names_postgresql(parts: tuple[str, ...]) -> str:
    """Return a path as PostgreSQL's `#>` takes it, quoted as text in SQL."""
    listed = ",".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    return "'{" + listed.replace("'", "''") + "}'"


def value_at(parts: tuple[str, ...], kind: str) -> str:
    """Return the expression of the value at a path; an index over it is used by `where`."""
    if kind == "sqlite":
        return f"json_extract(body, {names_sqlite(parts)})"
    return f"(body #> {names_postgresql(parts)})"


def list_at(parts: tuple[str, ...], kind: str) -> str:
    """Return the expression of whether a list stands at a path."""
    if kind == "sqlite":
        return f"(json_type(body, {names_sqlite(parts)}) = 'array')"
    return f"(jsonb_typeof(body #> {names_postgresql(parts)}) = 'array')"


def usable(parts: tuple[str, ...]) -> bool:
    """Tell whether a path can be written in SQL as it is; colons would be parameters."""
    return all(re.fullmatch(r"[\w \-]+", part) for part in parts)


class _Maker:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values: dict[str, Any] = {}

    def query(self, query: Mapping[str, Any]) -> str:
        found = [self._clause(name, value) for name, value in query.items()]
        kept = [one for one in found if one != ALL]
        return " AND ".join(kept) if kept else ALL

    def _clause(self, name: str, value: Any) -> str:
        if name == "$and":
            return self._joined([self.query(one) for one in value], " AND ")
        if name == "$or" and len(value) <= ALTERNATIVES_MAX:
            branches = [self.query(one) for one in value]
            return ALL if ALL in branches else self._joined(branches, " OR ")
        if name.startswith("$") or isinstance(value, re.Pattern):
            return ALL
        parts = parts_of(name)
        if not is_operators(value):
            return self._equal(parts, [value])
        return self._joined(
            [self._operator(parts, sign, one) for sign, one in value.items()], " AND "
        )

    def _operator(self, parts: tuple[str, ...], sign: str, value: Any) -> str:
        if sign == "$eq":
            return self._equal(parts, [value])
        if sign == "$in":
            return self._equal(parts, list(value))
        if sign in _COMPARISONS:
            return self._compared(parts, _COMPARISONS[sign], value)
        return ALL

    def _equal(self, parts: tuple[str, ...], wanted: list[Any]) -> str:
        if parts == ("_id",) and all(_is_id(one) for one in wanted):
            if len(wanted) > ALTERNATIVES_MAX:
                return ALL
            return self._among("id", [id_text(one) for one in wanted])
        if not usable(parts) or len(wanted) > ALTERNATIVES_MAX:
            return ALL
        if not all(isinstance(one, bool | int | float | str) for one in wanted):
            return ALL
        if not all(_fits_sqlite(one) for one in wanted):
            return ALL
        if self.kind == "sqlite":
            found = self._among(value_at(parts, "sqlite"), wanted)
        else:
            listed = ", ".join(f"CAST({self._value(json.dumps(one))} AS jsonb)" for one in wanted)
            found = f"{value_at(parts, self.kind)} IN ({listed})" if wanted else "false"
        return self._or_list(parts, found)

    def _among(self, expression: str, wanted: list[Any]) -> str:
        if not wanted:
            return "false"
        return f"{expression} IN ({', '.join(self._value(one) for one in wanted)})"

    def _compared(self, parts: tuple[str, ...], sign: str, value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable(parts) or not number or not _fits_sqlite(value):
            return ALL
        expression = value_at(parts, self.kind)
        if self.kind == "sqlite":
            return self._or_list(parts, f"{expression} {sign} {self._value(value)}")
        literal = f"CAST({self._value(json.dumps(value))} AS jsonb)"
        return self._or_list(parts, f"{expression} {sign} {literal}")

    def _or_list(self, parts: tuple[str, ...], found: str) -> str:
        # A number in a path may be the element of a list that stands before it: covered, too.
        lists = [list_at(parts[: n + 1], self.kind) for n in range(len(parts))]
        return "(" + " OR ".join([found, *lists]) + ")"

    def _joined(self, found: list[str], word: str) -> str:
        kept = [one for one in found if one != ALL]
        return "(" + word.join(f"({one})" for one in kept) + ")" if kept else ALL

    def _value(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _fits_sqlite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63
