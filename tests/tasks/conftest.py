"""A site of tasks for tests that need real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.askers import Asker
from tests.tasks.sites import TaskSite, site_in


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TaskSite]:
    with site_in(tmp_path) as made:
        yield made


@pytest.fixture
def asker(site: TaskSite) -> Asker:
    return Asker(site)
