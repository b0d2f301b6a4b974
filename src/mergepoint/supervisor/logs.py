"""Keep the lines of every process: to people at once, the last ones in memory, all of them on disk.

Place:  supervisor.spool -> [supervisor.logs] -> supervisor.report, supervisor.verbs
Rule:   a full disk or a slow reader costs lines, which are counted and told once; it stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mergepoint.core.clock import Clock
from mergepoint.supervisor.report import LogLine, Progress, Reporter, Step
from mergepoint.supervisor.spool import Source, Spool

LINES_KEPT = 50
"""Lines kept in memory per slot, for failures and `logs`."""
SLOTS_KEPT_MAX = 2048
POLL_S = 0.1
POLL_BUDGET_S = 0.03
"""After this long the rest waits for the next poll: commands are answered between two."""
LOSS_TOLD_EVERY_S = 5.0
FILE_BYTES_MAX = 10 << 20
FILES_KEPT = 5
LOG_DIR_MODE = 0o750
LOG_FILE_MODE = 0o640
REOPEN_AFTER_S = 5.0
FOLLOWER_LINES_MAX = 1024
TAIL_BYTES_MAX = 4 << 20
WORDS_MAX = 300
FAILURE_MARK = "mergepoint-failure: "


class LogFile:
    """One app's log on disk: JSON lines, rotated by size; never raises."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._file: IO[str] | None = None
        self._size = 0
        self._closed_until_s = 0.0
        self.lost = 0

    def write(self, lines: list[LogLine]) -> str:
        """Append lines; return why the disk refused them, or an empty string."""
        if self._clock.monotonic_s() < self._closed_until_s:
            self.lost += len(lines)
            return ""
        text = "".join(json.dumps(line.as_json()) + "\n" for line in lines)
        try:
            self._rotate(len(text))
            file = self._file or self._open()
            file.write(text)
            file.flush()
            self._size += len(text)
        except (OSError, ValueError) as error:
            self.lost += len(lines)
            self._closed_until_s = self._clock.monotonic_s() + REOPEN_AFTER_S
            self.reopen()
            return str(error)
        return ""

    def reopen(self) -> None:
        """Close the file; the next line opens it anew under its name (USR1, rotation by others)."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        # Apps with a user of their own must not read what others print; an operator may widen it.
        self._path.parent.mkdir(mode=LOG_DIR_MODE, parents=True, exist_ok=True)
        self._file = open(  # noqa: SIM115 - Path.open takes no opener
            self._path, "a", encoding="utf-8", errors="replace", opener=_private
        )
        self._size = self._file.tell()
        return self._file

    def _rotate(self, coming: int) -> None:
        if self._file is None or self._size + coming <= FILE_BYTES_MAX:
            return
        self.reopen()
        for number in range(FILES_KEPT - 1, 0, -1):
            older = self._path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self._path.with_suffix(f".log.{number + 1}"))
        self._path.replace(self._path.with_suffix(".log.1"))


class Logs:
    """All spools of the site."""

    def __init__(self, spool_dir: Path, log_dir: Path, reporter: Reporter, clock: Clock) -> None:
        self._spool_dir = spool_dir
        self._log_dir = log_dir
        self._reporter = reporter
        self._clock = clock
        self._spools: dict[tuple[int, str], Spool] = {}
        self._recent: dict[tuple[str, int], deque[tuple[int, LogLine]]] = {}
        self._files: dict[str, LogFile] = {}
        self._followers: set[asyncio.Queue[LogLine | None]] = set()
        self._told: set[str] = set()
        self._lost_bytes: dict[str, int] = {}
        self._loss_told_at_s: dict[str, float] = {}

    def path(self, app: str, slot: int, key: int, stream: str) -> Path:
        """Return where a process prints a stream."""
        return (
            self._spool_dir
            / f"{app.lstrip('@')}.{slot}.{key}.{'access' if stream == 'access' else 'log'}"
        )

    def open(self, app: str, slot: int, key: int, stream: str = "output", offset: int = 0) -> Path:
        """Begin to read a process's stream; return the file to hand to it."""
        path = self.path(app, slot, key, stream)
        # Who logs out may take what lies in memory along; the next process makes it again.
        path.parent.mkdir(mode=0o700, exist_ok=True)
        source = Source(app.lstrip("@"), slot, key, stream)
        self._spools[key, stream] = Spool(path, source, offset)
        return path

    def offsets(self, key: int) -> dict[str, int]:
        """Return how far each stream of a process has been read."""
        return {stream: s.offset for (k, stream), s in self._spools.items() if k == key}

    def finish(self, key: int) -> None:
        """Read the rest of an ended process's streams and remove the files."""
        for found in [k for k in self._spools if k[0] == key]:
            spool = self._spools.pop(found)
            self._take(spool, spool.finish())

    def poll(self) -> None:
        """Read what came since the last call, from every process in turn."""
        end_s = self._clock.monotonic_s() + POLL_BUDGET_S
        waiting = list(self._spools.values())
        while waiting:
            waiting = [spool for spool in waiting if self._read(spool)]
            if self._clock.monotonic_s() >= end_s:
                break
        self._tell_losses()

    def recent(self, app: str | None, lines: int) -> list[LogLine]:
        """Return the last lines of one app or of all, oldest first.

        Memory holds the last ones of each slot. The file of one app has more, also of processes
        that were refused or replaced; what the disk did not take is added from memory.
        """
        if lines <= 0:
            return []
        found = [
            line
            for (name, _), kept in self._recent.items()
            if app in (None, name)
            for _, line in kept
        ]
        if app is not None and (written := tail(self._log_dir / f"{app}.log", lines)):
            newest = max(line.at for line in written)
            found = written + [line for line in found if line.at > newest]
        return sorted(found, key=lambda line: line.at)[-lines:]

    def failure_line(self, app: str, slot: int, key: int) -> dict[str, str] | None:
        """Return what the worker itself said about its end: its ``mergepoint-failure:`` line."""
        for line in self._words(app, slot, key):
            _, mark, told = line.text.partition(FAILURE_MARK)
            if mark:
                with contextlib.suppress(ValueError):
                    document = json.loads(told)
                    return {k: str(v or "") for k, v in document.items()}
        return None

    def last_words(self, app: str, slot: int, key: int) -> str:
        """Return the last line that says something, for a failure without a better reason."""
        for line in self._words(app, slot, key):
            if line.text.strip():
                return line.text.strip()[:WORDS_MAX]
        return ""

    def say(self, text: str) -> None:
        """Write a line of the supervisor itself to disk."""
        line = LogLine(self._clock.unix_s(), "supervisor", 0, "supervisor", text)
        self._to_disk("supervisor", [line])

    @contextlib.contextmanager
    def follow(self) -> Iterator[asyncio.Queue[LogLine | None]]:
        """Give a queue of new lines; None in it means that the reader was too slow."""
        queue: asyncio.Queue[LogLine | None] = asyncio.Queue(FOLLOWER_LINES_MAX + 1)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)

    def reopen(self) -> None:
        """Open the log files anew."""
        for file in self._files.values():
            file.reopen()

    def close(self) -> None:
        """Stop reading; files of living processes stay for the next supervisor."""
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()
        self.reopen()

    def _read(self, spool: Spool) -> bool:
        """Keep the next piece of a spool; tell whether there was one."""
        try:
            texts = spool.read()
        except OSError:
            return False
        self._take(spool, texts)
        return bool(texts)

    def _take(self, spool: Spool, texts: list[str]) -> None:
        """Keep lines, with a line where others were lost before them."""
        if lost := spool.take_lost_bytes():
            app = spool.source.app
            self._lost_bytes[app] = self._lost_bytes.get(app, 0) + lost
            texts = [f"mergepoint: {lost} bytes of output are missing here", *texts]
        self._keep(spool.source, texts)

    def _tell_losses(self) -> None:
        """Tell people how much was lost, every few seconds for as long as it goes on."""
        now = self._clock.monotonic_s()
        for app, lost in list(self._lost_bytes.items()):
            if now >= self._loss_told_at_s.get(app, now):
                del self._lost_bytes[app]
                self._loss_told_at_s[app] = now + LOSS_TOLD_EVERY_S
                detail = f"{lost} bytes were printed faster than they can be read, and are lost"
                self._reporter.progress(Progress(Step.LOGS_LOST, app, None, detail))

    def _keep(self, source: Source, texts: list[str]) -> None:
        if not texts:
            return
        at = self._clock.unix_s()
        lines = [LogLine(at, source.app, source.slot, source.stream, text) for text in texts]
        self._recent_of(source).extend((source.key, line) for line in lines[-LINES_KEPT:])
        for line in lines:
            self._reporter.line(line)
        self._to_followers(lines)
        self._to_disk(source.app, lines)

    def _words(self, app: str, slot: int, key: int) -> list[LogLine]:
        """Return what one process said, the last first; its slot's earlier processes left out."""
        kept = self._recent.get((app.lstrip("@"), slot), ())
        return [line for spoke, line in reversed(kept) if spoke == key]

    def _recent_of(self, source: Source) -> deque[tuple[int, LogLine]]:
        if len(self._recent) >= SLOTS_KEPT_MAX:
            self._recent.pop(next(iter(self._recent)))
        return self._recent.setdefault((source.app, source.slot), deque(maxlen=LINES_KEPT))

    def _to_followers(self, lines: list[LogLine]) -> None:
        for queue in list(self._followers):
            for line in lines:
                if queue.qsize() >= FOLLOWER_LINES_MAX:
                    queue.put_nowait(None)
                    self._followers.discard(queue)
                    break
                queue.put_nowait(line)

    def _to_disk(self, app: str, lines: list[LogLine]) -> None:
        file = self._files.setdefault(app, LogFile(self._log_dir / f"{app}.log", self._clock))
        problem = file.write(lines)
        if problem and app not in self._told:
            self._told.add(app)
            self._reporter.progress(
                Progress(Step.LOGS_LOST, app, None, f"log lines are not written to disk: {problem}")
            )
        elif not problem and app in self._told and not file.lost:
            self._told.discard(app)
        elif not problem and app in self._told and file.lost:
            lost, file.lost = file.lost, 0
            self._reporter.progress(
                Progress(Step.LOGS_LOST, app, None, f"{lost} log lines were lost; writing again")
            )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, LOG_FILE_MODE)


def tail(path: Path, lines: int) -> list[LogLine]:
    """Return the last lines of a log file, within its last megabytes; none if unreadable."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES_MAX))
            texts = stream.read().splitlines()[-lines:]
    except OSError:
        return []
    found = []
    for text in texts:
        with contextlib.suppress(ValueError, TypeError):
            found.append(LogLine(**json.loads(text)))
    return found
