"""A Redis (or Valkey) of the test's own, on a loopback port, that may be killed and come back.

Place:  tests -> [redis] -> real_server -> redis-server or valkey-server
Rule:   says what is Redis's own; how a server is started and ended stands in `real_server`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.real_server import RealServer, running
from mergepoint_testkit.services import require_program

PROGRAMS = ("redis-server", "valkey-server")
OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
"""What a server keeps by default here: everything but the last second at a power cut."""
COMMAND_S_MAX = 15.0


@dataclass
class RedisServer(RealServer):
    """One server, and commands to it on a connection of their own."""

    name: ClassVar[str] = PROGRAMS[0]
    program: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    password: str = ""

    def url(self, query: str = "") -> str:
        """Return the address as the bus takes it."""
        who = f":{self.password}@" if self.password else ""
        return f"redis://{who}127.0.0.1:{self.port}/0{'?' + query if query else ''}"

    def command(self, *words: str) -> str:
        """Send one command on a connection of its own; return the raw answer's first line."""
        with socket.create_connection(
            ("127.0.0.1", self.port), timeout=COMMAND_S_MAX
        ) as connection:
            if self.password:
                connection.sendall(_encoded("AUTH", self.password))
                connection.recv(4096)
            connection.sendall(_encoded(*words))
            return connection.makefile("rb").readline().decode().strip()

    def _command(self) -> list[str]:
        merged = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "daemonize": "no",
            **OPTIONS,
            **self.options,
            **({"requirepass": self.password} if self.password else {}),
        }
        if merged.get("cluster-enabled") == "yes":
            # By default 10,000 above its port, which may be no port at all.
            merged["cluster-port"] = str(free_port())
        words = (word for name, value in merged.items() for word in (f"--{name}", value))
        return [self.program, "-", *words]

    def _answers(self) -> bool:
        """PING is answered with a value, not with LOADING."""
        try:
            return self.command("PING").startswith("+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def running_redis(
    options: Mapping[str, str] | None = None, password: str = "", program: str = PROGRAMS[0]
) -> Iterator[RedisServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path, port = require_program(program), free_port()
    with running(
        lambda place: RedisServer(place, path, port, options or {}, password), program
    ) as server:
        yield server


def _encoded(*words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return (f"*{len(words)}\r\n" + "".join(parts)).encode()
