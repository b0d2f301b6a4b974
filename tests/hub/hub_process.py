"""A real hub process of a test's own: started, killed, stopped, started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock

LIMITS = Limits(heartbeat_s=0.5)


class HubProcess:
    """`python -m mergepoint.bus.hub` on one directory."""

    def __init__(self, directory: Path, limits: Limits = LIMITS, **settings: Any) -> None:
        self.directory = directory
        self.socket = directory / "hub.sock"
        self.limits = limits
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory.with_name(directory.name + ".log")

    @property
    def url(self) -> str:
        return f"hub+unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, crash_at: str = "", module: str = "mergepoint.bus.hub") -> HubProcess:
        """Start; return when it says READY, or has ended."""
        reading, writing = os.pipe()
        document = {
            "state_dir": str(self.directory),
            "socket": str(self.socket),
            "limits": asdict(self.limits),
            "ballast_bytes": 2 * 1024 * 1024,
            **self.settings,
        }
        environment = {**os.environ, "MERGEPOINT_READY_FD": str(writing)}
        if crash_at:
            document["crash_points"] = True
            environment["MERGEPOINT_CRASH_AT"] = crash_at
        environment["MERGEPOINT_HUB"] = json.dumps(document)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                env=environment,
                pass_fds=[writing],
                stderr=log,
                stdout=log,
            )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            self.ready = pipe.read() == b"READY\n"
        return self

    def engine(self, limits: Limits | None = None, address: str = "") -> HubEngine:
        return HubEngine(self.url, limits or self.limits, SystemClock(), address=address)

    def kill(self) -> None:
        """As `kill -9` does; return when it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it with TERM; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()

    def is_gone(self) -> bool:
        """Tell whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def wait(self) -> int:
        """Return the exit code of a process that ends by itself."""
        assert self.process is not None
        return self.process.wait(20)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it said."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found
