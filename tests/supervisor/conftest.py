"""One site per test: its manifest, its supervisor as a program of its own, its clients."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mergepoint.supervisor.client import CommandRefused, connect

HERE = Path(__file__).parent
WORKER = HERE / "small_worker.py"
ROOT = HERE.parents[1]
WAIT_S = 15.0


def real_edge() -> Path | None:
    """Return a built edge that can really serve, or None."""
    named = os.environ.get("MERGEPOINT_EDGE_BINARY")
    places = [
        ROOT / "edge/target" / profile / "mergepoint-edge" for profile in ("release", "debug")
    ]
    for path in [Path(named)] if named else places:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5)
            if told.returncode == 0 and told.stdout.strip():
                return path
    return None


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the stand-in edge as a program."""
    path = tmp_path_factory.mktemp("edge") / "mergepoint-edge"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "stand_in_edge.py"} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Site:
    """A directory with a manifest, and what may run of it."""

    def __init__(self, directory: Path, edge: Path) -> None:
        self.directory = directory
        self.edge = edge
        self.manifest = directory / "mergepoint.toml"
        self.log = directory / "supervisor.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def listen(self) -> str:
        return f'listen = "127.0.0.1:{self.port}"'

    @property
    def run_dir(self) -> Path:
        return self.directory / ".mergepoint" / "run"

    def write(self, apps: str, site: str = "") -> None:
        """Write the manifest: `apps` as TOML, `site` as other keys of the site."""
        self.manifest.write_text(f'[site]\nname = "s"\n{site or self.listen}\n{apps}\n')

    def start(self, *arguments: str, ready: bool = True) -> None:
        """Start a supervisor, and wait until it says that the site is ready."""
        self.log.write_text("")
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "serve_site.py", self.manifest, *arguments],
                stdout=stream, stderr=stream, cwd=self.directory,
                env={**os.environ, "MERGEPOINT_EDGE_BINARY": str(self.edge)},
            )  # fmt: skip
        if ready:
            self.wait_for(lambda: self.told("site_ready"), "site_ready")

    def told(self, step: str, app: str | None = None) -> list[dict[str, Any]]:
        """Return the progress lines of one step."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                progress = json.loads(line).get("progress", {})
                if progress.get("step") == step and app in (None, progress["app"]):
                    found.append(progress)
        return found

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
        """Wait until `condition` holds and return it; fail with the log otherwise."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := condition():
                return result
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-4000:]}")

    @staticmethod
    def app(
        name: str = "shop", more: str = "", *, at: str = "/", env: str = "", reach: str = "{socket}"
    ) -> str:
        """Return the manifest of an app that runs the small worker, by socket or by port."""
        return (
            f'[apps.{name}]\ncommand = ["{sys.executable}", "-S", "{WORKER}", "{reach}"]\n'
            f'at = "{at}"\ndirectory = "."\nprefix = "keep"\n'
            f'env = {{ MODE_FILE = "{name}.mode", VERSION_FILE = "{name}.version"{env} }}\n'
            f"{more}\n"
        )

    def mode(self, words: str, app: str = "shop") -> None:
        """Say how the next processes of an app behave."""
        (self.directory / f"{app}.mode").write_text(words)

    def version(self, text: str, app: str = "shop") -> None:
        """Say what the next processes of an app answer."""
        (self.directory / f"{app}.version").write_text(text)

    def load(self, path: str = "/", clients: int = 3) -> Load:
        """Return clients that ask until the block ends."""
        return Load(self, path, clients)

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and return its answer; raises `CommandRefused`."""

        async def talk() -> dict[str, Any]:
            async with connect(self.run_dir) as client:
                return await client.ask(verb, **arguments)

        return asyncio.run(talk())

    def refusal(self, verb: str, **arguments: Any) -> str:
        """Send a command that must be refused and return the reason."""
        with pytest.raises(CommandRefused) as caught:
            self.ask(verb, **arguments)
        return caught.value.message

    def get(self, path: str = "/", timeout_s: float = 10.0) -> tuple[int, str]:
        """Return status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def slots(self, app: str) -> list[dict[str, Any]]:
        """Return the slots of an app from `status`."""
        return self.ask("status")["apps"][app]["slots"]

    def pids(self, app: str) -> list[int]:
        """Return the process ids of an app's ready slots."""
        return [slot["pid"] for slot in self.slots(app) if slot["state"] == "ready"]

    @staticmethod
    def is_gone(pid: int) -> bool:
        """Tell whether a process has ended, also when nobody has reaped it yet."""
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def kill_supervisor(self) -> None:
        """End the supervisor as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(WAIT_S)

    def stop(self) -> int:
        """Stop the site and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def clean(self) -> None:
        """End whatever this test started, also what a killed supervisor left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)
        with contextlib.suppress(OSError, ValueError):
            record = json.loads((self.run_dir / "processes.json").read_text())
            for entry in record["processes"]:
                with contextlib.suppress(psutil.Error):
                    psutil.Process(entry["pid"]).kill()


class Load:
    """Clients that ask again and again; every answer that is not 200 is a failure."""

    def __init__(self, site: Site, path: str = "/", clients: int = 3) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._site, self._path = site, path
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                status, body = self._site.get(self._path)
                (self.answers if status == 200 else self.failures).append(f"{status} {body}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            time.sleep(0.005)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def site(stand_in: Path) -> Iterator[Site]:
    """Give a site with the real edge where it is built, otherwise with the stand-in."""
    # pytest's own directories have names too long for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="mp-") as directory:
        made = Site(Path(directory), real_edge() or stand_in)
        for name in ("shop", "blog"):
            made.version("1", name)
        yield made
        made.clean()
