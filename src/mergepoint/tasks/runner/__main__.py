"""`python -m mergepoint.tasks.runner`: run the tasks of an app until told to stop.

Place:  supervisor, host.start_tasks -> [runner.__main__] -> runner.service, runner.child
Rule:   reads the environment, and nothing below it does; exit code 78 for what cannot start.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from mergepoint.core.errors import MergepointError
from mergepoint.tasks.home import Home
from mergepoint.tasks.runner.config import CHILD_VARIABLE, READY_VARIABLE, Config, read
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.service import Runner

LEASE_S = 15.0


def connected() -> Home:
    """Return the home of this process's site."""
    import mergepoint

    home: Home = mergepoint.connect().tasks.home
    return home


def main(connect: Callable[[], Home] = connected) -> int:
    """Return the exit code."""
    try:
        config = read(os.environ)
        told = os.environ.pop(CHILD_VARIABLE, "")
        if told:
            from mergepoint.tasks.runner import child

            descriptor, _, parent = told.partition(":")
            return child.main(config, int(descriptor), int(parent))
        return serve(config, connect(), os.environ.pop(READY_VARIABLE, ""))
    except MergepointError as error:
        line = {"event": "tasks.refused", "error": error.message, "next": error.next}
        print(json.dumps(line), file=sys.stderr, flush=True)
        return int(error.exit)


def serve(config: Config, home: Home, ready: str = "") -> int:
    """Run on the site's loop until TERM or INT has begun, and ended, the drain."""
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping.told)

    async def work() -> None:
        runner = Runner(
            engine=await home.engine(),
            ledger=await home.ledger(),
            config=config,
            clock=home.clock,
            log=Log(home.clock, home.address),
            argv=sys.orig_argv,
            address=home.address,
            codec=home.codec,
            lease_s=_lease_s(os.environ.get("MERGEPOINT_BUS", "")),
        )
        stopping.attach(asyncio.get_running_loop(), runner)
        saying = asyncio.create_task(_say_ready(runner, ready))
        try:
            await runner.run()
        finally:
            saying.cancel()
            await (await home.engine()).close()

    home.wait(work)
    return 0


class Stopping:
    """Signals come to the main thread, the runner lives on another one."""

    def __init__(self) -> None:
        self._asked = False
        self._runner: tuple[asyncio.AbstractEventLoop, Runner] | None = None

    def told(self, number: int, frame: FrameType | None) -> None:
        """Begin the drain; a second signal does nothing."""
        del number, frame
        self._asked = True
        if self._runner is not None:
            loop, runner = self._runner
            loop.call_soon_threadsafe(runner.stop)

    def attach(self, loop: asyncio.AbstractEventLoop, runner: Runner) -> None:
        """Let signals reach this runner, also one that has come already."""
        self._runner = loop, runner
        if self._asked:
            runner.stop()


async def _say_ready(runner: Runner, descriptor: str) -> None:
    await runner.ready.wait()
    if descriptor.isdigit():
        os.write(int(descriptor), b"READY\n")
        os.close(int(descriptor))


def _lease_s(bus: str) -> float:
    try:
        return float(json.loads(bus)["limits"]["lease_s"])
    except (ValueError, TypeError, KeyError):
        return LEASE_S


if __name__ == "__main__":
    sys.exit(main())
