"""A hub of a test's own, and sites that talk to it as apps do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from mergepoint.assembly.connect import Site, document_of
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock

LIMITS = Limits(heartbeat_s=0.5, reconnect_s_max=0.2, lease_s=2.0, call_s=4.0)


class Hub:
    """`python -m mergepoint.bus.hub`; may be killed and started again."""

    def __init__(self, directory: Path, limits: Limits = LIMITS) -> None:
        self.directory = directory
        self.limits = limits
        self.socket = str(directory / "hub.sock")
        self.url = f"hub+unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        reading, writing = os.pipe()
        told = {
            "state_dir": str(self.directory),
            "socket": self.socket,
            "limits": asdict(self.limits),
        }
        environment = {
            **os.environ,
            "MERGEPOINT_READY_FD": str(writing),
            "MERGEPOINT_HUB": json.dumps(told),
        }
        with (self.directory / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mergepoint.bus.hub"],
                env=environment,
                pass_fds=[writing],
                stdout=log,
                stderr=log,
            )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"READY\n", (self.directory / "hub.log").read_text()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def told(self, address: str = "app/0") -> str:
        """Return `MERGEPOINT_BUS` for a process of this site."""
        return json.dumps(
            {"url": self.url, "hub": self.url, "address": address, "limits": asdict(self.limits)}
        )

    def site(self, address: str = "app/0") -> Site:
        return Site(document_of(self.told(address)), SystemClock())
