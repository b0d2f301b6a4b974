"""The engine does what the reference model does, whatever the commands."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus.machine import explore
from mergepoint_testkit.postgres import Postgres

from .source import PostgresSource


@pytest.mark.parametrize(
    "examples", [12, pytest.param(150, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_random_commands_end_as_in_the_model(server: Postgres, examples: int) -> None:
    server.create(f"model{examples}")
    explore(lambda: PostgresSource(server, f"model{examples}"), examples=examples, steps=30)
