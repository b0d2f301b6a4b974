"""Start a process through the launch shim, watch it end by pidfd, and signal it safely.

Place:  supervisor.rolling -> [supervisor.spawn] -> supervisor.launch
Rule:   a `Child` may be our own or one left by an earlier supervisor; both are watched and
        signalled through a pidfd, so a reused process id is never hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint.core.errors import MergepointError
from mergepoint.supervisor import launch

STATUS_BYTES_MAX = 65536
LAUNCH_TIMEOUT_S = 20.0


class SpawnRefused(MergepointError):
    """The process could not be started; the message is the shim's reason."""

    code = "process.not_started"


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything the shim needs; `fds` are numbered from 3 in the new process."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    output: Path
    access: Path | None = None
    """Standard output goes here instead, when set."""
    user: str | None = None
    group: str | None = None
    rlimits: Mapping[str, int] = field(default_factory=dict)
    nice: int = 0
    batch: bool = False
    """It does not push aside what runs on the CPU when it wakes up: SCHED_BATCH, where there is."""
    cgroup: str = ""
    oom_score_adj: int = 0
    fds: Sequence[int] = ()

    def request(self) -> bytes:
        """Return the shim's request document."""
        document: dict[str, Any] = {
            "argv": list(self.argv), "env": dict(self.env), "cwd": str(self.cwd),
            "user": self.user, "group": self.group, "rlimits": dict(self.rlimits),
            "nice": self.nice, "batch": self.batch, "cgroup": self.cgroup,
            "oom_score_adj": self.oom_score_adj, "fds": list(self.fds),
        }  # fmt: skip
        return json.dumps(document).encode()


class Child:
    """One live process: `exited` is set when it has ended, `status` then says how."""

    def __init__(self, pid: int, pidfd: int, *, started_at: int) -> None:
        self.pid = pid
        self.started_at = started_at
        self.exited = asyncio.Event()
        self.status = ""
        """``exit code 3``, ``killed by SIGKILL``; empty while it lives."""
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    def signal(self, number: int) -> None:
        """Send a signal to this process; nothing when it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill_group(self) -> None:
        """End the process and everything it started that did not leave its group."""
        if self._pidfd < 0:
            return
        self.signal(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """Stop watching without touching the process: the site outlives its supervisor."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_exit(self) -> None:
        # The process is a zombie until it is reaped, so its group id cannot be reused meanwhile.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            self.status = describe_exit(result)
        except ChildProcessError:
            self.status = "ended; its exit code went to an earlier supervisor"
        self.forget()
        self.exited.set()


def describe_exit(result: os.waitid_result | None) -> str:
    """Return how a process ended, in words."""
    if result is None:
        return "ended"
    if result.si_code == os.CLD_EXITED:
        return f"exit code {result.si_status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(result.si_status).name}"
    return f"killed by signal {result.si_status}"


def start_time(pid: int) -> int | None:
    """Return the kernel's start time of a process in clock ticks; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    # A zombie serves nobody: for us it has ended.
    return None if fields[0] == "Z" else int(fields[19])


def adopt(pid: int, started_at: int) -> Child | None:
    """Watch a process left by an earlier supervisor; None when it is not that process any more."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    if start_time(pid) != started_at:
        os.close(pidfd)
        return None
    return Child(pid, pidfd, started_at=started_at)


async def spawn(what: Launch) -> Child:
    """Start a process and return it once its program runs; raise `SpawnRefused` with the reason."""
    request_read, request_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        popen = _popen(what, request_read, status_write)
    finally:
        os.close(request_read)
        os.close(status_write)
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(None, _write_all, request_write, what.request())
        child = Child(popen.pid, os.pidfd_open(popen.pid), started_at=start_time(popen.pid) or 0)
        # The child is reaped through its pidfd; Popen must not wait for it a second time.
        popen.returncode = 0
        told = await asyncio.wait_for(_read_status(status_read), LAUNCH_TIMEOUT_S)
    except TimeoutError as error:
        child.kill_group()
        raise SpawnRefused(f"the launch shim did not finish in {LAUNCH_TIMEOUT_S:.0f} s") from error
    if told:
        await child.exited.wait()
        raise SpawnRefused(str(json.loads(told)["reason"]))
    return child


def _popen(what: Launch, request_fd: int, status_fd: int) -> subprocess.Popen[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    output = os.open(what.output, flags, 0o600)
    access = os.open(what.access, flags, 0o600) if what.access else output
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", launch.__file__, str(request_fd), str(status_fd)],
            stdin=subprocess.DEVNULL, stdout=access, stderr=output,
            pass_fds=(request_fd, status_fd, *what.fds), env={"PATH": os.defpath},
        )  # fmt: skip
    finally:
        os.close(output)
        if access != output:
            os.close(access)


def _write_all(fd: int, data: bytes) -> None:
    with os.fdopen(fd, "wb") as stream, contextlib.suppress(BrokenPipeError):
        stream.write(data)


async def _read_status(fd: int) -> bytes:
    """Read the status pipe to its end; the end without a line means that exec succeeded."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=STATUS_BYTES_MAX)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    try:
        return await reader.read(STATUS_BYTES_MAX)
    finally:
        transport.close()
