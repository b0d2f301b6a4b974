"""A method as SQLAlchemy executes it, and its arguments as it is given them.

Place:  methods.run, methods.check -> [methods.statement] -> sqlalchemy
Rule:   pure; refuses an argument before the database sees it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Date, DateTime, TextClause, Time, Uuid, bindparam, text
from sqlalchemy.types import TypeEngine

from mergepoint.data.errors import ParameterRefused
from mergepoint.data.methods.contract import REQUIRED, TYPES, Method, Parameter

LIST_MAX = 10_000
"""Values a list may have; SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535."""
_SQLITE_TYPES: Mapping[str, type[TypeEngine[Any]]] = {
    "date": Date,
    "datetime": DateTime,
    "time": Time,
    "UUID": Uuid,
}
"""What sqlite3 cannot keep by itself; PostgreSQL finds the types by itself."""


def statement(method: Method, kind: str) -> TextClause:
    """Return what is executed on this kind of database."""
    made = text(method.scanned.text)
    binds = []
    for one in method.parameters:
        type_: type[TypeEngine[Any]] | None = JSON if one.type == "json" else None
        if kind == "sqlite" and type_ is None:
            type_ = _SQLITE_TYPES.get(one.type)
        if one.is_list:
            binds.append(bindparam(one.name, expanding=True, type_=type_))
        elif type_ is not None:
            binds.append(bindparam(one.name, type_=type_))
    return made.bindparams(*binds) if binds else made


def arguments(method: Method, given: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by name; raise `ParameterRefused`."""
    names = [one.name for one in method.parameters]
    if len(given) > len(names):
        raise ParameterRefused(f"{method.name} takes {len(names)} parameters, not {len(given)}")
    values = dict(zip(names, given, strict=False))
    for name, value in named.items():
        if name not in names:
            known = ", ".join(names) or "none"
            raise ParameterRefused(f"{method.name} has no parameter {name!r}; there are {known}")
        if name in values:
            raise ParameterRefused(f"{method.name} got {name!r} twice")
        values[name] = value
    for one in method.parameters:
        if one.name not in values:
            if one.default is REQUIRED:
                raise ParameterRefused(f"{method.name} needs {one.name!r} ({method.where})")
            values[one.name] = one.default
        _check(method, one, values[one.name])
    return values


def _check(method: Method, one: Parameter, value: Any) -> None:
    if value is None and (one.nullable or one.default is None):
        return
    if one.is_list:
        if not isinstance(value, list | tuple | set | frozenset):
            raise _refused(method, one, value)
        if len(value) > LIST_MAX:
            raise ParameterRefused(
                f"{method.name}: {one.name} has {len(value)} values; it takes {LIST_MAX}"
            )
        for each in value:
            if one.type and not fits(one.type, each):
                raise _refused(method, one, each)
    elif one.type and not fits(one.type, value):
        raise _refused(method, one, value)


def fits(kind: str, value: Any) -> bool:
    """Tell whether a value is of a type of `TYPES`. Pure."""
    if isinstance(value, bool):
        return kind in ("bool", "json")
    if isinstance(value, datetime.datetime):
        return kind == "datetime"
    return isinstance(value, TYPES[kind])


def _refused(method: Method, one: Parameter, value: Any) -> ParameterRefused:
    wanted = f"list[{one.type}]" if one.is_list else one.type
    return ParameterRefused(
        f"{method.name}: {one.name} must be {wanted or 'a list'}, not {type(value).__name__}"
        f" ({method.where})"
    )
