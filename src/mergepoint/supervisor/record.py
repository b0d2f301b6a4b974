"""Remember every process on disk, so that the next supervisor adopts what is left.

Place:  supervisor.run -> [supervisor.record] -> processes.json, lock
Rule:   a record is whole or not there; a process is the recorded one only if its start time agrees.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mergepoint.core.errors import MergepointError
from mergepoint.supervisor.publish import write_atomically
from mergepoint.supervisor.running import EDGE, Running

SCHEMA = 1
LOCK = "lock"
RECORD = "processes.json"


class AlreadyRunning(MergepointError):
    """Another supervisor holds this site."""

    code = "supervisor.already_running"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One process as it was written down."""

    app: str
    slot: int
    key: int
    pid: int
    started_at: int
    """Kernel clock ticks; with the pid it names one process for the life of the machine."""
    phase: str
    address: str
    digest: str
    release: str
    group: str
    offsets: dict[str, int]
    sources: str = ""
    """What the files of the app were; empty when an older supervisor wrote this."""


@dataclass(frozen=True, slots=True)
class Record:
    """The whole file."""

    site: str
    pid: int
    generation: int
    keys: int
    epochs: int
    counts: dict[str, int]
    """Slots per app, where a command changed them."""
    processes: tuple[Recorded, ...]


def lock(run_dir: Path) -> int:
    """Take the site for this process and return the descriptor that holds it.

    Raise `AlreadyRunning` with the other supervisor's pid when it is taken.
    """
    fd = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise AlreadyRunning(
            f"this site is already running under the supervisor with pid {pid}",
            next="mergepoint status, or mergepoint stop",
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def current(running: Running) -> Record:
    """Return what should be written down now."""
    processes = []
    for name, pool in running.pools.items():
        for process in pool.processes:
            child = running.children.get(process.key)
            if child is None:
                continue
            spec = pool.spec_of(process.release)
            processes.append(Recorded(
                name, process.slot, process.key, child.pid, child.started_at, str(process.phase),
                process.address, spec.digest, process.release,
                str(process.group), running.logs.offsets(process.key), spec.sources,
            ))  # fmt: skip
    counts = {name: p.count for name, p in running.apps.items() if p.count != p.spec.processes}
    return Record(
        running.wanted.site, os.getpid(), running.generation, running.keys, running.epochs,
        counts, tuple(processes),
    )  # fmt: skip


def save(path: Path, record: Record) -> None:
    """Write the record; raises `OSError` when the disk refuses it."""
    document = {"schema": SCHEMA, **asdict(record)}
    write_atomically(path, json.dumps(document, indent=1).encode())


def load(path: Path) -> Record | None:
    """Return the record left by an earlier supervisor; None when there is none that can be read."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document.pop("schema") != SCHEMA:
            return None
        processes = tuple(Recorded(**entry) for entry in document.pop("processes"))
        return Record(processes=processes, **document)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def edges(record: Record) -> list[Recorded]:
    """Return the recorded edges, the newest first."""
    found = [entry for entry in record.processes if entry.app == EDGE]
    return sorted(found, key=lambda entry: entry.key, reverse=True)
