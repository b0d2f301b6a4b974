"""The header of a SQL method.

Place:  methods.parse -> [methods.declare] -> methods.contract
Rule:   pure; raises `ValueError` with what is wrong, whoever reads the file knows where.

    -- name: late(day: date, limit: int = 20) -> rows shop.models:Ticket [postgresql]

Without parentheses the parameters are those of the statement, of any type. `name^`, `name$` and
`name!` of aiosql's files mean optional, scalar and affected.
"""

from __future__ import annotations

import ast
import keyword
import re
from difflib import get_close_matches
from typing import NamedTuple

from mergepoint.data.methods.contract import REQUIRED, TYPES, Parameter, Shape

DIALECTS = ("sqlite", "postgresql")
HEADER = re.compile(r"--\s*name:\s*(.*)")
_PARTS = re.compile(
    r"(?P<name>\w+)(?P<sign>[\^$!]?)\s*(?:\((?P<parameters>.*)\))?\s*"
    r"(?:->\s*(?P<shape>\w+)(?:\s+(?P<target>[^\[]+?))?)?\s*(?:\[(?P<dialect>\w+)\])?"
)
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_TYPE = re.compile(r"(?:(?P<list>list)\[(?P<of>\w+)\]|(?P<plain>\w+))(?P<null>\s*\|\s*None)?")
SIGNS = {"": Shape.ROWS, "^": Shape.OPTIONAL, "$": Shape.SCALAR, "!": Shape.AFFECTED}
RESERVED = frozenset(("session",))


class Header(NamedTuple):
    """What one header says; `parameters` is None where it leaves them to the statement."""

    name: str
    parameters: tuple[Parameter, ...] | None
    shape: Shape
    target: str
    dialect: str


def header(text: str) -> Header:
    """Return what stands after `-- name:`."""
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is no header: -- name: NAME(a: int) -> rows")
    name = found["name"]
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ValueError(f"{name!r} is no name of a function")
    dialect = found["dialect"] or ""
    if dialect and dialect not in DIALECTS:
        raise ValueError(f"dialect {dialect!r} is none of {', '.join(DIALECTS)}")
    shape = _shape(found["shape"]) if found["shape"] else SIGNS[found["sign"]]
    target = (found["target"] or "").strip()
    _check_target(shape, target)
    parameters = None if found["parameters"] is None else _parameters(found["parameters"])
    return Header(name, parameters, shape, target, dialect)


def parameter(text: str) -> Parameter:
    """Return one parameter: `name`, `name: type`, `name: list[int] | None = None`."""
    before, _, default = text.partition("=")
    name, _, kind = (part.strip() for part in before.partition(":"))
    if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED:
        raise ValueError(f"{name!r} is no name of a parameter")
    value = _literal(name, default.strip()) if default.strip() else REQUIRED
    if not kind:
        return Parameter(name, nullable=True, default=value)
    found = _TYPE.fullmatch(kind)
    word = (found["of"] or found["plain"]) if found else kind
    if found is None or word not in TYPES:
        near = get_close_matches(word, TYPES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name}: {kind!r} is none of {', '.join(TYPES)}, list[...]{hint}")
    return Parameter(name, word, found["list"] is not None, bool(found["null"]), value)


def _parameters(text: str) -> tuple[Parameter, ...]:
    pieces = [piece for piece in re.split(r",(?![^\[(]*[\])])", text) if piece.strip()]
    read = tuple(parameter(piece) for piece in pieces)
    names = [one.name for one in read]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"parameter {min(twice)!r} comes twice")
    return read


def _shape(word: str) -> Shape:
    try:
        return Shape(word)
    except ValueError:
        near = get_close_matches(word, list(Shape), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"shape {word!r} is none of {', '.join(Shape)}{hint}") from None


def _check_target(shape: Shape, target: str) -> None:
    if not target:
        return
    if shape is Shape.AFFECTED:
        raise ValueError("affected is a number; it takes no class")
    if shape is Shape.SCALAR:
        if target not in TYPES:
            raise ValueError(f"scalar {target!r} is none of {', '.join(TYPES)}")
    elif not _TARGET.fullmatch(target):
        raise ValueError(f"{target!r} is no module:Class")


def _literal(name: str, text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"{name}: default {text!r} is no literal") from None
