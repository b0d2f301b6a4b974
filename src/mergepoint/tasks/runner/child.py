"""The process that holds user code: threads for blocking handlers, one loop for async ones.

Place:  runner.__main__ starts [runner.child]; runner.worker is its other end
Rule:   holds no lease and no connection to the ledger; when the runner dies, it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import os
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mergepoint.balance.measure import Meter, Steps, Watch
from mergepoint.bus.context import continued
from mergepoint.bus.errors import BusLost
from mergepoint.tasks.context import Context
from mergepoint.tasks.contract import Ending, Finish, Progress
from mergepoint.tasks.declare import Task, Tasks
from mergepoint.tasks.executing import Job, arun, context_of, run
from mergepoint.tasks.ledger.documents import to_plain
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.finding import load
from mergepoint.tasks.runner.wire import READ_BYTES, cost_of, done_frame, job_of, reader
from mergepoint.wire.frames import encode_json

PR_SET_PDEATHSIG = 1
ANSWER_S = 15.0
"""How long a handler waits for the runner's answer to `once`."""
FAILED_EXIT = 78


def main(config: Config, descriptor: int, parent: int) -> int:
    """Run until the runner closes its end."""
    _die_with(parent)
    # The runner decides who stops when. No SIG_IGN: what a handler starts would inherit that.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    link = socket.socket(fileno=descriptor)
    sys.path.insert(0, os.path.abspath(config.directory))  # noqa: PTH100 - no symlink is followed
    try:
        tasks, registries = load(config.modules)
    except Exception as error:
        text = "".join(traceback.format_exception(error)).strip()
        link.sendall(encode_json({"failure": f"{type(error).__name__}: {error}", "trace": text}))
        return FAILED_EXIT
    asyncio.run(Child(link, tasks, registries, config).serve())
    # Threads whose handlers never end would keep the interpreter; nothing waits for them.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Child:
    """One end of the pair; also the `Office` of its handlers."""

    def __init__(
        self,
        link: socket.socket,
        tasks: dict[str, Task[..., Any]],
        registries: list[Tasks],
        config: Config,
    ) -> None:
        self._link = link
        self._tasks = tasks
        self._registries = registries
        self._app = config.app
        self._threads = ThreadPoolExecutor(config.threads, thread_name_prefix="task")
        self._contexts: dict[str, Context] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[int, Future[bool]] = {}
        self._tokens: dict[str, str] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        self._frames: deque[bytes] = deque()
        self._flushing = False
        self._loop: asyncio.AbstractEventLoop

    async def serve(self) -> None:
        """Say hello, then do what the runner says."""
        self._loop = asyncio.get_running_loop()
        self._link.setblocking(False)
        frames, incoming = reader(), asyncio.StreamReader()
        transport, _ = await self._loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(incoming), sock=self._link
        )
        self._out = transport
        self._write(encode_json({"hello": self._hello()}))
        while data := await incoming.read(READ_BYTES):
            for frame in frames.feed(data):
                self._obey(frame.head)

    def progress(self, task: str, progress: Progress) -> None:
        """Pass a handler's progress on."""
        told = [task, self._tokens.get(task, ""), to_plain(progress)]
        self._write(encode_json({"progress": told}))

    def once(self, task: str, key: str, *, done: bool) -> bool:
        """Ask the runner, which asks the ledger."""
        answer: Future[bool] = Future()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._asked[number] = answer
        self._write(encode_json({"once": number, "task": task, "key": key, "mark": done}))
        try:
            return answer.result(ANSWER_S)
        except TimeoutError:
            raise BusLost(f"no answer about {key!r} within {ANSWER_S:g} s") from None
        finally:
            self._asked.pop(number, None)

    def _obey(self, head: dict[str, Any]) -> None:
        if "run" in head:
            job = job_of(head)
            self._begin(job)
        elif "stop" in head:
            self._interrupt(head["stop"], head["why"])
        elif "answer" in head:
            asked = self._asked.get(head["answer"])
            if asked is not None and not asked.done():
                asked.set_result(head["ok"])

    def _begin(self, job: Job) -> None:
        first = job.records[0]
        task, context = self._tasks[first.spec.name], context_of(first, self)
        self._contexts[job.id] = context
        self._tokens.update({record.id: record.token for record in job.records})
        with continued(context.extensions, app=self._app):
            if asyncio.iscoroutinefunction(task.function):
                self._running[job.id] = self._loop.create_task(self._perform(task, job, context))
            else:
                copied = contextvars.copy_context()
                self._threads.submit(copied.run, self._perform_here, task, job, context)

    def _perform_here(self, task: Task[..., Any], job: Job, context: Context) -> None:
        """Run a blocking handler in this thread."""
        meter, watch = Meter(), Watch()
        try:
            finishes = run(task, job, task.codec, context)
        finally:
            watch.stop(meter, context.name)
            self._forget(job)
        self._write(done_frame(job.id, finishes, cost_of(meter)))

    async def _perform(self, task: Task[..., Any], job: Job, context: Context) -> None:
        meter, steps = Meter(), Steps(arun(task, job, task.codec, context))
        try:
            finishes: list[Finish] = await steps
        except asyncio.CancelledError:
            finishes = _told(job, context.interrupted or "cancelled")
        finally:
            steps.stop(meter, context.name)
            self._forget(job)
        self._write(done_frame(job.id, finishes, cost_of(meter)))

    def _forget(self, job: Job) -> None:
        self._contexts.pop(job.id, None)
        self._running.pop(job.id, None)
        for record in job.records:
            self._tokens.pop(record.id, None)

    def _interrupt(self, job: str, why: str) -> None:
        context, running = self._contexts.get(job), self._running.get(job)
        if context is not None:
            context.interrupt(why)
        if running is not None:
            # In the next turn: one that was begun in this one has to run to be able to answer.
            self._loop.call_soon(running.cancel)

    def _hello(self) -> dict[str, Any]:
        declared = {
            name: {
                "queue": task.declaration.queue,
                "priority": task.declaration.priority,
                "options": to_plain(task.declaration.options),
                "runs_in": task.declaration.options.runs_in.value,
            }
            for name, task in self._tasks.items()
        }
        schedules = [to_plain(each) for known in self._registries for each in known.schedules]
        return {"tasks": declared, "schedules": schedules}

    def _write(self, frame: bytes) -> None:
        """Send it, from any thread, with what others have to send by then."""
        self._frames.append(frame)
        if not self._flushing:
            self._flushing = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the runner is gone
                self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        # First, so that whoever comes meanwhile asks again.
        self._flushing = False
        frames = []
        while self._frames:
            frames.append(self._frames.popleft())
        if frames:
            self._out.write(b"".join(frames))


def _told(job: Job, why: str) -> list[Finish]:
    return [
        Finish(id=r.id, token=r.token, ending=Ending.FAILED, error=f"interrupted: {why}")
        for r in job.records
    ]


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the runner dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(FAILED_EXIT)  # it died before we could ask
