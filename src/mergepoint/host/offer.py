"""Let an app import Mergepoint's part for apps in an environment where it is not installed.

Place:  host.start registers [host.offer] -> importlib -> the folder beside this one
Rule:   asked last, so an installed Mergepoint wins; offers only what needs no other library.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

HOME = Path(__file__).resolve().parent.parent
PACKAGE = "mergepoint"
PARTS: dict[str, frozenset[str]] = {
    PACKAGE + ".identity": frozenset(
        ("adapters", "cedar", "contract", "demand", "finding", "grants", "permissions", "refusal",
         "subject", "verify")
    ),
}  # fmt: skip
"""What lies below a package for apps of any Python; the rest belongs to the site."""
WHOLE = frozenset(
    ("balance", "bus", "cache", "core", "data", "feed", "neighbours", "tasks", "testing", "wire")
)
"""Packages an app may import from Python 3.11 on."""
KEPT = (PACKAGE + ".bus.hub", PACKAGE + ".bus.gateway")
"""Parts of them that are processes of the site."""
SINGLE = frozenset((PACKAGE + ".assembly.connect", PACKAGE + ".assembly.engines"))
"""Modules that are offered, and with them the packages they lie in."""
PYTHON_MIN = (3, 11)


class Offer:
    """A meta path finder for `mergepoint` and what of it is meant for apps."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol of meta path finders
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the spec of a module that is offered, else None."""
        if name != PACKAGE and not is_offered(name):
            return None
        if name != PACKAGE and not is_for_any_python(name):
            refused = too_old(sys.version_info[:2])
            if refused:
                raise ImportError(refused, name=name)
        file = HOME.joinpath(*name.split(".")[1:])
        if (file / "__init__.py").is_file():
            found = importlib.util.spec_from_file_location(name, file / "__init__.py")
            if found is not None:
                # With a search path the importer would find by itself what is not offered.
                found.submodule_search_locations = []
            return found
        source = file.with_suffix(".py")
        return importlib.util.spec_from_file_location(name, source) if source.is_file() else None


def is_offered(name: str) -> bool:
    """Tell whether a full module name is one that apps may import; pure."""
    if not name.startswith(PACKAGE + "."):
        return False
    if is_for_any_python(name) or any(one == name or one.startswith(name + ".") for one in SINGLE):
        return True
    below = name[len(PACKAGE) + 1 :]
    kept = any(name == one or name.startswith(one + ".") for one in KEPT)
    return below.partition(".")[0] in WHOLE and not kept


def is_for_any_python(name: str) -> bool:
    """Tell whether a module is offered to old Pythons, too; pure."""
    for package, parts in PARTS.items():
        if name == package:
            return True
        if name.startswith(package + "."):
            return name[len(package) + 1 :].partition(".")[0] in parts
    return False


def too_old(version: tuple[int, ...]) -> str:
    """Return why this Python has no bus, and what to do instead; empty when it is new enough."""
    if version[:2] >= PYTHON_MIN:
        return ""
    return (
        "the bus and tasks need Python {}.{}; this is {}.{}. Publish over HTTP instead: POST to "
        "/publish/TOPIC on the socket MERGEPOINT_BUS_HTTP with MERGEPOINT_BUS_TOKEN, and be told "
        "by [[subscriptions]] (docs/how-to/bus.md)".format(*PYTHON_MIN, *version[:2])
    )


def register() -> None:
    """Begin to offer; a second call does nothing."""
    if not any(type(finder).__name__ == Offer.__name__ for finder in sys.meta_path):
        sys.meta_path.append(Offer())
