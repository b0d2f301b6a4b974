"""A RabbitMQ of the test's own: one node with its own epmd, on loopback, that may be killed.

Place:  tests -> [rabbitmq] -> epmd, rabbitmq-server, rabbitmqctl
Rule:   runs as whoever runs the tests, in a directory of its own; ends with the test that began it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
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
from mergepoint_testkit.services import require_program, unavailable

START_S_MAX = 120.0
STOP_S_MAX = 60.0
COMMAND_S_MAX = 60.0
PLACES = ("/usr/lib/rabbitmq/lib/*/sbin", "/usr/local/sbin", "/opt/*/sbin")
"""Debian's own `rabbitmq-server` changes to another user; the one inside its library does not."""
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
MORE_ERLANG = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that sleep when idle: tests share the machine with it."""
MORE_CONFIG = """
loopback_users = none
heartbeat = 10
vm_memory_high_watermark.relative = 0.8
disk_free_limit.absolute = 10MB
log.file.level = warning
"""


@dataclass
class RabbitServer:
    """One node; `kill` is SIGKILL, and `start` brings it back with what it had on disk."""

    programs: Path
    directory: Path
    port: int
    epmd_port: int
    distribution_port: int
    started_s: float = 0.0
    """How long the last start took."""
    _process: subprocess.Popen[bytes] | None = None
    _epmd: subprocess.Popen[bytes] | None = None

    @property
    def node(self) -> str:
        """Return the node's name, no other's on this machine."""
        return f"mergepoint{self.port}@localhost"

    def url(self, vhost: str = "%2F", user: str = "guest", password: str = "guest") -> str:
        """Return the address as the bus takes it."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    def vhost(self, name: str) -> str:
        """Make a virtual host of the test's own; return its address."""
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url(name)

    def start(self) -> None:
        """Start it and wait until it speaks AMQP."""
        began = time.monotonic()
        if self._epmd is None:
            self._epmd = self._popen("epmd", "-port", str(self.epmd_port))
        self._process = self._popen(str(self.programs / "rabbitmq-server"))
        while not self._speaks():
            if self._process.poll() is not None or time.monotonic() - began > START_S_MAX:
                raise RuntimeError(f"rabbitmq-server did not start: {self._said()}")
            time.sleep(0.05)
        self.started_s = time.monotonic() - began

    def stop(self) -> None:
        """End the node in good order; a second call does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node with SIGKILL: what it had not written is gone."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """End the node and its epmd."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(STOP_S_MAX)
            self._epmd = None

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl`; return what it said, raise `RuntimeError` when it failed."""
        done = subprocess.run(
            [str(self.programs / "rabbitmqctl"), "-q", "-n", self.node, *words],
            env=self._environment(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {words[0]}: {done.stderr or done.stdout}")
        return done.stdout

    def prepare(self) -> None:
        """Write its cookie and its configuration."""
        home = self.directory / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n{MORE_CONFIG}"
        )
        (self.directory / "plugins").write_text("[].")
        (self.directory / "environment").write_text("")

    def _environment(self) -> dict[str, str]:
        place = self.directory
        return {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "HOME": str(place / "home"),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_PID_FILE": str(place / "pid"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(place / "environment"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": MORE_ERLANG,
        }

    def _popen(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.directory / "out").open("ab") as out:
            return subprocess.Popen(
                words,
                env=self._environment(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a shell and the machine below it are ended as one group
            )

    def _speaks(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(PROTOCOL_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _said(self) -> str:
        return (self.directory / "out").read_text()[-2000:]

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if number == signal.SIGKILL:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S_MAX)
        self._process = None
        self._wait_until_gone()

    def _wait_until_gone(self) -> None:
        """The shell that was waited for may end before the machine below it has let go."""
        until = time.monotonic() + STOP_S_MAX
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                return
            time.sleep(0.05)


@contextlib.contextmanager
def running_rabbitmq() -> Iterator[RabbitServer]:
    """Give a node that runs; skip, or fail where it is required, when none is installed."""
    require_program("rabbitmq-server")
    programs = _programs()
    if programs is None:
        unavailable("rabbitmq-server has no sbin directory of its own")
        return
    directory = Path(tempfile.mkdtemp(prefix="mergepoint-rabbitmq-", dir="/tmp"))
    server = RabbitServer(programs, directory, free_port(), free_port(), free_port())
    try:
        server.prepare()
        server.start()
        print(f"rabbitmq-server answers after {server.started_s:.1f} s")
        yield server
    finally:
        server.end()
        shutil.rmtree(directory, ignore_errors=True)


def _programs() -> Path | None:
    root = Path("/")
    found = [
        place
        for pattern in PLACES
        for place in root.glob(pattern.lstrip("/"))
        if (place / "rabbitmq-server").exists() and (place / "rabbitmqctl").exists()
    ]
    return max(found) if found else None
