"""A site in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mergepoint
from mergepoint.testing.site import Testing


@pytest.fixture
def site() -> Iterator[Testing]:
    with mergepoint.Site.testing() as made:
        yield made
