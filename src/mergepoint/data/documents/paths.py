"""What stands at a dotted path of a document.

Place:  documents.match, update, expressions -> [documents.paths]
Rule:   pure; through lists as MongoDB goes: each document in them, or the element of that number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergepoint.data.documents.values import MISSING
from mergepoint.data.errors import QueryRefused


def parts_of(path: object) -> tuple[str, ...]:
    """Return the names of a path; raise `QueryRefused`."""
    if not isinstance(path, str) or not path or path.startswith("$") or "\0" in path:
        raise QueryRefused(f"{path!r} is no path of a document")
    parts = tuple(path.split("."))
    if not all(parts):
        raise QueryRefused(f"{path!r} has an empty name")
    if any(part.startswith("$") for part in parts):
        raise QueryRefused(f"{path!r}: positional operators are not supported")
    return parts


def values(document: Any, parts: tuple[str, ...]) -> Iterator[Any]:
    """Yield every value at the path; `MISSING` where a document ends before it does."""
    if not parts:
        yield document
    elif isinstance(document, dict):
        if parts[0] in document:
            yield from values(document[parts[0]], parts[1:])
        else:
            yield MISSING
    elif isinstance(document, list):
        number = position(parts[0])
        if number is not None and number < len(document):
            yield from values(document[number], parts[1:])
        for one in document:
            if isinstance(one, dict):
                yield from values(one, parts)
    else:
        yield MISSING


def position(part: str) -> int | None:
    """Return the number that a name is, or None."""
    plain = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
    return int(part) if plain and len(part) < 10 else None


def plain(document: Any, parts: tuple[str, ...]) -> Any:
    """Return the value of `$path` in an expression: of a list, the list of what is in each."""
    if not parts:
        return document
    if isinstance(document, dict):
        return plain(document[parts[0]], parts[1:]) if parts[0] in document else MISSING
    if isinstance(document, list):
        found = (plain(one, parts) for one in document if isinstance(one, dict | list))
        return [one for one in found if one is not MISSING]
    return MISSING
