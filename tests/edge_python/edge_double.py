"""A small server that speaks the control protocol over a real Unix socket.

Place:  tests/edge_python
Rule:   written from docs/reference/contracts.md alone; shares no code with the client it tests.
"""

from __future__ import annotations

import array
import asyncio
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Answer = Callable[[Json], Json | bytes | None]


class EdgeServer:
    """Answers each verb as told; None leaves a question open, bytes are sent as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {
            "ping": lambda _: {"version": "0.1.0", "pid": 4711, "generation": 3},
            "subscribe": lambda _: {},
        }
        self.asked: list[Json] = []
        self.subscribers: list[asyncio.StreamWriter] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path, limit=64 << 20)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                question = json.loads(line)
                self.asked.append(question)
                self.answer(question, writer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def answer(self, question: Json, writer: asyncio.StreamWriter) -> None:
        verb = question["verb"]
        if verb not in self.answers:
            error = {"code": "edge.unknown_verb", "message": f"there is no verb {verb}"}
            said: Any = {"id": question["id"], "ok": False, "error": error}
        else:
            said = self.answers[verb](question)
            if isinstance(said, dict):
                said = {"id": question["id"], "ok": True, **said}
        if verb == "subscribe":
            self.subscribers.append(writer)
        if said is not None:
            writer.write(said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n")

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self.writers:
            writer.close()


def hand_over(path: Path, answer: Json, sockets: list[socket.socket], split: bool = False) -> None:
    """Serve one `listeners` question in a thread: the answer, with the descriptors of `sockets`."""
    ready = threading.Event()

    def serve() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(str(path))
            server.listen(1)
            server.settimeout(5)
            ready.set()
            channel, _ = server.accept()
            with channel:
                channel.settimeout(5)
                question = json.loads(channel.recv(4096))
                assert question["verb"] == "listeners"
                line = json.dumps({"id": question["id"], **answer}).encode() + b"\n"
                rights = array.array("i", [s.fileno() for s in sockets])
                carried = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if sockets else []
                first = line[:5] if split else line
                channel.sendmsg([first], carried)
                if line[len(first) :]:
                    channel.sendall(line[len(first) :])

    threading.Thread(target=serve, daemon=True).start()
    assert ready.wait(5)
