"""Tasks as JSON: the frozen dataclasses of the contract to plain values, and back.

Place:  ledger.rows, ledger.hub, ledger.extension -> [ledger.documents]
Rule:   pure; defaults are left out and unknown fields ignored, so old and new read each other.
"""

from __future__ import annotations

import base64
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
PLAIN = frozenset((str, int, float, bool, type(None)))
"""What JSON holds as it is."""


@functools.cache
def _converter() -> Callable[[Any, Any], Any] | None:
    """Return msgspec's converter where that is installed: it reads what `_reader` reads, in C.

    Asked for at first use: an app that imports Mergepoint loads nothing but the standard library.
    """
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec.convert


def to_plain(value: Any) -> Any:
    """Return what JSON can hold; bytes become base64, what equals its default is left out."""
    # Any: mypy knows no hashable types.
    kind: Any = type(value)
    return _writer(kind)(value)


def from_plain(kind: type[T], plain: Any, **beside: Any) -> T:
    """Return the value of this type; raise `ValueError` where the document is not one.

    `beside`: fields of a dataclass that come another way.
    """
    try:
        convert = _converter()
        if convert is not None:
            result: T = convert({**plain, **beside} if beside else plain, kind)
            return result
        # Any: mypy knows no hashable types.
        hashable: Any = kind
        read = _reader(hashable)
        result = read(plain, **beside) if beside else read(plain)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"no {getattr(kind, '__name__', kind)}: {error}") from None
    return result


@functools.cache
def _writer(kind: type) -> Callable[[Any], Any]:
    """Return how to write values of exactly this type; found once for each."""
    if kind in PLAIN:
        return _as_it_is
    if issubclass(kind, bytes):
        return lambda value: base64.b64encode(value).decode()
    if issubclass(kind, StrEnum):
        return lambda value: value.value
    if is_dataclass(kind):
        return _dataclass_writer(kind)
    if issubclass(kind, Mapping):
        return lambda value: {str(name): to_plain(held) for name, held in value.items()}
    if issubclass(kind, tuple | list | frozenset):
        return lambda value: [to_plain(held) for held in value]
    raise TypeError(f"{kind.__name__} is no part of a document")


def _as_it_is(value: Any) -> Any:
    return value


def _dataclass_writer(kind: type) -> Callable[[Any], Any]:
    defaults = _defaults(kind)

    def write(value: Any) -> Any:
        plain = {}
        for name, default in defaults:
            held = getattr(value, name)
            # Most fields are their defaults, and most of those the very object.
            if held is default or held == default:
                continue
            plain[name] = held if type(held) in PLAIN else to_plain(held)
        return plain

    return write


@functools.cache
def _defaults(kind: type) -> list[tuple[str, Any]]:
    made = []
    for each in fields(kind):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        made.append((each.name, default))
    return made


@functools.cache
def _reader(kind: Any) -> Callable[..., Any]:
    """Return how to read one type; built once for each."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (present,) = [each for each in inner if each is not types.NoneType]
        read = _reader(present)
        return lambda plain: None if plain is None else read(plain)
    if kind is bytes:
        return lambda plain: base64.b64decode(plain, validate=True)
    if kind is float:
        return float
    if origin is tuple and inner[-1] is Ellipsis:
        read = _reader(inner[0])
        return lambda plain: tuple(read(each) for each in plain)
    if origin is tuple:
        reads = [_reader(each) for each in inner]
        return lambda plain: tuple(r(each) for r, each in zip(reads, plain, strict=True))
    if origin is list:
        read = _reader(inner[0])
        return lambda plain: [read(each) for each in plain]
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_reader(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict
    return lambda plain: _checked(plain, kind)


def _dataclass_reader(kind: type) -> Callable[..., Any]:
    reads = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}

    def read(plain: Any, **beside: Any) -> Any:
        told = {name: reads[name](held) for name, held in plain.items() if name in reads}
        return kind(**told, **beside)

    return read


def _checked(plain: Any, kind: Any) -> Any:
    if not isinstance(plain, kind):
        raise TypeError(f"{plain!r} is no {kind.__name__}")
    return plain
