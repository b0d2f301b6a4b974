"""One edge process with its listeners, its snapshot and its control socket, for tests and benches.

Place:  tests, bench -> [edge] -> mergepoint-edge
Rule:   speaks only the contract of docs/reference/contracts.md, section 2; waits for events.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]

START_S_MAX = 10.0
STOP_S_MAX = 10.0
ANSWER_S_MAX = 30.0
LISTENERS_MAX = 32


class EdgeFailed(Exception):
    """The edge did not start, ended, or refused a verb; the message carries what it said."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def edge_binary() -> Path:
    """Return `MERGEPOINT_EDGE_BINARY`, else the newest build, else what is installed."""
    if given := os.environ.get("MERGEPOINT_EDGE_BINARY"):
        return Path(given)
    target = Path(__file__).parents[3] / "edge" / "target"
    built = [target / kind / "mergepoint-edge" for kind in ("debug", "release")]
    found = sorted((path for path in built if path.exists()), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    if installed := shutil.which("mergepoint-edge"):
        return Path(installed)
    raise FileNotFoundError("no mergepoint-edge: run `cargo build` in edge/ or `make edge`")


class ControlClient:
    """A blocking client of one control connection; one verb at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.connect(str(path))
        self._rest = b""
        self._id = 0
        self.descriptors: list[int] = []

    def ask(self, verb: str, **arguments: Any) -> Json:
        """Return the fields of the answer; raise `EdgeFailed` with its code when refused."""
        self._id += 1
        line = json.dumps({"id": self._id, "verb": verb, **arguments})
        self._socket.sendall(line.encode() + b"\n")
        answer = self.line()
        if not answer.get("ok"):
            error = answer.get("error", {})
            raise EdgeFailed(f"{verb}: {error.get('message')}", str(error.get("code", "")))
        return answer

    def line(self) -> Json:
        """Return the next line, an answer or an event; descriptors on it go to `descriptors`."""
        while b"\n" not in self._rest:
            data, ancillary, _, _ = self._socket.recvmsg(
                65536, socket.CMSG_SPACE(4 * LISTENERS_MAX)
            )
            if not data:
                raise EdgeFailed("the edge closed the control connection")
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.descriptors += array.array("i", payload[: len(payload) // 4 * 4])
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        parsed: Json = json.loads(line)
        return parsed

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Child:
    """A process started by `posix_spawn`: what `subprocess.Popen` would tell of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code (minus the signal if killed), or None while it runs on."""
        if self.returncode is not None:
            return self.returncode
        watch = os.pidfd_open(self.pid)
        try:
            if not select.select([watch], [], [], timeout_s)[0]:
                return None
        finally:
            os.close(watch)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class EdgeProcess:
    """Runs the edge on listeners of its own; as a context manager it is stopped at the end.

    `listeners` are names, or names with addresses: empty for a free port of 127.0.0.1, or
    ``unix:/path``. `directory` holds the sockets and the output; keep its path short.
    """

    def __init__(
        self,
        directory: Path,
        listeners: Sequence[str] | Mapping[str, str] = ("http",),
        *,
        binary: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.control_path = directory / "edge.sock"
        self.access_log_path = directory / "edge.out"
        self.error_log_path = directory / "edge.err"
        self.process: Child | None = None
        self._binary = binary or edge_binary()
        self._environment = dict(environment or {})
        self._control: ControlClient | None = None
        addresses = listeners if isinstance(listeners, Mapping) else dict.fromkeys(listeners, "")
        self.sockets = {name: _listen(address) for name, address in addresses.items()}

    def port(self, name: str = "http") -> int:
        """Return the TCP port of a listener."""
        return int(self.sockets[name].getsockname()[1])

    def url(self, path: str = "/", name: str = "http") -> str:
        """Return the plain HTTP URL of a path."""
        return f"http://127.0.0.1:{self.port(name)}{path}"

    def start(self, snapshot: Json) -> Self:
        """Start under `snapshot` and return once connections are accepted; raise `EdgeFailed`."""
        path = self.directory / "snapshot.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(snapshot))
        ready, told = os.pipe()
        try:
            try:
                self._spawn(path, told)
            finally:
                os.close(told)
            self._wait_ready(ready)
        except BaseException:
            self.stop(now=True)
            raise
        finally:
            os.close(ready)
        return self

    def _spawn(self, snapshot: Path, told: int) -> None:
        """Start the binary with the listeners at descriptors 3, 4, ... as the contract says."""
        passed = [sock.fileno() for sock in self.sockets.values()] + [told]
        # Copies far above the wanted numbers, so that no move overwrites one still to be moved.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + LISTENERS_MAX + 1) for fd in passed]
        moves = [(os.POSIX_SPAWN_DUP2, fd, 3 + at) for at, fd in enumerate(high)]
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        output = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.access_log_path), append, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(self.error_log_path), append, 0o600),
        ]
        environment = {
            **os.environ,
            "LISTEN_FDS": str(len(self.sockets)),
            "LISTEN_FDNAMES": ":".join(self.sockets),
            "MERGEPOINT_EDGE_SNAPSHOT": str(snapshot),
            "MERGEPOINT_EDGE_CONTROL": str(self.control_path),
            "MERGEPOINT_READY_FD": str(3 + len(self.sockets)),
            **self._environment,
        }
        argv = [str(self._binary)]
        try:
            pid = os.posix_spawn(argv[0], argv, environment, file_actions=[*output, *moves])
            self.process = Child(pid)
        finally:
            for fd in high:
                os.close(fd)

    def _wait_ready(self, ready: int) -> None:
        found, _, _ = select.select([ready], [], [], START_S_MAX)
        if not found:
            raise EdgeFailed(f"the edge was not ready within {START_S_MAX} s\n{self.errors()}")
        if os.read(ready, 64) != b"READY\n":
            raise EdgeFailed(f"the edge ended with {self.wait(STOP_S_MAX)}\n{self.errors()}")

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code (minus the signal if killed), or None while it runs on."""
        return self.process.wait(timeout_s) if self.process else None

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.process and self.wait(0) is None:
            os.kill(self.process.pid, number)

    def stop(self, *, now: bool = False) -> int | None:
        """Drain and end, or end at once; return the exit code. Nothing happens on a second call."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self.signal(signal.SIGKILL if now else signal.SIGTERM)
        if self.wait(STOP_S_MAX) is None:
            self.signal(signal.SIGKILL)
        return self.wait(STOP_S_MAX)

    def close(self) -> None:
        """Stop and give the listeners back."""
        self.stop()
        for sock in self.sockets.values():
            sock.close()

    def control(self) -> ControlClient:
        """Return a new control connection; the caller closes it."""
        return ControlClient(self.control_path)

    def ask(self, verb: str, **arguments: Any) -> Json:
        """Ask over a connection that is kept for the purpose; raise `EdgeFailed` when refused."""
        if self._control is None:
            self._control = self.control()
        return self._control.ask(verb, **arguments)

    def apply(self, snapshot: Json) -> int:
        """Hand over a snapshot and return its generation; raise `EdgeFailed` when refused."""
        return int(self.ask("apply", snapshot=snapshot)["generation"])

    def access_log(self) -> list[str]:
        """Return the access log's lines so far."""
        return _text(self.access_log_path).splitlines()

    def errors(self) -> str:
        """Return what the edge wrote to stderr."""
        return _text(self.error_log_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _listen(address: str) -> socket.socket:
    """Bind a listener; non-blocking, as the contract's receiver expects of an inherited one."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(address.removeprefix("unix:"))
    else:
        host, _, port = (address or "127.0.0.1:0").rpartition(":")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    sock.listen(4096)
    sock.setblocking(False)
    return sock


def _text(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace")
    return ""
