"""A RabbitMQ of the test's own: one node with its own epmd, on loopback, that may be killed.

Place:  tests -> [rabbitmq] -> real_server -> epmd, rabbitmq-server, rabbitmqctl
Rule:   runs as whoever runs the tests; says what is RabbitMQ's own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.real_server import RealServer, greeted, running
from mergepoint_testkit.services import require_program, unavailable

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
class RabbitServer(RealServer):
    """One node and its epmd."""

    name: ClassVar[str] = "rabbitmq-server"
    start_s_max: ClassVar[float] = 120.0
    stop_s_max: ClassVar[float] = 60.0
    programs: Path
    port: int
    epmd_port: int
    distribution_port: int
    _epmd: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

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
        """Start it, and its epmd the first time, and wait until it speaks AMQP."""
        if self._epmd is None:
            self._epmd = self._popen("epmd", "-port", str(self.epmd_port))
        super().start()

    def end(self) -> None:
        """End the node and its epmd."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(self.stop_s_max)
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

    def _command(self) -> list[str]:
        return [str(self.programs / self.name)]

    def _answers(self) -> bool:
        return greeted(self.port, PROTOCOL_HEADER, b"\x01")

    def _lingers(self) -> bool:
        """The shell that was waited for may end before the machine below it has let go."""
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

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


@contextlib.contextmanager
def running_rabbitmq() -> Iterator[RabbitServer]:
    """Give a node that runs; skip, or fail where it is required, when none is installed."""
    require_program(RabbitServer.name)
    programs = _programs()
    if programs is None:
        unavailable("rabbitmq-server has no sbin directory of its own")
        return
    ports = free_port(), free_port(), free_port()
    with running(lambda place: RabbitServer(place, programs, *ports), RabbitServer.name) as server:
        yield server


def _programs() -> Path | None:
    root = Path("/")
    found = [
        place
        for pattern in PLACES
        for place in root.glob(pattern.lstrip("/"))
        if (place / "rabbitmq-server").exists() and (place / "rabbitmqctl").exists()
    ]
    return max(found) if found else None
