"""One site of programs from their registries under one login, and the people of that site."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit import identity_apps
from mergepoint_testkit.people import People, Somebody, log_in, people_of
from mergepoint_testkit.sites import RunningSite, running_site
from mergepoint_testkit.visitor import Visitor


@pytest.fixture(scope="session")
def site() -> Iterator[RunningSite]:
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        directory = Path(name)
        identity_apps.lay_out(directory)
        with running_site(directory, (directory / "mergepoint.toml").read_text()) as running:
            yield running


@pytest.fixture(scope="session")
def people(site: RunningSite) -> Iterator[People]:
    with people_of(site) as lent:
        yield lent


@pytest.fixture(scope="session")
def ada(people: People) -> Somebody:
    """An administrator."""
    return people.add("ada", "admin", name="Ada Ünique")


@pytest.fixture(scope="session")
def bob(people: People) -> Somebody:
    """Somebody without any role."""
    return people.add("bob", name="Bob Builder")


@pytest.fixture(scope="session")
def pat(people: People) -> Somebody:
    """Somebody who may upload packages."""
    return people.add("pat", "packager")


@pytest.fixture
def nobody(site: RunningSite) -> Visitor:
    return Visitor(site.port)


@pytest.fixture
def as_ada(site: RunningSite, ada: Somebody) -> Visitor:
    return logged_in(site, ada)


@pytest.fixture
def as_bob(site: RunningSite, bob: Somebody) -> Visitor:
    return logged_in(site, bob)


def logged_in(site: RunningSite, somebody: Somebody) -> Visitor:
    visitor = Visitor(site.port)
    log_in(visitor, somebody)
    return visitor
