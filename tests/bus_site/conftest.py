"""A site with a bus and three apps; one has its own environment, one knows nothing of messages.

Place:  tests/bus_site
Rule:   a real site, started by the command; what breaks a site gets one of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.message_site import MessageSite, message_site

APPS = Path(__file__).parent / "apps"


def prepared(directory: Path) -> Path:
    """Copy the apps and return the environment of the one that has no Mergepoint."""
    shutil.copytree(APPS, directory, dirs_exist_ok=True)
    return environment("matrix")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageSite]:
    """One site for every test of a module; none of them may break it."""
    directory = tmp_path_factory.mktemp("site")
    with message_site(directory, prepared(directory)) as running:
        yield running


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[MessageSite]:
    """A site for one test, which may do to it what it likes."""
    with message_site(tmp_path, prepared(tmp_path)) as running:
        yield running
