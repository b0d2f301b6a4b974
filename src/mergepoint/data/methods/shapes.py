"""Rows to what a header declares.

Place:  methods.run -> [methods.shapes] -> sqlalchemy
Rule:   a row that does not fit is an error with file:line, never a guess.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import Executable, Result, TextClause, inspect, select
from sqlalchemy.exc import NoInspectionAvailable

from mergepoint.data.errors import ShapeRefused
from mergepoint.data.methods.contract import TYPES, Method, Shape
from mergepoint.data.methods.statement import fits

Make = Callable[[Any], Any]


def find(target: str) -> Any:
    """Return the class `module:Class`; raise `ValueError` saying what is wrong."""
    module, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{target} cannot be imported: {error}") from None
    if not dataclasses.is_dataclass(found) and not is_model(found):
        raise ValueError(f"{target} is neither a dataclass nor a SQLAlchemy model")
    return found


def is_model(target: Any) -> bool:
    """Tell whether SQLAlchemy maps this class."""
    try:
        inspect(target)
    except NoInspectionAvailable:
        return False
    return True


def selecting(clause: TextClause, target: Any) -> Executable:
    """Return the statement, one that gives objects where the target is a model."""
    if target is not None and is_model(target):
        return select(target).from_statement(clause)
    return clause


def maker(method: Method, result: Any, target: Any) -> Make:
    """Return what turns one row into an object; raise `ShapeRefused` for wrong columns."""
    if target is None:
        return lambda row: row
    if is_model(target):
        return lambda row: row[0]
    columns = list(result.keys())
    wanted = {one.name for one in dataclasses.fields(target) if one.init}
    needed = {one.name for one in dataclasses.fields(target) if _is_needed(one)}
    if set(columns) - wanted or needed - set(columns):
        raise ShapeRefused(
            f"{method.where}: {method.name} gives columns {', '.join(columns)}; "
            f"{method.target} takes {', '.join(sorted(wanted))}"
        )
    return lambda row: target(**row._mapping)


def shaped(method: Method, result: Result[Any], target: Any, rows_max: int) -> Any:
    """Return what the method declares; raise `ShapeRefused`."""
    shape = method.shape
    if shape is Shape.AFFECTED:
        return getattr(result, "rowcount", 0)
    if not getattr(result, "returns_rows", True):
        raise ShapeRefused(f"{method.where}: {method.name} returns no rows; declare -> affected")
    if shape is Shape.SCALAR:
        return _scalar(method, result)
    make = maker(method, result, target)
    if shape is Shape.ROWS:
        rows = result.fetchmany(rows_max + 1)
        if len(rows) > rows_max:
            result.close()
            raise ShapeRefused(
                f"{method.where}: {method.name} gives more than {rows_max} rows",
                next="declare -> stream, add a LIMIT, or raise rows_max",
            )
        return [make(row) for row in rows]
    rows = result.fetchmany(2)
    result.close()
    if len(rows) > 1 or (not rows and shape is Shape.ONE):
        count = "more than one row" if rows else "no row"
        raise ShapeRefused(f"{method.where}: {method.name} gives {count}")
    return make(rows[0]) if rows else None


def _scalar(method: Method, result: Result[Any]) -> Any:
    columns = list(result.keys())
    if len(columns) != 1:
        raise ShapeRefused(f"{method.where}: {method.name} gives {len(columns)} columns, not one")
    row = result.first()
    value = None if row is None else row[0]
    if value is None or not method.target:
        return value
    if method.target == "bool" and value in (0, 1):
        return bool(value)  # SQLite has no type of its own for it
    if not fits(method.target, value) or not isinstance(value, TYPES[method.target]):
        kind = type(value).__name__
        raise ShapeRefused(
            f"{method.where}: {method.name} gives {kind}; it declares {method.target}"
        )
    return value


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing
