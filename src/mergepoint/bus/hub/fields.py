"""Fields of a call's head, checked as they are read.

Place:  bus.hub.queue_calls, bus.hub.topic_calls, bus.hub.peer_calls -> [bus.hub.fields]
Rule:   pure; what is wrong is refused by its name, and its connection goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.bus.errors import BusRefused
from mergepoint.wire.frames import FrameInvalid, cut
from mergepoint.wire.names import NameInvalid, check_name

Head = Mapping[str, Any]
"""Any: whatever JSON holds, until a function here has looked at it."""
LIST_MAX = 10_000
"""Tokens, ids or messages in one call."""


def text(head: Head, name: str, default: str | None = None) -> str:
    """Return a text; raise `BusRefused` for anything else."""
    value = head.get(name, default)
    if not isinstance(value, str):
        raise BusRefused(f"call {head.get('op')}: {name} is {value!r}; it is a text")
    return value


def number(head: Head, name: str, default: float | None = None, at_most: float = 1e12) -> float:
    """Return a number from 0 to `at_most`."""
    value = head.get(name, default)
    wrong = isinstance(value, bool) or not isinstance(value, int | float)
    if wrong or not 0 <= value <= at_most:
        raise BusRefused(f"call {head.get('op')}: {name} is {value!r}; it is 0 to {at_most:g}")
    return float(value)


def whole(head: Head, name: str, default: int | None = None, at_most: int = LIST_MAX) -> int:
    """Return a whole number from 0 to `at_most`."""
    return int(number(head, name, default, at_most))


def texts(head: Head, name: str) -> list[str]:
    """Return a list of texts, `LIST_MAX` at most."""
    value = head.get(name)
    if not isinstance(value, list) or len(value) > LIST_MAX:
        raise BusRefused(f"call {head.get('op')}: {name} is a list of at most {LIST_MAX}")
    if not all(isinstance(one, str) for one in value):
        raise BusRefused(f"call {head.get('op')}: {name} is a list of texts")
    return value


def named(head: Head, name: str, check: Callable[[str], str] = check_name) -> str:
    """Return a name of the bus."""
    try:
        return check(text(head, name))
    except NameInvalid as error:
        raise BusRefused(f"call {head.get('op')}: {error}") from None


def message(head: Head, rest: bytes) -> tuple[bytes, bytes]:
    """Return attributes and data of the one message of a call."""
    lengths = head.get("n")
    if not isinstance(lengths, list) or len(lengths) != 2:
        raise BusRefused(f"call {head.get('op')}: n is [length of attributes, length of data]")
    try:
        attributes, data = cut(rest, lengths)
    except FrameInvalid as error:
        raise BusRefused(f"call {head.get('op')}: {error}") from None
    return attributes, data
