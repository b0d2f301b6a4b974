"""A Redis (or Valkey) of the test's own, on a loopback port, that may be killed and come back.

Place:  tests -> [redis] -> redis-server or valkey-server
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.services import require_program

START_S_MAX = 30.0
STOP_S_MAX = 15.0
PROGRAMS = ("redis-server", "valkey-server")
OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
"""What a server keeps by default here: everything but the last second at a power cut."""


@dataclass
class RedisServer:
    """One server; `kill` is SIGKILL, and `start` brings it back with what it had on disk."""

    program: str
    directory: Path
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    password: str = ""
    started_s: float = 0.0
    """How long the last start took."""
    _process: subprocess.Popen[bytes] | None = None

    def url(self, query: str = "") -> str:
        """Return the address as the bus takes it."""
        who = f":{self.password}@" if self.password else ""
        return f"redis://{who}127.0.0.1:{self.port}/0{'?' + query if query else ''}"

    def start(self) -> None:
        """Start it and wait until it answers PING with a value, not with LOADING."""
        began = time.monotonic()
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self.program, "-", *self._arguments()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > START_S_MAX:
                said = (self.directory / "log").read_text()[-2000:]
                raise RuntimeError(f"{self.program} did not start: {said}")
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

    def command(self, *words: str) -> str:
        """Send one command on a connection of its own; return the raw answer's first line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=STOP_S_MAX) as connection:
            if self.password:
                connection.sendall(_encoded("AUTH", self.password))
                connection.recv(4096)
            connection.sendall(_encoded(*words))
            return connection.makefile("rb").readline().decode().strip()

    def _arguments(self) -> list[str]:
        merged = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "daemonize": "no",
            **OPTIONS,
            **self.options,
            **({"requirepass": self.password} if self.password else {}),
        }
        return [word for name, value in merged.items() for word in (f"--{name}", value)]

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith("+PONG")
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
def running_redis(
    options: Mapping[str, str] | None = None, password: str = "", program: str = PROGRAMS[0]
) -> Iterator[RedisServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path = require_program(program)
    directory = Path(tempfile.mkdtemp(prefix="mergepoint-redis-", dir="/tmp"))
    server = RedisServer(path, directory, free_port(), options or {}, password)
    try:
        server.start()
        print(f"{program} answers after {server.started_s:.2f} s")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _encoded(*words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return (f"*{len(words)}\r\n" + "".join(parts)).encode()
