"""A whole site from a manifest: the real command line, supervisor, edge and workers.

Place:  tests, bench -> [sites] -> mergepoint start
Rule:   everything through the commands a user has; nothing is reached into.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint_testkit.peers import free_port

READY_S_MAX = 60.0
STOP_S_MAX = 40.0
COMMAND_S_MAX = 120.0
POLL_S = 0.1


class SiteFailed(Exception):
    """The site ended or did not become ready; the message ends with its output."""


@dataclass(slots=True)
class RunningSite:
    """A site under `directory`, answering on `port` of 127.0.0.1."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Return the supervisor's pid."""
        return self.process.pid

    @property
    def manifest(self) -> Path:
        """Return the manifest's path."""
        return self.directory / "mergepoint.toml"

    @property
    def output(self) -> str:
        """Return what the site printed so far."""
        return (self.directory / "site.log").read_text(errors="replace")

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a mergepoint command on this site; raise `SiteFailed` on a bad exit if `check`."""
        done = subprocess.run(
            command(self.manifest, *arguments),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if check and done.returncode != 0:
            raise SiteFailed(
                f"{arguments} ended with {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done

    def status(self) -> dict[str, Any]:
        """Return ``mergepoint status --json``."""
        parsed: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return parsed

    def pids(self, app: str) -> list[int]:
        """Return the pids of an app's ready slots, in slot order."""
        slots = self.status()["apps"][app]["slots"]
        return [s["pid"] for s in slots if s["state"] == "ready"]

    def wait(self, condition: str, met: Any, seconds: float = READY_S_MAX) -> None:
        """Poll until ``met(status)`` is true; raise `SiteFailed` naming `condition`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SiteFailed(f"the site ended with {self.process.returncode}:\n{self.output}")
            done = self.run("status", "--json", check=False)
            if done.returncode == 0 and met(json.loads(done.stdout)):
                return
            time.sleep(POLL_S)
        raise SiteFailed(f"not {condition} within {seconds} s:\n{done.stdout}\n{self.output}")

    def wait_ready(self, seconds: float = READY_S_MAX) -> None:
        """Wait until no app is starting any more."""
        self.wait(
            "ready",
            lambda status: all(a["state"] != "starting" for a in status["apps"].values()),
            seconds,
        )

    def stop(self) -> int:
        """Send TERM, wait for the end, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)


def command(manifest: Path, *arguments: str) -> list[str]:
    """Return the argv of a mergepoint command for a manifest."""
    return [sys.executable, "-m", "mergepoint", "--config", str(manifest), *arguments]


def start_site(
    directory: Path,
    manifest: str,
    *,
    verb: str = "start",
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
) -> RunningSite:
    """Write `manifest` (``{port}`` is filled in) and start it, without waiting for readiness."""
    port = port or free_port()
    (directory / "mergepoint.toml").write_text(manifest.replace("{port}", str(port)))
    merged = {**os.environ, "NO_COLOR": "1", **(environment or {})}
    with (directory / "site.log").open("ab") as log:
        process = subprocess.Popen(
            command(directory / "mergepoint.toml", verb),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=merged,
            start_new_session=True,
        )
    return RunningSite(directory, port, process, merged)


@contextlib.contextmanager
def running_site(
    directory: Path,
    manifest: str,
    *,
    verb: str = "start",
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningSite]:
    """Run a site until the block ends; it is ready, or failing visibly, when the block begins."""
    site = start_site(directory, manifest, verb=verb, environment=environment)
    try:
        site.wait_ready()
        yield site
    finally:
        end_site(site)


def end_site(site: RunningSite) -> None:
    """Stop a site; when it does not stop in time, or its supervisor is gone, kill what is left."""
    try:
        site.stop()
    except subprocess.TimeoutExpired:
        site.process.kill()
        site.process.wait(5)
    for pid in left_over(site.directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def left_over(directory: Path) -> list[int]:
    """Return processes that still run for the site in `directory`, by their environment."""
    mark = f"MERGEPOINT_EDGE_SNAPSHOT={directory}".encode()
    own = f"MERGEPOINT_SITE_DIRECTORY={directory}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (entry / "environ").read_bytes()
            if mark in environ or own in environ:
                found.append(int(entry.name))
    return found
