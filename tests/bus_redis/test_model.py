"""A real Redis does what the reference model does, whatever the commands.

Place:  make test; make soak
Rule:   one server for all runs; every run has a prefix of its own.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from mergepoint_testkit.bus.machine import machine_of
from mergepoint_testkit.redis import RedisServer

from .source import RedisSource


def explore(server: RedisServer, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine_of(lambda: RedisSource(server)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_commands_do_what_the_model_says(server: RedisServer) -> None:
    explore(server, examples=12, steps=25)


@pytest.mark.soak
def test_many_random_commands_do_what_the_model_says(server: RedisServer) -> None:
    explore(server, examples=300, steps=60)
