"""What edges ask: lines of the feed's socket, checked.

Place:  feed.core -> [feed.requests]
Rule:   pure; what is no request is refused with the reason, never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mergepoint.feed.contract import Position
from mergepoint.feed.errors import FeedInvalid

SCHEMA = 1
SOURCES_MAX = 64
TEXT_MAX = 256 * 1024
"""A cursor of PostgreSQL names every transaction that was open."""
VERBS = ("hello", "pull", "barrier", "applied")


@dataclass(frozen=True, slots=True)
class Hello:
    """An edge says who it is."""

    id: Any  # Any: a number or a text, given back as it came
    edge: str


@dataclass(frozen=True, slots=True)
class Pull:
    """An edge says where it is, source by source."""

    id: Any
    sources: Mapping[str, Position | None]


@dataclass(frozen=True, slots=True)
class Barrier:
    """An edge asks for a barrier; it may say where it is, as with a pull."""

    id: Any
    sources: Mapping[str, Position | None]


@dataclass(frozen=True, slots=True)
class Applied:
    """An edge says that it has applied a barrier."""

    barrier: int


Request = Hello | Pull | Barrier | Applied


def asked(message: object) -> Request:
    """Return the request; raise `FeedInvalid` with what is wrong."""
    if not isinstance(message, dict):
        raise FeedInvalid("a request is a JSON object")
    verb, number = message.get("verb"), message.get("id")
    if verb == "applied":
        return Applied(_whole(message.get("barrier")))
    if isinstance(number, bool) or not isinstance(number, int | str):
        raise FeedInvalid(f"id is a number or a text, not {number!r}")
    if verb == "hello":
        return _hello(number, message)
    if verb == "pull":
        return Pull(number, _positions(message.get("sources")))
    if verb == "barrier":
        return Barrier(number, _positions(message.get("sources", {})))
    raise FeedInvalid(f"verb is one of {', '.join(VERBS)}, not {verb!r}")


def _hello(number: int | str, message: Mapping[str, Any]) -> Hello:
    edge, schema = message.get("edge"), message.get("schema")
    if schema != SCHEMA:
        raise FeedInvalid(f"schema {schema!r} is not spoken here; this hub speaks {SCHEMA}")
    if not isinstance(edge, str) or not 0 < len(edge) <= 128:
        raise FeedInvalid("edge is a name of 1 to 128 characters")
    return Hello(number, edge)


def _positions(given: object) -> dict[str, Position | None]:
    if not isinstance(given, dict) or len(given) > SOURCES_MAX:
        raise FeedInvalid(f"sources is an object of at most {SOURCES_MAX} sources")
    return {name: _position(name, place) for name, place in given.items()}


def _position(name: str, given: object) -> Position | None:
    if not isinstance(given, dict):
        raise FeedInvalid(f"source {name}: an object with epoch and cursor")
    epoch, cursor = given.get("epoch"), given.get("cursor")
    if epoch is None or cursor is None:
        return None
    if not (isinstance(epoch, str) and isinstance(cursor, str)):
        raise FeedInvalid(f"source {name}: epoch and cursor are texts or null")
    if len(epoch) + len(cursor) > TEXT_MAX:
        raise FeedInvalid(f"source {name}: epoch and cursor of more than {TEXT_MAX} characters")
    return Position(epoch, cursor)


def _whole(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise FeedInvalid(f"barrier is a whole number, not {given!r}")
    return given
