"""Read what processes print, from files they append to, and empty those files.

Place:  every process -> [supervisor.spool] -> supervisor.logs
Rule:   a process never waits for us: it writes to a file, and we give back what was read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

READ_BYTES_MAX = 1 << 18
"""Read from one spool at a time, so that a chatty process does not silence the others."""
SPOOL_BYTES_MAX = 8 << 20
"""Unread output of one process; a process that prints faster than it is read loses the rest."""
SPOOL_BYTES_KEPT = 1 << 20
"""The newest of it that is still read after such a loss, and after the end of a process."""
LINE_BYTES_MAX = 16384
"""A longer line is cut into pieces."""
PUNCH_BYTES_MIN = 1 << 20
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Who prints into a spool."""

    app: str
    slot: int
    key: int
    stream: str


class Spool:
    """One file a process appends to; `read` gives each complete line once."""

    def __init__(self, path: Path, source: Source, offset: int = 0) -> None:
        self.path = path
        self.source = source
        self._offset = offset
        self._punched = offset
        self._rest = b""
        self._lost_bytes = 0
        self._mid_line = False
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pass_hole()

    @property
    def offset(self) -> int:
        """Return how far complete lines were read; an adopting supervisor goes on from here."""
        return self._offset - len(self._rest)

    def read(self) -> list[str]:
        """Return the complete lines that came since the last call; bounded, so call again."""
        self._bound(SPOOL_BYTES_MAX)
        data = os.pread(self._fd, READ_BYTES_MAX, self._offset)
        if not data:
            return []
        self._offset += len(data)
        if self._offset - self._punched >= PUNCH_BYTES_MIN:
            self._give_back()
        # A record older than the last give-back points into a hole, which reads as zeros.
        return self._split(self._rest + self._from_line_start(data.lstrip(b"\0")))

    def take_lost_bytes(self) -> int:
        """Return how much was dropped unread since the last call."""
        lost, self._lost_bytes = self._lost_bytes, 0
        return lost

    def finish(self) -> list[str]:
        """Return the newest of what is left, also an unfinished line; the file is removed."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            self._bound(SPOOL_BYTES_KEPT)
            while more := self.read():
                lines += more
        if self._rest:
            lines.append(self._rest.decode(errors="replace"))
            self._rest = b""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        return lines

    def close(self) -> None:
        """Close our descriptor; the file and its writer go on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _bound(self, unread_bytes_max: int) -> None:
        """Drop the oldest unread output beyond the bound, and notice a file cut by its writer."""
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            # A program that opens /dev/stdout anew, as shells do for ">", empties the file.
            self._offset = self._punched = 0
            self._rest = b""
        if size - self._offset <= unread_bytes_max:
            return
        start = size - SPOOL_BYTES_KEPT
        self._lost_bytes += start - self._offset + len(self._rest)
        self._offset, self._rest, self._mid_line = start, b"", True
        self._give_back()
        if self._punched < start:
            # A file system without holes: everything goes, or the file would grow for ever.
            os.ftruncate(self._fd, 0)
            self._lost_bytes += size - start
            self._offset = self._punched = 0

    def _from_line_start(self, data: bytes) -> bytes:
        """Return the data without the torn line that a loss leaves at its beginning."""
        if not self._mid_line or not data:
            return data
        self._mid_line = False
        torn = data.find(b"\n", 0, LINE_BYTES_MAX) + 1
        self._lost_bytes += torn
        return data[torn:]

    def _pass_hole(self) -> None:
        """Go on where data begins: what was given back was read, and is no loss."""
        with contextlib.suppress(OSError):
            self._offset = self._punched = os.lseek(self._fd, self._offset, os.SEEK_DATA)

    def _split(self, data: bytes) -> list[str]:
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            lines.append(self._rest)
            self._rest = b""
        pieces = []
        for line in lines:
            for start in range(0, max(1, len(line)), LINE_BYTES_MAX):
                pieces.append(
                    line[start : start + LINE_BYTES_MAX].rstrip(b"\r").decode("utf-8", "replace")
                )
        return pieces

    def _give_back(self) -> None:
        """Free the blocks of what was read; unlike truncation this can never lose a line."""
        start, length = self._punched, self._offset - self._punched
        if _punch(self._fd, start, length):
            self._punched = self._offset
        elif os.fstat(self._fd).st_size == self._offset:
            # Without holes only truncation is left; a line written in this instant may be lost.
            os.ftruncate(self._fd, 0)
            self._offset = self._punched = 0


def _punch(fd: int, start: int, length: int) -> bool:
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:
        return False
    flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    return bool(fallocate(fd, flags, ctypes.c_int64(start), ctypes.c_int64(length)) == 0)
