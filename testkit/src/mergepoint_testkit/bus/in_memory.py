"""The engine in memory as the suite is given it, on virtual time: an example of a source.

Place:  tests/bus, tests of apps -> [bus.in_memory] -> mergepoint.bus.adapters.memory
Rule:   every source has a broker of its own.
"""

from __future__ import annotations

from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.contract import Engine, Limits
from mergepoint.testing.virtual_time import VirtualTime
from mergepoint_testkit.bus import EngineSource


class MemorySource(EngineSource):
    """Several connections to one broker in memory."""

    short_s = 1.0
    can_kill = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualTime()

    async def start(self) -> None:
        """Make the broker, with the limits that are final by now."""
        self.broker = Broker(self.limits)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        """Return one more connection to it."""
        return MemoryEngine("memory:", limits, self.clock, address=address, broker=self.broker)

    async def kill(self, engine: Engine) -> None:
        """Let it vanish: attempts count, nobody is told goodbye."""
        assert isinstance(engine, MemoryEngine)
        engine.vanish()
