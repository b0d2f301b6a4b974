"""A real RabbitMQ does what the reference model does, whatever the commands.

Place:  make test; make soak
Rule:   one server for all runs; every run has a prefix of its own.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from mergepoint_testkit.bus.machine import machine_of
from mergepoint_testkit.rabbitmq import RabbitServer

from .source import RabbitmqSource


def explore(server: RabbitServer, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine_of(lambda: RabbitmqSource(server)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_commands_do_what_the_model_says(server: RabbitServer) -> None:
    explore(server, examples=6, steps=25)


@pytest.mark.soak
def test_many_random_commands_do_what_the_model_says(server: RabbitServer) -> None:
    explore(server, examples=150, steps=60)
