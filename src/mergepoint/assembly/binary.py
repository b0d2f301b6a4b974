"""Find the edge binary: where it was said to be, beside the interpreter, or on PATH.

Place:  assembly.build -> [assembly.binary]
Rule:   one clear sentence when there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from mergepoint.core.errors import MergepointError

NAME = "mergepoint-edge"
VARIABLE = "MERGEPOINT_EDGE_BINARY"


class NoEdgeBinary(MergepointError):
    """The edge is not installed."""

    code = "edge.no_binary"


def edge_argv(given: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command that starts the edge; raise `NoEdgeBinary` when there is none."""
    named = str(given) if given else environ.get(VARIABLE, "")
    if named:
        if not os.access(named, os.X_OK):
            raise NoEdgeBinary(
                f"{named} is not a program that can be run", next=f"unset {VARIABLE}"
            )
        return (str(Path(named).resolve()),)
    beside = Path(sys.executable).parent / NAME
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(NAME)
    if not found:
        raise NoEdgeBinary(
            f"the front door ({NAME}) is not installed",
            next=f"pip install mergepoint-edge, or set {VARIABLE} to a binary built with cargo",
        )
    return (str(Path(found).resolve()),)
