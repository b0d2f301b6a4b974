"""The engine in memory does what the reference model does, whatever the commands."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from mergepoint_testkit.bus.in_memory import MemorySource
from mergepoint_testkit.bus.machine import machine_of

TestMemory = machine_of(MemorySource).TestCase
TestMemory.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
