"""One site of ten real programs for all tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mergepoint_testkit import real_apps
from mergepoint_testkit.sites import RunningSite, running_site


@pytest.fixture(scope="session")
def site() -> Iterator[RunningSite]:
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        directory = Path(name)
        real_apps.lay_out(directory)
        with running_site(directory, (directory / "mergepoint.toml").read_text()) as running:
            yield running


@pytest.fixture
def client(site: RunningSite) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{site.port}", timeout=60) as made:
        yield made
