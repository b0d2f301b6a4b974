"""The engine in memory keeps what every engine promises."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.bus.in_memory import MemorySource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_memory_keeps(promise: Promise) -> None:
    keep(promise, MemorySource())
