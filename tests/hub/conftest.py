"""Hubs as processes: one for each set of limits, or one for a test alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mergepoint.bus.contract import Limits

from .hub_process import LIMITS, HubProcess


@pytest.fixture(scope="session")
def shared_hubs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Limits], HubProcess]]:
    """Hubs that tests share, one for each set of limits."""
    running: dict[Limits, HubProcess] = {}
    starting = threading.Lock()

    def hub(limits: Limits) -> HubProcess:
        with starting:
            if limits not in running:
                running[limits] = HubProcess(tmp_path_factory.mktemp("hub"), limits).start()
            return running[limits]

    yield hub
    for one in running.values():
        one.end()


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., HubProcess]]:
    """Make hubs of this test's own; they are ended with it."""
    made: list[HubProcess] = []

    def make(limits: Limits = LIMITS, directory: Path | None = None, **settings: Any) -> HubProcess:
        place = directory or tmp_path / f"hub{len(made)}"
        made.append(HubProcess(place, limits, **settings))
        return made[-1]

    yield make
    for hub in made:
        hub.end()


@pytest.fixture
def hub(make_hub: Callable[..., HubProcess]) -> HubProcess:
    """A hub of this test's own, running."""
    return make_hub().start()
