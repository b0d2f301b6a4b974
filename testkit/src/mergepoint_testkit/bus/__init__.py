"""What every engine of the bus promises, as tests that anybody's engine can be put to.

Write an `EngineSource` for the engine, then one test:

    @pytest.mark.parametrize("promise", promises(), ids=str)
    def test_the_engine_keeps(promise):
        keep(promise, MySource())

Each promise is a sub-test of its own, called for example `queues.what_is_put_is_taken`. Where the
engine's `capabilities` lack what a promise needs, the test is that it refuses with `NotCapable`.
"""

from mergepoint_testkit.bus.promise import Promise, keep, promises
from mergepoint_testkit.bus.source import EngineSource
from mergepoint_testkit.bus.stand import Reader, Stand

__all__ = ["EngineSource", "Promise", "Reader", "Stand", "keep", "promises"]
