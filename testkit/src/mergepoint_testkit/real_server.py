"""A real server of a test's own: started, asked to end, killed, stood still and let go on.

Place:  tests -> [real_server] -> nats, redis, prosody, rabbitmq, postgres: each only its own facts
Rule:   its files lie in a directory of its own below /tmp; ends with the test that began it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

ANSWER_S_MAX = 5.0
LOOK_S = 0.02
"""Between two looks at whether it answers, or is gone."""
SAID_CHARS_MAX = 2000


@dataclass
class RealServer:
    """One server; `kill` is SIGKILL, and `start` brings it back with what it had on disk."""

    name: ClassVar[str]
    start_s_max: ClassVar[float] = 30.0
    stop_s_max: ClassVar[float] = 15.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    directory: Path
    user: str | None = field(default=None, kw_only=True)
    """The user it runs as when the tests run as root and it refuses to."""
    started_s: float = field(default=0.0, init=False)
    """How long the last start took."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def prepare(self) -> None:
        """Write what it needs before its first start."""

    def start(self) -> None:
        """Start it and wait until it answers as one that serves."""
        began = time.monotonic()
        self._process = self._popen(*self._command())
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > self.start_s_max:
                raise RuntimeError(f"{self.name} did not start: {self._said()}")
            time.sleep(LOOK_S)
        self.started_s = time.monotonic() - began

    def stop(self) -> None:
        """End it in good order; a second call does nothing."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it with SIGKILL: what it had not written is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End it and whatever was started beside it, for good."""
        self.stop()

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str] | None:
        """Return its whole environment, or None for that of the tests."""
        return None

    def _apart(self) -> list[int]:
        """Return the ids of its processes that are not of its leader's group."""
        return []

    def _popen(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.directory / "out").open("ab") as out:
            return subprocess.Popen(
                words,
                env=self._environment(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a shell and what runs below it are ended as one group
                **as_user(self.user),
            )

    def _said(self) -> str:
        return (self.directory / "out").read_text(errors="replace")[-SAID_CHARS_MAX:]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        apart = self._apart()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        for pid in apart:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        apart = self._apart()
        self._signal(signal.SIGCONT)
        if number is signal.SIGKILL:
            self._signal(number)
        else:
            self._process.send_signal(number)
        try:
            self._process.wait(self.stop_s_max)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait(self.stop_s_max)
        self._process = None
        until = time.monotonic() + self.stop_s_max
        while (any(map(_runs, apart)) or self._lingers()) and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _lingers(self) -> bool:
        """Tell whether something of it is still there although its leader has ended."""
        return False


Server = TypeVar("Server", bound=RealServer)


@contextlib.contextmanager
def running(make: Callable[[Path], Server], name: str) -> Iterator[Server]:
    """Give a server that runs, in a directory that is removed behind it."""
    # Below /tmp: a socket's path has at most 107 characters.
    directory = Path(tempfile.mkdtemp(prefix=f"mergepoint-{name}-", dir="/tmp"))
    server = make(directory)
    try:
        server.prepare()
        if server.user is not None:
            _give(directory, server.user)
        server.start()
        print(f"{name} answers after {server.started_s:.2f} s")
        yield server
    finally:
        server.end()
        shutil.rmtree(directory, ignore_errors=True)


def greeted(port: int, hello: bytes, answer: bytes) -> bool:
    """Tell whether a server on loopback answers `hello` with something that has `answer` in it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S_MAX) as connection:
            connection.sendall(hello)
            return answer in connection.recv(4096)
    except OSError:
        return False


def as_user(user: str | None) -> dict[str, Any]:  # Any: arguments of subprocess.Popen
    """Return what makes a process run as this user and no other; nothing for None."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _give(directory: Path, user: str) -> None:
    found = pwd.getpwnam(user)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, found.pw_uid, found.pw_gid)


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False
