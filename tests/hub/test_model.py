"""The engine does what the reference model does, whatever the commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mergepoint_testkit.bus.machine import explore

from mergepoint.bus.contract import Limits

from .hub_process import HubProcess
from .source import HubSource


@pytest.mark.parametrize(
    "examples", [20, pytest.param(1000, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_random_commands_end_as_in_the_model(
    make_hub: Callable[..., HubProcess], examples: int
) -> None:
    """In the model a killed connection's jobs are back before the next command: `gone_s` is 0."""
    hub = make_hub(gone_s=0.0).start()

    def prompt_hub(limits: Limits) -> HubProcess:
        assert limits == hub.limits
        return hub

    explore(lambda: HubSource(prompt_hub), examples=examples, steps=40)
