"""A real Redis does what the reference model does, whatever the commands.

Place:  make test; make soak
Rule:   one server for all runs; every run has a prefix of its own.
"""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus.machine import explore
from mergepoint_testkit.redis import RedisServer

from .source import RedisSource


def test_random_commands_do_what_the_model_says(server: RedisServer) -> None:
    explore(lambda: RedisSource(server), examples=12, steps=25)


@pytest.mark.soak
def test_many_random_commands_do_what_the_model_says(server: RedisServer) -> None:
    explore(lambda: RedisSource(server), examples=300, steps=60)
