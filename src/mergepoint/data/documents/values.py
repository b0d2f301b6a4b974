"""The values of documents: checked, compared, and as JSON.

Place:  [documents.values] <- all of documents
Rule:   pure; two engines and a server must agree on every one of these.

The order of types is BSON's (MongoDB manual, "Comparison/Sort Order"). A date is kept as
`{"$date": milliseconds}`; no other name may begin with `$`, so that it cannot be taken for one.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mergepoint.data.errors import DocumentRefused

DEPTH_MAX = 100
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
DATE = "$date"
UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


class Missing:
    """There is no value at a path."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


def checked(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy that can be kept; raise `DocumentRefused` with the path of what cannot."""
    if not isinstance(document, Mapping):
        raise DocumentRefused(f"a document is a dict, not {type(document).__name__}")
    copy: dict[str, Any] = value_of(document, "")
    id_ = copy.get("_id", "")
    if isinstance(id_, bool) or not isinstance(id_, str | int):
        raise DocumentRefused(f"_id must be a str or an int, not {type(id_).__name__}")
    return copy


def value_of(value: Any, path: str, depth: int = 0) -> Any:
    """Return a copy of a value that can be kept; raise `DocumentRefused`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise DocumentRefused(f"{path}: {value} has more than 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DocumentRefused(f"{path}: {value} is no number that JSON has")
        return float(value)
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, datetime.datetime):
        return _date(value)
    if depth >= DEPTH_MAX:
        raise DocumentRefused(f"{path[:80]}...: deeper than {DEPTH_MAX}")
    if isinstance(value, Mapping):
        return {_name(k, path): value_of(v, _below(path, k), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [value_of(one, _below(path, n), depth + 1) for n, one in enumerate(value)]
    raise DocumentRefused(f"{path}: {type(value).__name__} is no type a document can hold")


def _name(name: Any, path: str) -> str:
    if not isinstance(name, str):
        raise DocumentRefused(f"{path}: {name!r} is no str, as names are")
    if not name or name.startswith("$") or "." in name:
        raise DocumentRefused(f"{_below(path, name)}: a name is not empty, has no . and no $ first")
    return _text(name, path)


def _text(text: str, path: str) -> str:
    if "\0" in text:
        raise DocumentRefused(f"{path}: a text with NUL in it cannot be kept")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DocumentRefused(f"{path}: a text with half a surrogate cannot be kept") from None
    return str(text)


def _date(value: datetime.datetime) -> datetime.datetime:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.replace(microsecond=aware.microsecond // 1000 * 1000)


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def encode(value: Any) -> str:
    """Return a checked value as JSON; a float stays one, also where PostgreSQL keeps decimals."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}:{encode(v)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, datetime.datetime):
        return f'{{"{DATE}":{milliseconds(value)}}}'
    if isinstance(value, float):
        text = repr(value)
        if "e" in text:
            text = format(Decimal(text), "f")
        return text if "." in text else text + ".0"
    return json.dumps(value, ensure_ascii=False)


def decode(text: str) -> Any:
    """Return the value that was encoded."""
    return json.loads(text, object_hook=_dated)


def dated(value: Any) -> Any:
    """Return a value a driver has parsed already, with its dates."""
    if isinstance(value, dict):
        return _dated({name: dated(one) for name, one in value.items()})
    return [dated(one) for one in value] if isinstance(value, list) else value


def _dated(found: dict[str, Any]) -> Any:
    if len(found) == 1 and DATE in found:
        return EPOCH + datetime.timedelta(milliseconds=found[DATE])
    return found


def milliseconds(value: datetime.datetime) -> int:
    """Return a date as milliseconds since 1970."""
    return (value - EPOCH) // datetime.timedelta(milliseconds=1)


def rank(value: Any) -> int:
    """Return where the type of a value stands in BSON's order."""
    if value is None or value is MISSING:
        return 1
    if isinstance(value, bool):
        return 8
    if isinstance(value, int | float):
        return 2
    if isinstance(value, str):
        return 3
    if isinstance(value, Mapping):
        return 4
    if isinstance(value, list | tuple):
        return 5
    return 9


def key(value: Any) -> tuple[Any, ...]:
    """Return what compares as the value does: equal for equal values, ordered as BSON orders."""
    kind = rank(value)
    if kind == 1:
        return (1,)
    if kind == 4:
        return (4, tuple((rank(value[name]), name, key(value[name])) for name in sorted(value)))
    if kind == 5:
        return (5, tuple(key(one) for one in value))
    return (kind, value)


def sort_key(found: list[Any], direction: int) -> tuple[Any, ...]:
    """Return what a document is sorted by, given what is at the path: of a list, its least or most.

    An empty list comes before null (MongoDB manual, "Sort Order: Arrays").
    """
    keys: list[tuple[Any, ...]] = []
    for value in found:
        if isinstance(value, list):
            keys.extend(key(one) for one in value) if value else keys.append((0,))
        else:
            keys.append(key(value))
    if not keys:
        return (1,)
    return min(keys) if direction > 0 else max(keys)
