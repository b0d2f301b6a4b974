"""The whole forge with its login: the real command line, edge, accounts and apps, over HTTP.

Place:  pytest -> [conftest] -> mergepoint start, the accounts service
Rule:   people are made by the accounts service and proven by the site; nobody forges anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from mergepoint_testkit.forge_site import running_forge
from mergepoint_testkit.people import People, Somebody, log_in, people_of
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor

from .git_desk import Desk

Make = Callable[..., Somebody]
Browse = Callable[..., Visitor]
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """Lend the running forge, open to readers."""
    with running_forge(tmp_path_factory.mktemp("checkout")) as site:
        yield site


@pytest.fixture(scope="package")
def people(forge: RunningSite) -> Iterator[People]:
    """Lend the people of the forge."""
    with people_of(forge) as made:
        yield made


@pytest.fixture
def make(people: People) -> Make:
    """Return a function that makes a person with roles, each with a name nobody else has."""

    def somebody(*roles: str, name: str = "") -> Somebody:
        return people.add(f"somebody{next(_numbers)}", *roles, name=name)

    return somebody


@pytest.fixture
def browse(forge: RunningSite) -> Browse:
    """Return a function that gives a browser, logged in when somebody is named."""

    def browser(somebody: Somebody | None = None) -> Visitor:
        visitor = Visitor(forge.port)
        if somebody is not None:
            log_in(visitor, somebody)
        return visitor

    return browser


@pytest.fixture
def desk(forge: RunningSite, tmp_path: Path) -> Desk:
    """Return a place to type Git commands at."""
    return Desk(tmp_path, f"http://127.0.0.1:{forge.port}/code")
