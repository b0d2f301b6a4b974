"""Processes on a bus over ZeroMQ, each promise in a directory of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.peers import free_port

from mergepoint.bus.adapters.zeromq import ZeromqEngine
from mergepoint.bus.contract import Engine, Limits


class ZeromqSource(EngineSource):
    """Engines that meet over `ipc` or `tcp`."""

    can_kill = True

    def __init__(self, transport: str = "ipc") -> None:
        super().__init__()
        self.limits = Limits(heartbeat_s=0.5)
        self.directory = Path(tempfile.mkdtemp(prefix="mergepoint-zmq-", dir="/tmp"))
        self.url = f"zmq+ipc://{self.directory}/bus"
        if transport == "tcp":
            self.url = f"zmq+tcp://127.0.0.1:{_two_free_ports()}"

    def make_engine(self, limits: Limits, address: str) -> Engine:
        """Return one more process's engine."""
        return ZeromqEngine(self.url, limits, self.clock, address=address)

    async def kill(self, engine: Engine) -> None:
        """Close its sockets without a word."""
        assert isinstance(engine, ZeromqEngine)
        engine.vanish()

    async def stop(self) -> None:
        """Remove the sockets."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _two_free_ports() -> int:
    """Return a free port whose neighbour is free too."""
    import socket

    for _ in range(50):
        port = free_port()
        with socket.socket() as next_one:
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no two free ports beside each other")
