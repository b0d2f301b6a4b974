"""A hub and runners as real processes, for one test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mergepoint.assembly.connect import Site, document_of
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 40.0
LIMITS = Limits(lease_s=2.0, heartbeat_s=0.5)


class Started:
    """A process that says READY on a pipe, its log beside it."""

    def __init__(self, name: str, argv: list[str], environment: dict[str, str], log: Path) -> None:
        reading, writing = os.pipe()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, **environment, "MERGEPOINT_READY_FD": str(writing)},
                pass_fds=[writing],
                cwd=ROOT,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        os.close(writing)
        self.name, self.log = name, log
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.readline() == b"READY\n", f"{name}: {log.read_text()}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line for line in found if line.get("event") == event]

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


class TaskSite:
    """A hub in a directory, runners, and a home to ask from."""

    def __init__(self, directory: Path, limits: Limits = LIMITS) -> None:
        self.directory = directory
        self.limits = limits
        self._count = 0
        self.runners: list[Started] = []
        document = {
            "state_dir": str(directory / "hub"),
            "socket": str(directory / "hub.sock"),
            "durability": "fast",
            "limits": asdict(self.limits),
        }
        told = {"MERGEPOINT_HUB": json.dumps(document), "MERGEPOINT_HUB_IS_QUEUE": "1"}
        self._hub_told = told
        self.start_hub()
        self.home = Site(document_of(json.dumps(self._bus("asker/0"))), SystemClock())

    def start_hub(self) -> None:
        """Start the hub, anew after it was killed."""
        argv = [sys.executable, "-m", "mergepoint.assembly.hub"]
        self.hub = Started("hub", argv, self._hub_told, self.directory / "hub.log")

    def runner(self, **config: Any) -> Started:
        self._count += 1
        told = {
            "MERGEPOINT_BUS": json.dumps(self._bus(f"test.tasks/{self._count}")),
            "MERGEPOINT_TASKS": json.dumps(
                {"module": "tests.tasks.jobs", "app": "test", "directory": str(ROOT), **config}
            ),
            "MP_TEST_DIR": str(self.directory),
        }
        argv = [sys.executable, "-m", "mergepoint.tasks.runner"]
        log = self.directory / f"runner{self._count}.log"
        runner = Started(f"runner {self._count}", argv, told, log)
        self.runners.append(runner)
        return runner

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        self.home.close()
        for started in [*self.runners, self.hub]:
            started.kill()

    def _bus(self, address: str) -> dict[str, Any]:
        url = f"hub+unix://{self.directory}/hub.sock"
        return {"url": url, "hub": url, "address": address, "limits": asdict(self.limits)}


def until(told: Callable[[], Any], what: str) -> Any:
    """Return what is true at last; fail when it never is."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = told()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


@contextlib.contextmanager
def site_in(directory: Path, limits: Limits = LIMITS) -> Iterator[TaskSite]:
    site = TaskSite(directory, limits)
    try:
        yield site
    finally:
        site.close()
