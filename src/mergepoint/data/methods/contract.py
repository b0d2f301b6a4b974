"""A SQL method as its file declares it.

Place:  [methods.contract] <- methods.declare, parse, run, check, stubs
Rule:   a leaf: data alone.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mergepoint.data.methods.scan import Scanned


class Shape(StrEnum):
    """What a method returns."""

    ROWS = "rows"
    """A list, of at most `rows_max`."""
    ONE = "one"
    """Exactly one row; `ShapeRefused` for another number."""
    OPTIONAL = "optional"
    """One row or None; `ShapeRefused` for more."""
    SCALAR = "scalar"
    """The only value of the first row; None where there is no row."""
    AFFECTED = "affected"
    """How many rows were changed."""
    STREAM = "stream"
    """A generator that holds `stream_rows` at a time."""


TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "bytes": (bytes,),
    "date": (datetime.date,),
    "datetime": (datetime.datetime,),
    "time": (datetime.time,),
    "Decimal": (decimal.Decimal, int),
    "UUID": (uuid.UUID,),
    "json": (dict, list, str, int, float, bool),
}
"""What a header may say of a parameter, and what is taken for it."""
REQUIRED: Any = object()
"""No default."""


@dataclass(frozen=True)
class Parameter:
    """One `:name`."""

    name: str
    type: str = ""
    """A key of `TYPES`; empty: anything."""
    is_list: bool = False
    nullable: bool = False
    default: Any = REQUIRED


@dataclass(frozen=True)
class Method:
    """One statement with a name, for one dialect or for all."""

    name: str
    parameters: tuple[Parameter, ...]
    shape: Shape
    target: str
    """`module:Class` for rows, a type of `TYPES` for a scalar; empty: SQLAlchemy's rows."""
    dialect: str
    file: Path
    line: int
    doc: str = ""
    scanned: Scanned = field(default=Scanned("", (), frozenset(), "", ()), repr=False)

    @property
    def where(self) -> str:
        """Its place, as file:line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Mistake:
    """Something wrong in a file."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"
