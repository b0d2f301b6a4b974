"""A site of tasks for tests that need real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.askers import Asker
from tests.tasks.ledgers import Story, Tell, local_desk
from tests.tasks.sites import TaskSite, site_in


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TaskSite]:
    with site_in(tmp_path) as made:
        yield made


@pytest.fixture
def asker(site: TaskSite) -> Asker:
    return Asker(site)


@pytest.fixture
def tell() -> Tell:
    def tell(story: Story) -> None:
        async def told() -> None:
            await story(local_desk())

        asyncio.run(told())

    return tell
