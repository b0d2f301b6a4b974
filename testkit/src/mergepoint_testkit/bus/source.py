"""What an engine's owner writes so that the suite can reach the engine.

Place:  tests/<engine> -> [bus.source] -> bus.promise
Rule:   says how to make, kill and clean up; knows nothing of what is tested.
"""

from __future__ import annotations

from mergepoint.bus.contract import Engine, Limits
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.testing.virtual_time import VirtualTime


class EngineSource:
    """Connections to one broker, in a namespace that nothing else uses.

    Only `make_engine` has to be written. A new source is made for every promise.
    """

    short_s = 0.4
    """A time that passes while a test looks on: leases that end, delays. Real seconds, or virtual
    ones where `clock` is a `VirtualTime`. The suite never asserts that less than this has gone by
    on a real clock: what must not happen yet lies a minute away."""
    quiet_s = 0.2
    """How long the suite waits to see that nothing comes."""
    patience_s = 60.0
    """How long the suite waits for what must come: costs time where something is broken alone."""
    can_kill = False
    """Whether `kill` is written."""
    has_proxy = False
    """Whether `broker_address` and `make_engine_at` are written, for the theme `outages`."""
    flood_messages = 2000
    """What each publisher sends in the theme `floods`."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.limits = Limits()

    @property
    def virtual(self) -> VirtualTime | None:
        """The clock, if it is a virtual one: then the suite's loop lives by it."""
        return self.clock if isinstance(self.clock, VirtualTime) else None

    def make_engine(self, limits: Limits, address: str) -> Engine:
        """Return a new engine, not opened yet, that talks to this source's broker."""
        raise NotImplementedError

    async def start(self) -> None:
        """Make the namespace; once, before the first engine. `limits` are final by now."""

    async def stop(self) -> None:
        """Remove it; once, after every engine was closed."""

    async def kill(self, engine: Engine) -> None:
        """Let this connection vanish as `kill -9` of its process would: no word, never back."""
        raise NotImplementedError

    def broker_address(self) -> str:
        """Return where the broker listens, ``host:port`` or a path; asked once it was started."""
        raise NotImplementedError

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        """Return an engine, not opened yet, that talks to the broker at this place: the proxy."""
        raise NotImplementedError
