"""One child process and the calls given to it, one at a time; replaced when it dies or is worn.

Place:  balance.pool -> [balance.slot] -> balance.child over a socket
Rule:   every wait has an end: the answer, the deadline, or the child's death.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mergepoint.balance.errors import CallFailed, CallTimeout, ChildDied, RemoteTraceback

CHILD = Path(__file__).with_name("child.py")
ENDING_S = 2.0
"""How long a child that was told to end may take before it is killed."""


@dataclass(frozen=True)
class Wear:
    """When a child is replaced by a fresh one, after a call."""

    calls_max: int = 10_000
    memory_bytes_max: int = 0
    """Of the child's peak; 0: never for its memory."""


def call_bytes(module: str, name: str, values: Any, named: Any) -> bytes:
    """Return one call as bytes; raises what pickling the values raises."""
    return pickle.dumps((module, name, values, named), pickle.HIGHEST_PROTOCOL)


def main_file() -> str:
    """Return the file of this process's `__main__`, empty where there is none to load again."""
    module = sys.modules.get("__main__")
    return str(getattr(module, "__file__", "") or "")


def search_path() -> list[str]:
    """Return where this process finds modules now; the empty entry is the working directory."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def offer_file() -> str:
    """Return the file that offers Mergepoint here, empty where Mergepoint is installed."""
    for finder in sys.meta_path:
        module = sys.modules.get(type(finder).__module__)
        if type(finder).__name__ == "Offer" and module is not None:
            return str(module.__file__)
    return ""


class Slot:
    """A place for one child; used by one thread at a time, `kill` from any."""

    def __init__(self, wear: Wear) -> None:
        self._wear = wear
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._calls = 0
        self._knows_main = False
        self._search_path: list[str] = []
        self._doomed = False

    @property
    def pid(self) -> int:
        """Return the child's process id, 0 without one."""
        return self._process.pid if self._process else 0

    def run(self, call: bytes, *, needs_main: bool, timeout_s: float) -> Any:
        """Return the call's value or raise its error.

        Raises `CallTimeout` (the child is killed) and `ChildDied`.
        """
        connection = self._ready(needs_main)
        try:
            connection.send_bytes(call)
            if not connection.poll(timeout_s):
                self.kill()
                self.stop()
                raise CallTimeout(f"the call took longer than {timeout_s:g} s")
            answer = connection.recv_bytes()
        except (EOFError, OSError):
            raise ChildDied(self._death()) from None
        self._calls += 1
        value, failure, peak_bytes = pickle.loads(answer)  # noqa: S301 - our own child wrote it
        if self._worn(peak_bytes):
            self.stop()
        if failure is not None:
            raise error_of(*failure)
        return value

    def kill(self) -> None:
        """End the child now, whatever it does; who waits for it gets `ChildDied`.

        The next call gets another child, even if this one takes its time to be gone.
        """
        self._doomed = True
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def stop(self) -> None:
        """End the child after the call it is in; a second call does nothing."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _ready(self, needs_main: bool) -> Connection:
        if self._doomed or (self._process is not None and self._process.poll() is not None):
            self.stop()  # it died between two calls: nobody's fault
        if (needs_main and not self._knows_main) or self._search_path != search_path():
            self.stop()  # what it was told at its start is no longer what a call needs
        if self._connection is None:
            self._start(needs_main)
        if self._connection is None:
            raise ChildDied("the process ended before its first call")
        return self._connection

    def _start(self, needs_main: bool) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(CHILD), str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._connection = Connection(ours.detach())
        self._calls = 0
        self._doomed = False
        self._knows_main = needs_main
        self._search_path = search_path()
        told = {
            "path": self._search_path,
            "directory": str(Path.cwd()),
            "main": main_file() if needs_main else "",
            "offer": offer_file(),
        }
        self._connection.send(told)

    def _worn(self, peak_bytes: int) -> bool:
        most = self._wear.memory_bytes_max
        return self._calls >= self._wear.calls_max or 0 < most < peak_bytes

    def _death(self) -> str:
        process = self._process
        self.stop()
        code = process.returncode if process is not None else None
        if code is not None and code < 0:
            return f"the process of the call was ended by signal {-code}"
        return f"the process of the call ended with code {code}"


def error_of(error: BaseException | None, kind: str, text: str, trace: str) -> BaseException:
    """Return the error to raise here for one that was raised there."""
    if error is None:
        error = CallFailed(f"{kind}: {text}")
    if trace:
        error.__cause__ = RemoteTraceback(trace)
    return error
