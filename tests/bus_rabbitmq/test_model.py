"""A real RabbitMQ does what the reference model does, whatever the commands.

Place:  make test; make soak
Rule:   one server for all runs; every run has a prefix of its own.
"""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus.machine import explore
from mergepoint_testkit.rabbitmq import RabbitServer

from .source import RabbitmqSource


def test_random_commands_do_what_the_model_says(server: RabbitServer) -> None:
    explore(lambda: RabbitmqSource(server), examples=6, steps=25)


@pytest.mark.soak
def test_many_random_commands_do_what_the_model_says(server: RabbitServer) -> None:
    explore(lambda: RabbitmqSource(server), examples=150, steps=60)
