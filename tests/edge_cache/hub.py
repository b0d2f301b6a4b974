"""A hub for the cache's tests: the feed socket of contracts.md section 7, the log the test's own.

Place:  tests/edge_cache -> [hub] <- the edge
Rule:   answers as the contract says, from a log in memory; what goes wrong is asked for.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]


class Hub:
    """Follows one source, `main`, whose log is a list; as a context manager it is stopped."""

    def __init__(self, path: Path, *, lease_s: float = 2.0, poll_s: float = 0.02) -> None:
        self.path = path
        self.lease_s, self.poll_s = lease_s, poll_s
        self.epoch = "e1"
        self.tables = {"a": ["id"], "b": ["id"]}
        self.verbs: list[str] = []
        self.applied: list[Any] = []
        self.hold: Callable[[str], None] = lambda verb: None
        """Called before a verb is answered, with its name; may wait."""
        self.failing = False
        self._name = secrets.token_hex(8)
        self._log: list[str] = []
        self._reads = 0
        self._lock = threading.Lock()
        self._barriers: dict[int, tuple[set[int], threading.Event]] = {}
        self._edges: dict[int, tuple[socket.socket, Json]] = {}
        self._listener: socket.socket | None = None

    def commit(self, *tags: str) -> None:
        """Something was committed."""
        with self._lock:
            self._log += tags

    def start(self) -> None:
        """Listen; after `stop` again, as another hub over the same log."""
        self.path.unlink(missing_ok=True)
        self._name = secrets.token_hex(8)
        self._reads = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(8)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and break every line."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.path.unlink(missing_ok=True)
        for line, _ in list(self._edges.values()):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        edge = id(line)
        self._edges[edge] = (line, {"epoch": None, "cursor": None, "told": False})
        with contextlib.suppress(OSError, ValueError), line.makefile("rb") as lines:
            for text in lines:
                request = json.loads(text)
                threading.Thread(target=self._answer, args=(edge, request), daemon=True).start()
        self._edges.pop(edge, None)

    def _answer(self, edge: int, request: Json) -> None:
        verb = request["verb"]
        self.verbs.append(verb)
        if verb == "applied":
            self._apply(edge, request["barrier"])
            return
        self.hold(verb)
        answer: Json = {"id": request["id"], "ok": True}
        if verb == "hello":
            answer |= {"hub": self._name, "sources": ["main"]}
            answer |= {"lease_s": self.lease_s, "poll_s": self.poll_s}
        elif verb == "pull":
            self._edges[edge][1].update(request["sources"]["main"])
            answer["sources"] = {"main": self._pulled(edge)}
        elif verb == "barrier":
            self._edges[edge][1].update(request["sources"]["main"])
            self._barrier(edge)
            answer["sources"] = {"main": self._pulled(edge)}
        self._send(edge, answer)

    def _pulled(self, edge: int, *, asked: bool = True) -> Json:
        if self.failing:
            return {"error": "the database is gone"}
        with self._lock:
            self._reads += 1
            state = self._edges[edge][1]
            known = state["epoch"] == self.epoch
            seen = int(state["cursor"]) if known else len(self._log)
            pulled: Json = {
                "epoch": self.epoch,
                "cursor": str(len(self._log)),
                "tags": sorted(set(self._log[seen:])),
                "flush": not known and (state["epoch"] is not None or not asked),
                "lease_left_s": self.lease_s,
                "at": self._reads,
            }
            if not state["told"]:
                pulled["tables"] = self.tables
                state["told"] = True
            return pulled

    def _barrier(self, edge: int) -> None:
        others = {other for other in self._edges if other != edge}
        number = secrets.randbelow(1 << 30)
        done = threading.Event()
        self._barriers[number] = (others, done)
        for other in set(others):
            event = {"event": "barrier", "barrier": number}
            self._send(other, {**event, "sources": {"main": self._pulled(other, asked=False)}})
        if others:
            done.wait(self.lease_s)

    def _apply(self, edge: int, number: Any) -> None:
        self.applied.append(number)
        waiting, done = self._barriers[number]
        waiting.discard(edge)
        if not waiting:
            done.set()

    def _send(self, edge: int, line: Json) -> None:
        with contextlib.suppress(OSError, KeyError):
            self._edges[edge][0].sendall(json.dumps(line).encode() + b"\n")

    def wait_for(self, verb: str, count: int = 1, within_s: float = 10.0) -> None:
        """Return once a verb was asked for so often; fail when that takes too long."""
        end = time.monotonic() + within_s
        while self.verbs.count(verb) < count:
            assert time.monotonic() < end, f"{verb} was asked for {self.verbs.count(verb)} times"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
