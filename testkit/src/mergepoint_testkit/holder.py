"""A process that takes jobs from a queue and holds them, to be killed or frozen meanwhile.

Place:  tests -> [holder] -> a process of its own -> an engine of the bus
Rule:   says every step on a line of its own; nobody has to guess when it holds something.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from mergepoint.assembly.engines import engine_of
from mergepoint.bus.contract import Engine, Lease, Limits
from mergepoint.bus.errors import BusLost
from mergepoint.core.clock import SystemClock

STEP_S_MAX = 60.0
LIMITS = Limits(heartbeat_s=2.0)


@dataclass
class Holder:
    """One such process."""

    process: subprocess.Popen[str]

    def said(self) -> dict[str, Any]:  # Any: JSON
        """Return the next thing it says; raises `RuntimeError` when it ends instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the holder ended with {self.process.wait(STEP_S_MAX)}")
        return dict(json.loads(line))

    def finish(self) -> int:
        """Let it finish what it holds; return how many of its leases were lost."""
        assert self.process.stdin is not None
        self.process.stdin.write("finish\n")
        self.process.stdin.flush()
        return int(self.said()["lost"])

    def kill(self) -> float:
        """End it with SIGKILL; return when, by the monotonic clock."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(STEP_S_MAX)
        return time.monotonic()

    def freeze(self) -> None:
        """Stop it with SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it unless it is gone."""
        if self.process.poll() is None:
            self.kill()


def holding(
    url: str, queue: str, *, count: int = 1, lease_s: float = 600.0, limits: Limits = LIMITS
) -> Holder:
    """Start a process that takes `count` jobs; it says `took` when it has them all."""
    asked = {
        "url": url,
        "queue": queue,
        "count": count,
        "lease_s": lease_s,
        "limits": asdict(limits),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mergepoint_testkit.holder", json.dumps(asked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    return Holder(process)


async def _hold(asked: dict[str, Any]) -> None:
    engine = engine_of(asked["url"], Limits(**asked["limits"]), SystemClock(), address="")
    await engine.open(lambda _state, _reason: None)
    _say({"event": "open"})
    leases: list[Lease] = []
    while len(leases) < asked["count"]:
        leases += await engine.take(
            [asked["queue"]],
            worker="holder",
            limit=asked["count"] - len(leases),
            lease_s=asked["lease_s"],
            wait_s=STEP_S_MAX,
        )
    _say({"event": "took", "attempts": sorted({lease.attempt for lease in leases})})
    await asyncio.to_thread(sys.stdin.readline)
    lost = await _acked(engine, leases)
    _say({"event": "finished", "lost": len(lost)})
    await engine.close()


async def _acked(engine: Engine, leases: list[Lease]) -> list[Lease]:
    """Finish them, again while the connection that was lost is not back; return what was lost."""
    ends_s = time.monotonic() + STEP_S_MAX
    while True:
        try:
            return await engine.ack(leases)
        except BusLost:
            if time.monotonic() > ends_s:
                raise
            await asyncio.sleep(0.1)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_hold(json.loads(sys.argv[1])))
