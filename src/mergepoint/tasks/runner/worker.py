"""A child as its runner sees it: started, given jobs, told to stop them, killed.

Place:  runner.pool -> [runner.worker] -> runner.child in a process of its own
Rule:   every job ends in exactly one answer: its finishes, or `Died`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mergepoint.balance.measure import Meter
from mergepoint.tasks.contract import Finish
from mergepoint.tasks.errors import RunnerRefused
from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.config import CHILD_VARIABLE
from mergepoint.tasks.runner.wire import READ_BYTES, finishes_of, job_frame, reader
from mergepoint.wire.frames import encode_json

OnHead = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""Answers what a child asks (`once`, `progress`); None: no answer is wanted."""


class Died(Exception):
    """The process that ran the job is gone."""


class Worker:
    """One child process."""

    def __init__(self, argv: Sequence[str], on_head: OnHead, meter: Meter | None = None) -> None:
        self._meter = meter or Meter()
        self._argv = argv
        self._on_head = on_head
        self._jobs: dict[str, asyncio.Future[list[Finish]]] = {}
        self._process: asyncio.subprocess.Process
        self._out: asyncio.StreamWriter
        self._reading: asyncio.Task[None]
        self._asking: set[asyncio.Task[None]] = set()
        self._hello: asyncio.Future[dict[str, Any]]
        self.spoiled = ""
        """Why it is given no more jobs; "" while it is."""
        self.given = 0
        self.weigh_s = 0.0
        """When its memory may be looked at again, and whether somebody will."""
        self.weighing = False
        self.gone = asyncio.Event()
        self._frames: list[bytes] = []

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def busy(self) -> int:
        """How many jobs it has."""
        return len(self._jobs)

    @property
    def usable(self) -> bool:
        """Whether it may be given jobs."""
        return not self.spoiled and not self.gone.is_set()

    async def start(self, start_s: float) -> dict[str, Any]:
        """Start it; return what it declares. Raises `RunnerRefused` when it cannot."""
        self._hello = asyncio.get_running_loop().create_future()
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            CHILD_VARIABLE: f"{theirs.fileno()}:{os.getpid()}",
        }
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        incoming, self._out = await asyncio.open_unix_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(incoming))
        try:
            return await asyncio.wait_for(asyncio.shield(self._hello), start_s)
        except TimeoutError:
            self.kill()
            raise RunnerRefused(
                f"a child did not import its modules within start_s = {start_s:g} s"
            ) from None

    def begin(self, job: Job) -> asyncio.Future[list[Finish]]:
        """Give it a job; the answer is its finishes, or `Died`."""
        answer: asyncio.Future[list[Finish]] = asyncio.get_running_loop().create_future()
        self._jobs[job.id] = answer
        self.given += 1
        if self.gone.is_set():
            self._lose(job.id)
        else:
            self._write(job_frame(job))
        return answer

    def stop(self, job: Job, why: str) -> None:
        """Tell the handler to stop."""
        if not self.gone.is_set():
            self._write(encode_json({"stop": job.id, "why": why}))

    def forget(self, job: Job) -> None:
        """Wait no longer for a job that does not stop."""
        self._jobs.pop(job.id, None)

    def kill(self) -> None:
        """End it at once; its jobs have died."""
        self.spoiled = self.spoiled or "killed"
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # With what its handlers have started: its session is its own.
                os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Return its exit code once it is gone."""
        await self.gone.wait()
        return await self._process.wait()

    def resident_bytes(self) -> int:
        """Return its resident memory; 0 when it is gone or the system does not say."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def _read(self, incoming: asyncio.StreamReader) -> None:
        frames = reader()
        try:
            while data := await incoming.read(READ_BYTES):
                for frame in frames.feed(data):
                    self._hear(frame.head)
        except OSError:
            pass  # reset by its death
        finally:
            await self._process.wait()
            self._bury()

    def _hear(self, head: dict[str, Any]) -> None:
        if "done" in head:
            if head.get("cost"):
                self._meter.add(*head["cost"])
            answer = self._jobs.pop(head["done"], None)
            if answer is not None and not answer.done():
                answer.set_result(finishes_of(head))
        elif "hello" in head:
            self._hello.set_result(head["hello"])
        elif "failure" in head:
            self._hello.set_exception(RunnerRefused(head["failure"], next=head["trace"]))
        else:
            asking = asyncio.create_task(self._answer(head))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)

    async def _answer(self, head: dict[str, Any]) -> None:
        answer = await self._on_head(head)
        if answer is not None and not self.gone.is_set():
            self._write(encode_json(answer))

    def _write(self, frame: bytes) -> None:
        """Send it with whatever else this turn of the loop has for the child."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append(frame)

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        if not self.gone.is_set():
            self._out.write(b"".join(frames))

    def _bury(self) -> None:
        self.gone.set()
        self._out.close()
        if not self._hello.done():
            code = self._process.returncode
            self._hello.set_exception(RunnerRefused(f"a child ended with {code} at its start"))
        for job in list(self._jobs):
            self._lose(job)

    def _lose(self, job: str) -> None:
        answer = self._jobs.pop(job)
        if not answer.done():
            code = self._process.returncode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            answer.set_exception(Died(f"its process ended with {how}"))
