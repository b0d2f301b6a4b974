"""Values that JSON does not know, as objects with one key that begins with `$`.

Place:  wire.serializers.json_values, .msgpack_values -> [wire.serializers.plain]
Rule:   pure; what is written comes back equal, except where the table says otherwise.

    datetime    {"$datetime": "2026-11-21T16:40:00+00:00"}      comes back equal, with its offset
    date, time  {"$date": "2026-11-21"}, {"$time": "16:40:00"}
    timedelta   {"$seconds": 1.5}
    UUID        {"$uuid": "0b1e..."}
    Decimal     {"$decimal": "1.10"}                            comes back with its zeros
    bytes       {"$bytes": "base64"}
    set         {"$set": [...]}                                 frozenset comes back as set
    tuple       [...]                                           comes back as list
    Enum        its value                                       comes back as the value
    dataclass   {"field": ...}                                  comes back as dict

A key of a value's own that begins with `$` is written with one more `$`, and comes back without.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from mergepoint.wire.serializers.contract import Refused

DEPTH_MAX = 100
"""How deep lists and objects may lie in each other."""
MARK = "$"
INTEGER_BITS_MAX = 4096

_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "$datetime", datetime.isoformat),
    (date, "$date", date.isoformat),
    (time, "$time", time.isoformat),
    (timedelta, "$seconds", timedelta.total_seconds),
    (UUID, "$uuid", str),
    (Decimal, "$decimal", str),
)
_READERS: dict[str, Callable[[Any], Any]] = {
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$seconds": lambda seconds: timedelta(seconds=seconds),
    "$uuid": UUID,
    "$decimal": Decimal,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$set": set,
}


def to_plain(value: Any, *, keeps_bytes: bool = False) -> Any:
    """Return the value in what JSON knows; `keeps_bytes` for a format that has bytes itself."""
    return _written(value, "value", 0, keeps_bytes)


def from_plain(object_: dict[str, Any]) -> Any:
    """Return what one object stands for, its insides done already: a hook for readers."""
    if not any(key.startswith(MARK) for key in object_):
        return object_
    if len(object_) == 1:
        ((key, inner),) = object_.items()
        if key in _READERS:
            try:
                return _READERS[key](inner)
            except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
                raise Refused(f"{key} with {str(inner)[:60]!r}: {error}") from None
    unknown = [key for key in object_ if key.startswith(MARK) and key[1:2] != MARK]
    if unknown:
        raise Refused(f"{unknown[0]!r} is no type this version reads")
    return {key[1:] if key.startswith(MARK) else key: inner for key, inner in object_.items()}


def walked(value: Any) -> Any:
    """Return a whole value read by a format without hooks, innermost objects first."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Refused("an object has a key that is no text")
        return from_plain({key: walked(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return [walked(inner) for inner in value]
    return value


def _written(value: Any, path: str, depth: int, keeps_bytes: bool) -> Any:
    if depth > DEPTH_MAX:
        raise Refused(f"{path[:80]}: more than {DEPTH_MAX} values inside each other")
    if isinstance(value, Enum):
        return _written(value.value, path, depth + 1, keeps_bytes)
    if value is None or isinstance(value, str | bool | int | float):
        return _scalar(value, path)
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        return raw if keeps_bytes else {"$bytes": base64.b64encode(raw).decode()}
    if isinstance(value, Mapping):
        return {
            _key(key, path): _written(inner, f"{path}[{key!r}]", depth + 1, keeps_bytes)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _written(inner, f"{path}[{number}]", depth + 1, keeps_bytes)
            for number, inner in enumerate(value)
        ]
    if isinstance(value, set | frozenset):
        inner = [_written(one, f"{path}{{}}", depth + 1, keeps_bytes) for one in value]
        return {"$set": sorted(inner, key=repr)}
    return _object(value, path, depth, keeps_bytes)


def _object(value: Any, path: str, depth: int, keeps_bytes: bool) -> Any:
    for kind, mark, write in _WRITERS:
        if isinstance(value, kind):
            return {mark: write(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return _written(fields, path, depth + 1, keeps_bytes)
    raise Refused(
        f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which has no form in a"
        " message; make it a dict, a list, a text, a number or a dataclass"
    )


def _scalar(value: Any, path: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{path} is {value}, which JSON does not know")
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise Refused(
            f"{path} is a number of {value.bit_length()} bits; {INTEGER_BITS_MAX} are the most"
        )
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused(f"{path} is no text that UTF-8 knows (a lone surrogate)") from None
    return value


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise Refused(f"{path} has the key {key!r}; keys are texts, so that they come back equal")
    return MARK + key if key.startswith(MARK) else key
