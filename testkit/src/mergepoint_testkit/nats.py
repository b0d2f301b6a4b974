"""A NATS server with JetStream of the test's own, on a loopback port, that may be killed.

Place:  tests -> [nats] -> nats-server
Rule:   its files lie in a directory of its own below /tmp; ends with the test that began it.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.services import require_program

START_S_MAX = 30.0
STOP_S_MAX = 15.0
STORE_BYTES_MAX = 2 * 1024 * 1024 * 1024


@dataclass
class NatsServer:
    """One server; `kill` is SIGKILL, and `start` brings it back with what it had on disk."""

    program: str
    directory: Path
    port: int
    user: str = ""
    password: str = ""
    jetstream: bool = True
    store_bytes_max: int = STORE_BYTES_MAX
    started_s: float = 0.0
    """How long the last start took."""
    _process: subprocess.Popen[bytes] | None = None

    def url(self, query: str = "", password: str = "") -> str:
        """Return the address as the bus takes it; `password` replaces the right one."""
        who = f"{self.user}:{password or self.password}@" if self.user else ""
        return f"nats://{who}127.0.0.1:{self.port}{'?' + query if query else ''}"

    def start(self) -> None:
        """Start it and wait until it greets and its store is open."""
        began = time.monotonic()
        (self.directory / "nats.conf").write_text(self._configuration())
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "-c", str(self.directory / "nats.conf")],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() - began > START_S_MAX:
                said = (self.directory / "log").read_text()[-2000:]
                raise RuntimeError(f"nats-server did not start: {said}")
            time.sleep(0.02)
        self.started_s = time.monotonic() - began

    def stop(self) -> None:
        """End it in good order; a second call does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL: what it had not written is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _configuration(self) -> str:
        lines = [f"listen: 127.0.0.1:{self.port}", "server_name: mergepoint_test"]
        if self.jetstream:
            store = self.directory / "store"
            lines.append(
                f'jetstream {{ store_dir: "{store}", max_file_store: {self.store_bytes_max} }}'
            )
        if self.user:
            lines.append(f'authorization {{ user: "{self.user}", password: "{self.password}" }}')
        return "\n".join(lines) + "\n"

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
        self._process = None


@contextlib.contextmanager
def running_nats(
    user: str = "",
    password: str = "",
    jetstream: bool = True,
    store_bytes_max: int = STORE_BYTES_MAX,
) -> Iterator[NatsServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path = require_program("nats-server")
    directory = Path(tempfile.mkdtemp(prefix="mergepoint-nats-", dir="/tmp"))
    server = NatsServer(path, directory, free_port(), user, password, jetstream, store_bytes_max)
    try:
        server.start()
        print(f"nats-server answers after {server.started_s:.2f} s")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
