"""A real program a test needs: missing, it skips at home and fails where all are required.

Place:  [services] -> tests
Rule:   MERGEPOINT_REQUIRE_SERVICES=1 (set by .ci/run) turns every such skip into a failure.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from mergepoint_testkit.peers import program


@contextlib.contextmanager
def require(what: str, *errors: type[BaseException]) -> Iterator[None]:
    """Run a block that may find `what` missing, by raising one of `errors`."""
    try:
        yield
    except errors as error:
        unavailable(f"{what}: {error}")


def require_program(name: str) -> str:
    """Return the path of a program, or skip or fail."""
    found = program(name)
    if found is None:
        unavailable(f"{name} is not installed; run tools/services.sh")
    return str(found)


def unavailable(reason: str) -> None:
    """Skip at home; fail where a missing service counts as a failure."""
    if os.environ.get("MERGEPOINT_REQUIRE_SERVICES") == "1":
        pytest.fail(f"required here, but missing: {reason}", pytrace=False)
    pytest.skip(f"missing: {reason}")
