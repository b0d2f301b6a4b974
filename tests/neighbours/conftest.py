"""A site of two apps: a good one that is measured, and a bad one that is not.

Place:  make test
Rule:   the good app is measured alone and beside the fault, in the same test on the same site.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from mergepoint_testkit.services import unavailable
from mergepoint_testkit.sites import RunningSite, end_site, start_site

PROGRAMS = Path(__file__).parent / "programs"
USER = "nobody"
MANIFEST = """
[site]
name = "neighbours"
listen = "127.0.0.1:{{port}}"
access_log = "off"

[apps.good]
wsgi = "good:app"
at = "/good"
directory = "{directory}"
processes = 1

[apps.bad]
{bad}
at = "/bad"
directory = "{directory}"
"""


@contextlib.contextmanager
def some_directory() -> Iterator[Path]:
    """Give a short directory with the programs, which other users may pass through."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        Path(name).chmod(0o755)
        shutil.copytree(PROGRAMS, Path(name) / "apps", ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(name)


def start(directory: Path, bad: str, environment: Mapping[str, str] | None = None) -> RunningSite:
    """Start a site with this bad app, without waiting for it."""
    text = MANIFEST.format(bad=bad, directory=directory / "apps")
    return start_site(directory, text, environment=environment)


@contextlib.contextmanager
def neighbours(bad: str, environment: Mapping[str, str] | None = None) -> Iterator[RunningSite]:
    """Give a ready site with this bad app for several tests; it is stopped at the end."""
    with some_directory() as directory:
        site = start(directory, bad, environment)
        try:
            site.wait_ready()
            yield site
        finally:
            end_site(site)


@pytest.fixture
def site_of() -> Iterator[Callable[..., RunningSite]]:
    """Start the site with this bad app, and wait for it; it is stopped when the test ends."""
    with some_directory() as directory:
        started: list[RunningSite] = []

        def begin(
            bad: str, environment: Mapping[str, str] | None = None, *, wait: bool = True
        ) -> RunningSite:
            started.append(start(directory, bad, environment))
            if wait:
                started[-1].wait_ready()
            return started[-1]

        yield begin
        for site in started:
            end_site(site)


def raw_command(*words: str, python: str = sys.executable) -> str:
    """Return the manifest's line for the worker without a server."""
    parts = ", ".join(f'"{part}"' for part in (python, "-S", "raw.py", "{socket}", *words))
    return f'command = [{parts}]\nprefix = "keep"'


@pytest.fixture
def other_user() -> str:
    """Return an interpreter that an unprivileged user may run; skip where we are not root."""
    if os.geteuid() != 0:
        unavailable("running apps as another user needs root")
    found = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    if found is None:
        unavailable("a python3 that every user may run")
    return str(found)
