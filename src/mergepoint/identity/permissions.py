"""Which permission covers which: `*` covers all, `tickets.*` all that begin with `tickets.`.

Place:  identity.subject, identity.grants -> [identity.permissions]
Rule:   pure; the same answer as the edge and the database, through one list of names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

ALL = "*"
PERMISSION_CHARS_MAX = 128


class PermissionRefused(ValueError):
    """A text that cannot be the name of a permission; the message says why."""


def covering(wanted: str) -> list[str]:
    """Return every permission that covers `wanted`: itself, `*`, and `prefix.*` for each prefix.

    >>> covering("wiki.page.edit")
    ['wiki.page.edit', '*', 'wiki.*', 'wiki.page.*']
    """
    dots = [at for at, char in enumerate(wanted) if char == "."]
    found = [wanted, ALL, *(wanted[: at + 1] + ALL for at in dots)]
    return list(dict.fromkeys(found))


def grants(held: Collection[str], wanted: str) -> bool:
    """Tell whether one of the permissions `held` covers `wanted`."""
    return any(name in held for name in covering(wanted))


def checked(name: str) -> str:
    """Return a permission's name as it is; raise `PermissionRefused` when it cannot be one."""
    if not isinstance(name, str):
        raise PermissionRefused(f"{name!r} is not the name of a permission")
    if not name or len(name) > PERMISSION_CHARS_MAX or any(c.isspace() or c == "," for c in name):
        raise PermissionRefused(
            f"{name!r} is not the name of a permission: 1 to {PERMISSION_CHARS_MAX} characters "
            "without spaces and commas"
        )
    return name
