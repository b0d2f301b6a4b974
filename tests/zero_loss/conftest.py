"""A site of one app whose releases are files, and load that counts every failure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.sites import RunningSite, end_site, start_site

PROGRAMS = Path(__file__).parent / "programs"
MANIFEST = """
[site]
name = "zero"
listen = "127.0.0.1:{{port}}"
access_log = "off"

[apps.app]
{kind}
at = "/app"
directory = "{programs}"
env = {{ APP_STATE = "{state}" }}
processes = {processes}
{more}
"""


class Release:
    """The next release of the app: files its import reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def set(self, name: str, value: str = "") -> None:
        """Write one property."""
        (self.directory / name).write_text(value)

    def drop(self, name: str) -> None:
        """Remove one property."""
        (self.directory / name).unlink(missing_ok=True)

    @property
    def executed(self) -> int:
        """Return how many requests the app has executed."""
        path = self.directory / "executed"
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short directory, because socket paths are."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        yield Path(name)


@pytest.fixture
def release(directory: Path) -> Release:
    state = directory / "state"
    state.mkdir()
    return Release(state)


def manifest(
    release: Release, *, kind: str = 'wsgi = "app:wsgi"', processes: int = 2, more: str = ""
) -> str:
    """Return the manifest of a site with the app at /app."""
    return MANIFEST.format(
        kind=kind, programs=PROGRAMS, state=release.directory, processes=processes, more=more
    )


@pytest.fixture
def site_of(directory: Path, release: Release) -> Iterator[Callable[..., RunningSite]]:
    """Start the site with given differences; it is stopped when the test ends."""
    started: list[RunningSite] = []

    def start(**differences: Any) -> RunningSite:
        site = start_site(directory, manifest(release, **differences))
        started.append(site)
        site.wait_ready()
        return site

    yield start
    for site in started:
        end_site(site)
