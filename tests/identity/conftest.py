"""Workers for one test module; what a test leaves running is killed at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.workers import Workers


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    made = Workers(tmp_path_factory.mktemp("w"))
    yield made
    made.kill()
