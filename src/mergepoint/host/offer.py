"""Let an app import `mergepoint.identity` in an environment where Mergepoint is not installed.

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
OFFERED = PACKAGE + ".identity"
PARTS = frozenset(
    ("adapters", "cedar", "contract", "demand", "finding", "grants", "permissions", "refusal",
     "subject", "verify")
)  # fmt: skip
"""What lies below `mergepoint.identity` for apps; the rest belongs to the site."""


class Offer:
    """A meta path finder for `mergepoint` and `mergepoint.identity` with what lies below."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol of meta path finders
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the spec of a module that is offered, else None."""
        if name != PACKAGE and not is_offered(name):
            return None
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
    below = name[len(OFFERED) + 1 :].partition(".")[0]
    return name == OFFERED or (name.startswith(OFFERED + ".") and below in PARTS)


def register() -> None:
    """Begin to offer; a second call does nothing."""
    if not any(type(finder).__name__ == Offer.__name__ for finder in sys.meta_path):
        sys.meta_path.append(Offer())
