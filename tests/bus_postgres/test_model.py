"""The engine does what the reference model does, whatever the commands."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from mergepoint_testkit.bus.machine import machine_of
from mergepoint_testkit.postgres import Postgres

from .source import PostgresSource


@pytest.mark.parametrize(
    "examples", [12, pytest.param(150, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_random_commands_end_as_in_the_model(server: Postgres, examples: int) -> None:
    server.create(f"model{examples}")
    run_state_machine_as_test(
        machine_of(lambda: PostgresSource(server, f"model{examples}")),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
