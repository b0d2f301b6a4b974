"""A front door of a hundred lines that keeps the contract of the real one, for tests without cargo.

It forwards GET requests to ready slots, retries them, queues while there is no slot, and answers
the control verbs. It checks nothing that a client sends.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

LISTEN_FD_FIRST = 3


class Edge:
    def __init__(self) -> None:
        self.snapshot = json.loads(Path(os.environ["MERGEPOINT_EDGE_SNAPSHOT"]).read_text())
        count = int(os.environ["LISTEN_FDS"])
        self.names = os.environ["LISTEN_FDNAMES"].split(":")
        self.sockets = [socket.socket(fileno=LISTEN_FD_FIRST + n) for n in range(count)]
        self.in_flight: dict[str, int] = {}
        self.counts: dict[str, list[int]] = {}
        self.open = 0
        self.draining = asyncio.Event()
        self.changed = asyncio.Condition()
        self.tasks: set[asyncio.Task[None]] = set()
        self.subscribers: list[asyncio.StreamWriter] = []

    async def run(self) -> None:
        control = os.environ["MERGEPOINT_EDGE_CONTROL"]
        await asyncio.start_unix_server(self.control, control, limit=1 << 26)
        servers = [await asyncio.start_server(self.client, sock=sock) for sock in self.sockets]
        os.write(int(os.environ["MERGEPOINT_READY_FD"]), b"READY\n")
        os.close(int(os.environ["MERGEPOINT_READY_FD"]))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.draining.set)
        await self.draining.wait()
        for server in servers:
            server.close()
        while self.open:
            await asyncio.sleep(0.01)

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            answer = await self.answer(head)
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    def route(self, path: str) -> str:
        routes = self.snapshot["hosts"][0]["routes"]
        fits = [r for r in routes if path.startswith(r["prefix"])]
        return max(fits, key=lambda r: len(r["prefix"]))["app"]

    async def answer(self, head: bytes) -> bytes:
        _method, path = head.split(b" ")[:2]
        name = self.route(path.decode())
        deadline = time.monotonic() + self.snapshot["apps"][name]["queue"]["wait_s"]
        sent = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        tried: dict[str, int] = {}
        while time.monotonic() < deadline:
            app = self.snapshot["apps"][name]
            ready = [s for s in app["slots"] if s["state"] == "ready"]
            if not ready and app["failure"]:
                return plain(503, app["failure"]["reason"])
            if not ready:
                await asyncio.sleep(0.01)
                continue
            slot = min(ready, key=lambda s: (tried.get(s["address"], 0),
                                             self.in_flight.get(s["address"], 0)))  # fmt: skip
            tried[slot["address"]] = tried.get(slot["address"], 0) + 1
            answer = await self.forward(
                name, slot, sent, app["timeouts"]["request_s"], path.decode()
            )
            if answer:
                return answer
            await asyncio.sleep(0.01)
        return plain(503, "no worker in time")

    async def forward(self, app: str, slot: dict, sent: bytes, limit_s: float, path: str) -> bytes:
        address = slot["address"]
        self.in_flight[address] = self.in_flight.get(address, 0) + 1
        counts = self.counts.setdefault(address, [0, 0])
        counts[0] += 1
        writer = None
        try:
            async with asyncio.timeout(limit_s):
                reader, writer = await connect(address)
                writer.write(sent)
                answer = await reader.read(-1)
                counts[1] += answer[9:10] == b"5"
                return answer
        except TimeoutError:
            await self.event({
                "event": "request_timeout", "app": app, "slot": slot["slot"], "address": address,
                "request_id": "-", "method": "GET", "path": path, "after_s": limit_s,
            })  # fmt: skip
            return plain(504, "the request took too long")
        except OSError:
            return b""
        finally:
            if writer:
                writer.close()
            self.in_flight[address] -= 1

    async def event(self, event: dict) -> None:
        for writer in self.subscribers:
            writer.write(json.dumps(event).encode() + b"\n")

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            question = json.loads(line)
            task = asyncio.create_task(self.reply(question, writer))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def reply(self, question: dict, writer: asyncio.StreamWriter) -> None:
        answer = {"id": question["id"], "ok": True}
        match question["verb"]:
            case "apply":
                self.snapshot = question["snapshot"]
                answer["generation"] = self.snapshot["generation"]
            case "await_drained":
                deadline = time.monotonic() + question["timeout_s"]
                while self.in_flight.get(question["address"]) and time.monotonic() < deadline:
                    await asyncio.sleep(0.01)
                answer["in_flight"] = self.in_flight.get(question["address"], 0)
            case "stats":
                answer |= {"generation": self.snapshot["generation"], "apps": self.stats()}
            case "drain":
                self.draining.set()
            case "listeners":
                self.pass_listeners(answer, writer)
                return
            case "subscribe":
                self.subscribers.append(writer)
            case "inflight":
                answer["requests"] = []
            case "metrics":
                answer["text"] = "mergepoint_edge_up 1\n"
            case "ping":
                answer |= {"version": "stand-in", "pid": os.getpid(), "generation": 0}
        writer.write(json.dumps(answer).encode() + b"\n")

    def stats(self) -> dict:
        found = {}
        for name, app in self.snapshot["apps"].items():
            slots = {}
            for slot in app.get("slots", []):
                requests, errors = self.counts.get(slot["address"], [0, 0])
                slots[str(slot["slot"])] = {
                    "address": slot["address"], "requests": requests, "errors": errors,
                    "group": slot["group"], "in_flight": self.in_flight.get(slot["address"], 0),
                }  # fmt: skip
            found[name] = {"queue": 0, "queue_dropped": 0, "slots": slots, "in_flight": 0}
        return found

    def pass_listeners(self, answer: dict, writer: asyncio.StreamWriter) -> None:
        fds = array.array("i", [sock.fileno() for sock in self.sockets])
        line = json.dumps(answer | {"names": self.names}).encode() + b"\n"
        # asyncio's wrapper refuses sendmsg; a copy of the descriptor does not.
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            sock.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return await asyncio.open_connection(host, int(port))


def plain(status: int, text: str) -> bytes:
    body = text.encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status, len(body), body,
    )  # fmt: skip


if __name__ == "__main__":
    if "--version" in sys.argv:
        print("stand-in")
    else:
        asyncio.run(Edge().run())
