"""Workers as the supervisor starts them, spoken to as the edge speaks to them.

Place:  tests/host -> [workers] -> mergepoint/host/boot.py
Rule:   a worker runs in an environment that has no Mergepoint in it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint_testkit.environments import environment

BOOT = Path(__file__).resolve().parents[3] / "src" / "mergepoint" / "host" / "boot.py"
START_S_MAX = 20.0
ANSWER_S_MAX = 15.0
MOUNT = "/tickets"
EDGE_HEADERS = {
    "Host": "site.example",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "site.example",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": MOUNT,
    "X-Request-Id": "request-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


class UnixConnection(http.client.HTTPConnection):
    """http.client over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("worker", timeout=ANSWER_S_MAX)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass
class Worker:
    """One worker process, its socket and what it printed."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: Path

    @property
    def output(self) -> str:
        """Return what the worker printed so far."""
        return self.log.read_text(errors="replace")

    def open(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Send one request as the edge would and return the answer, its body unread."""
        connection = UnixConnection(self.socket)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, {**EDGE_HEADERS, **named}, encode_chunked=chunked)
        return connection.getresponse()

    def get(self, path: str, **headers: str) -> str:
        """Return the body of a 200."""
        answer = self.open(path, **headers)
        body = answer.read().decode()
        assert answer.status == 200, f"{answer.status} {body}\n{self.output}"
        return body

    def ready(self) -> bool:
        """Tell whether the worker answers the edge's probe."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.open("/", Mergepoint_Probe="ready").status == 204
        return False

    def wait_ready(self) -> None:
        """Return once ready; fail with the output when it ends or takes too long."""
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output
            if self.ready():
                return
            time.sleep(0.03)
        raise AssertionError(f"not ready within {START_S_MAX} s:\n{self.output}")

    def wait_for(self, word: str, seconds: float = 10.0) -> str:
        """Return the output once it holds `word`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if word in self.output:
                return self.output
            time.sleep(0.03)
        raise AssertionError(f"no {word!r} within {seconds} s in:\n{self.output}")

    def reported(self, word: str) -> dict[str, Any]:
        """Return the document of the first ``mergepoint-<word>:`` line."""
        start = f"mergepoint-{word}: "
        line = next(x for x in self.wait_for(start).splitlines() if x.startswith(start))
        parsed: dict[str, Any] = json.loads(line.removeprefix(start))
        return parsed

    def stop(self) -> int:
        """Send TERM and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ANSWER_S_MAX)


@dataclass
class Workers:
    """Starts workers with their sockets and logs in `directory`."""

    directory: Path
    started: list[Worker] = field(default_factory=list)

    def start(
        self,
        target: str = "",
        *,
        where: Path,
        python: Path | None = None,
        environ: dict[str, str] | None = None,
        wait: bool = True,
        **told: Any,
    ) -> Worker:
        """Start one worker; `told` goes into MERGEPOINT_HOST; it is ready unless `wait` is off."""
        number = len(self.started)
        path = self.directory / f"{number}.sock"
        log = self.directory / f"{number}.log"
        document = {
            "interface": "wsgi",
            "target": target,
            "server": "granian",
            "threads": 4,
            "directory": str(where),
            "backlog": 128,
            "prefix": "host",
            **told,
        }
        python = python or environment("matrix") / "bin" / "python"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(python), str(BOOT)],
                env={**_environment(path, document), **(environ or {})},
                cwd="/",
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        worker = Worker(process, path, log)
        self.started.append(worker)
        if wait:
            worker.wait_ready()
        return worker

    def kill(self) -> None:
        """Kill what still runs, with its children."""
        for worker in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait(5)


def _environment(socket_path: Path, document: dict[str, Any]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MERGEPOINT_SITE": "site",
        "MERGEPOINT_APP": "app",
        "MERGEPOINT_SLOT": "0",
        "MERGEPOINT_MODE": "development",
        "MERGEPOINT_SOCKET": str(socket_path),
        "MERGEPOINT_MOUNT": MOUNT,
        "MERGEPOINT_HOST": json.dumps(document),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
