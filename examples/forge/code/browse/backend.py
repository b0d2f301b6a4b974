"""Run Git's own ``git http-backend`` for one request, as a CGI program that is streamed.

Place:  hosting -> [backend] -> git http-backend
Rule:   memory and time are bounded whatever is sent; no program outlives its request.

Git itself locks what it changes: of two pushes to one branch the later is told to fetch first.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("browse")
CHUNK_BYTES = 64 * 1024
HEAD_BYTES_MAX = 16 * 1024
HELD_BYTES_MAX = 1024 * 1024
"""What Git may say before it has read the whole request: progress, a few kilobytes."""
SILENT_S_MAX = 300.0
"""How long Git may say nothing; while it packs, it tells of its progress."""
END_S_MAX = 10.0
RUNNING_MAX = 3
"""Git programs at a time in one process of four threads, so that pages still find one."""
PROTOCOL_CHARS_MAX = 64
# Memory of the programs that Git starts by itself: deltas are searched for in a bounded window.
PACKING = {"pack.threads": "1", "pack.windowMemory": "32m", "pack.deltaCacheSize": "32m"}


class Busy(Exception):
    """`RUNNING_MAX` programs run already."""


class Incomplete(Exception):
    """Whoever asked left before the request was whole."""


class Broken(Exception):
    """Git ended early, fell silent, or said what is not CGI."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `user` is empty for nobody, `path` begins below the repository."""

    repository: Path
    path: str
    environ: Mapping[str, Any]
    body_bytes: int
    user: str
    email: str
    may_push: bool
    push_bytes_max: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A CGI answer (RFC 3875, section 6); whoever takes the body closes it."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes]


class Backend:
    """Runs `git`, at most `RUNNING_MAX` at a time; `path` is where hooks find programs."""

    def __init__(self, git: str, path: str) -> None:
        self._git, self._path = git, path
        self._places = threading.BoundedSemaphore(RUNNING_MAX)

    def run(self, asked: Asked) -> Answer:
        """Give Git the whole request and return its answer, still to be read.

        Raises `Busy`, `Incomplete` and `Broken`.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            run = _Run(self._git, variables(asked, self._path), self._places.release)
        except (OSError, ValueError) as error:  # no such program, or a text it cannot be told
            self._places.release()
            raise Broken(f"{self._git} cannot be started: {error}") from error
        try:
            run.feed(asked.environ["wsgi.input"], asked.body_bytes)
            status, headers = run.head()
        except BaseException:
            run.close()
            raise
        return Answer(status, headers, run)


class _Run:
    """One program from its start to `close`; iterating reads what it says."""

    def __init__(self, git: str, environment: dict[str, str], ended: Callable[[], None]) -> None:
        self._ended: Callable[[], None] | None = ended
        self._held = bytearray()
        self._process = subprocess.Popen(
            [git, "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            process_group=0,  # Git starts programs of its own; they end together
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)

    def feed(self, source: Any, body_bytes: int) -> None:
        """Write the request's body, holding what Git says meanwhile, so that neither waits."""
        with selectors.DefaultSelector() as ready, self._in:
            ready.register(self._in, selectors.EVENT_WRITE)
            ready.register(self._out, selectors.EVENT_READ)
            left, chunk = body_bytes, memoryview(b"")
            while left or chunk:
                if not chunk:
                    chunk = memoryview(source.read(min(CHUNK_BYTES, left)))
                    left -= len(chunk)
                    if not chunk:
                        raise Incomplete(f"the request ended {left} bytes early")
                events = ready.select(SILENT_S_MAX)
                if not events:
                    raise Broken(f"git read nothing for {SILENT_S_MAX:g} s")
                for key, _ in events:
                    if key.fileobj is self._in:
                        try:
                            chunk = chunk[self._in.write(chunk) or 0 :]
                        except BrokenPipeError:
                            return  # Git has made up its mind; its answer says what about
                    elif not self._hold():
                        return

    def _hold(self) -> bool:
        said = self._out.read(CHUNK_BYTES)
        self._held += said
        if len(self._held) > HELD_BYTES_MAX:
            raise Broken(f"git said {len(self._held)} bytes before it had read the request")
        return bool(said)

    def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Return status and header fields; what follows them stays to be read."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            self._wait()
            if len(self._held) > HEAD_BYTES_MAX or not self._hold():
                raise Broken(f"git http-backend ended with {self._process.wait(END_S_MAX)}")
        lines = bytes(self._held[:end]).decode("latin-1").split("\r\n")
        del self._held[: end + 4]
        pairs = [line.partition(":") for line in lines]
        headers = [(name.strip(), value.strip()) for name, _, value in pairs]
        told = next((value for name, value in headers if name.lower() == "status"), "200")
        return int(told[:3]), headers

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._held:
            said, self._held = bytes(self._held), bytearray()
            return said
        self._wait()
        said = self._out.read(CHUNK_BYTES)
        if not said:
            self._end(early=False)
            raise StopIteration
        return said

    def _wait(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._out, selectors.EVENT_READ)
            if not ready.select(SILENT_S_MAX):
                raise Broken(f"git said nothing for {SILENT_S_MAX:g} s")

    def close(self) -> None:
        """End the program if it has not ended by itself; a second call does nothing."""
        self._end(early=True)

    def _end(self, *, early: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        try:
            self._in.close()
            self._out.close()
            if early:
                self._signal(signal.SIGTERM)
            try:
                status = self._process.wait(END_S_MAX)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                status = self._process.wait()
            if status:
                log.warning("git http-backend ended with %s", status)
        finally:
            ended()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def variables(asked: Asked, path: str) -> dict[str, str]:
    """Return the whole environment of the program (RFC 3875, and Git's own); pure."""
    told = asked.environ
    known = {
        "PATH": path,
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROJECT_ROOT": str(asked.repository),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "PATH_INFO": asked.path,
        "REQUEST_METHOD": told["REQUEST_METHOD"],
        "QUERY_STRING": told.get("QUERY_STRING", ""),
        "CONTENT_TYPE": told.get("CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(asked.body_bytes),
        "HTTP_CONTENT_ENCODING": told.get("HTTP_CONTENT_ENCODING", ""),
        "GIT_PROTOCOL": told.get("HTTP_GIT_PROTOCOL", "")[:PROTOCOL_CHARS_MAX],
        "REMOTE_ADDR": told.get("REMOTE_ADDR", ""),
    }
    if asked.user:
        # These two stand in the reflog beside every branch that this push moves.
        known |= {"REMOTE_USER": asked.user, "GIT_COMMITTER_NAME": asked.user}
        known |= {"GIT_COMMITTER_EMAIL": asked.email}
    return known | settings(asked)


def settings(asked: Asked) -> dict[str, str]:
    """Return Git's configuration for this one request, as variables; pure."""
    place = str(asked.repository)
    pairs = [
        ("http.uploadpack", "true"),
        ("http.receivepack", "true" if asked.may_push else "false"),
        ("core.logAllRefUpdates", "always"),
        ("receive.fsckObjects", "true"),
        ("receive.maxInputSize", str(asked.push_bytes_max)),
        ("gc.autoDetach", "false"),  # no program outlives its request
        # Whoever laid the repository into the directory trusts it, whichever user owns it.
        ("safe.directory", place),
        ("safe.directory", f"{place}/.git"),
        *PACKING.items(),
    ]
    numbered = {f"GIT_CONFIG_KEY_{at}": name for at, (name, _) in enumerate(pairs)}
    numbered |= {f"GIT_CONFIG_VALUE_{at}": value for at, (_, value) in enumerate(pairs)}
    return {"GIT_CONFIG_COUNT": str(len(pairs)), **numbered}
