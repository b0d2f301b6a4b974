"""Names of topics, queues and addresses, and which pattern matches which name.

Place:  bus.doorway, bus.adapters, manifest -> [wire.names]
Rule:   pure; one grammar for every engine, so that a name that is good on one is good on all.
"""

from __future__ import annotations

import re
from functools import lru_cache

NAME_CHARACTERS_MAX = 200
OWN_PREFIX = "mp."
"""Names that begin so are Mergepoint's."""
_SEGMENT = r"[a-zA-Z0-9_-]+"
_NAME = re.compile(rf"{_SEGMENT}(\.{_SEGMENT})*")
_PATTERN = re.compile(rf"(({_SEGMENT}|\*)(\.({_SEGMENT}|\*))*(\.>)?|>)")
_ADDRESS = re.compile(rf"{_SEGMENT}(\.{_SEGMENT})*(/{_SEGMENT})?")
_WATCHED = re.compile(rf"\*|{_ADDRESS.pattern}")


class NameInvalid(ValueError):
    """No name; the message says what a name is."""


def check_name(name: str, kind: str = "name") -> str:
    """Return the name of a topic or queue; raise `NameInvalid`."""
    return _checked(_NAME, name, kind, "segments of a-z A-Z 0-9 _ - joined by dots")


def check_pattern(pattern: str) -> str:
    """Return a pattern: a name where `*` may be a segment and `>` the last one."""
    what = "segments of a-z A-Z 0-9 _ - or *, joined by dots, and > at the end at most"
    return _checked(_PATTERN, pattern, "pattern", what)


def check_address(address: str) -> str:
    """Return `app` or `app/instance`; raise `NameInvalid`."""
    return _checked(_ADDRESS, address, "address", "app, or app/instance")


def check_watched(pattern: str) -> str:
    """Return what presence may be watched by: `*`, `app` or `app/instance`."""
    return _checked(_WATCHED, pattern, "presence pattern", "*, app, or app/instance")


def is_own(name: str) -> bool:
    """Tell whether the name is one that only Mergepoint itself may use."""
    return name.startswith(OWN_PREFIX)


def matches(pattern: str, name: str) -> bool:
    """Tell whether a message to `name` belongs to `pattern`."""
    return compiled(pattern).fullmatch(name) is not None


def address_matches(pattern: str, address: str) -> bool:
    """Tell whether an address belongs to `*`, to an app, or is this very instance."""
    return pattern in ("*", address) or address.startswith(pattern + "/")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern, for who matches many names."""
    parts = {"*": r"[^.]+", ">": r"[^.]+(?:\.[^.]+)*"}
    return re.compile(r"\.".join(parts.get(one, re.escape(one)) for one in pattern.split(".")))


def _checked(grammar: re.Pattern[str], name: str, kind: str, what: str) -> str:
    if len(name) > NAME_CHARACTERS_MAX:
        raise NameInvalid(
            f"{kind} of {len(name)} characters; {NAME_CHARACTERS_MAX} are the most: {name[:40]}..."
        )
    if grammar.fullmatch(name) is None:
        raise NameInvalid(f"{kind} {name!r}; it must be {what}")
    return name
