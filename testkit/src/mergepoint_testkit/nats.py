"""A NATS server with JetStream of the test's own, on a loopback port, that may be killed.

Place:  tests -> [nats] -> real_server -> nats-server
Rule:   says what is NATS's own; how a server is started and ended stands in `real_server`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.real_server import RealServer, greeted, running
from mergepoint_testkit.services import require_program

STORE_BYTES_MAX = 2 * 1024 * 1024 * 1024


@dataclass
class NatsServer(RealServer):
    """One server, with a store of its own."""

    name: ClassVar[str] = "nats-server"
    program: str
    port: int
    account: str = ""
    password: str = ""
    jetstream: bool = True
    store_bytes_max: int = STORE_BYTES_MAX

    def url(self, query: str = "", password: str = "") -> str:
        """Return the address as the bus takes it; `password` replaces the right one."""
        who = f"{self.account}:{password or self.password}@" if self.account else ""
        return f"nats://{who}127.0.0.1:{self.port}{'?' + query if query else ''}"

    def prepare(self) -> None:
        """Write its configuration."""
        lines = [f"listen: 127.0.0.1:{self.port}", "server_name: mergepoint_test"]
        if self.jetstream:
            store = self.directory / "store"
            lines.append(
                f'jetstream {{ store_dir: "{store}", max_file_store: {self.store_bytes_max} }}'
            )
        if self.account:
            lines.append(f'authorization {{ user: "{self.account}", password: "{self.password}" }}')
        (self.directory / "nats.conf").write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [self.program, "-c", str(self.directory / "nats.conf")]

    def _answers(self) -> bool:
        """It greets once its store is open."""
        return greeted(self.port, b"", b"INFO ")


@contextlib.contextmanager
def running_nats(
    user: str = "",
    password: str = "",
    jetstream: bool = True,
    store_bytes_max: int = STORE_BYTES_MAX,
) -> Iterator[NatsServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path, port = require_program(NatsServer.name), free_port()
    with running(
        lambda place: NatsServer(place, path, port, user, password, jetstream, store_bytes_max),
        NatsServer.name,
    ) as server:
        yield server
