"""Where spools and sockets lie: in memory, so that a full disk fails no print, and out of reach.

Place:  supervisor.run, supervisor.workers -> [supervisor.places] -> file system
Rule:   the same run directory always gives the same places, so that the next supervisor finds them;
        a name that somebody else took is never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - made 0700 and checked below
MOUNTS = Path("/proc/self/mounts")
FREE_BYTES_MIN = 32 << 20
"""Less room in memory than this and new spools lie in the run directory."""
SPOOL = "spool"
OWNER = "site"
"""A link in the spools' directory to the run directory they belong to."""
SOCKETS = ".u"
"""Appended to the run directory's name: sockets of apps that run as another user."""


def spool_dir(run_dir: Path, memory: Path = MEMORY, mounts: Path = MOUNTS) -> Path:
    """Return the directory of the spools, made private: in memory, or else in the run directory."""
    key = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:12]
    wanted = memory / f"mergepoint-{os.geteuid()}-{key}"
    if on_memory(memory, mounts) and (is_own(wanted) or _has_room(memory)):
        with contextlib.suppress(OSError):
            wanted.mkdir(mode=0o700, exist_ok=True)
        if is_own(wanted):
            wanted.chmod(0o700)
            with contextlib.suppress(OSError):
                (wanted / OWNER).symlink_to(run_dir)
            return wanted
    fallback = run_dir / SPOOL
    fallback.mkdir(mode=0o700, parents=True, exist_ok=True)
    return fallback


def socket_dir(run_dir: Path, user: str | None) -> Path:
    """Return where the sockets of an app lie: the run directory, or a place its own user may enter.

    The run directory stays closed to every other user. Raises `OSError` or `KeyError` when the
    place cannot be made.
    """
    if user is None:
        return run_dir
    entry = pwd.getpwnam(user)
    outer = Path(f"{run_dir}{SOCKETS}")
    outer.mkdir(mode=0o711, exist_ok=True)
    if not is_own(outer):
        raise PermissionError(f"{outer} belongs to somebody else: remove it")
    outer.chmod(0o711)
    directory = outer / user
    directory.mkdir(mode=0o700, exist_ok=True)
    os.chown(directory, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return directory


def socket_files(run_dir: Path) -> Iterator[Path]:
    """Yield every socket of the site."""
    yield from run_dir.glob("*.sock")
    yield from Path(f"{run_dir}{SOCKETS}").glob("*/*.sock")


def tidy(run_dir: Path, spools: Path) -> None:
    """Remove what a stopped site has no use for: nobody prints any more, nobody listens."""
    outer = Path(f"{run_dir}{SOCKETS}")
    _empty(spools)
    for directory in (*outer.glob("*"), outer, spools):
        with contextlib.suppress(OSError):
            directory.rmdir()


def sweep(memory: Path = MEMORY) -> None:
    """Free the memory of this user's sites that were killed and then deleted with their files."""
    for spools in memory.glob(f"mergepoint-{os.geteuid()}-*"):
        owner = spools / OWNER
        if is_own(spools) and owner.is_symlink() and not owner.exists():
            _empty(spools)
            with contextlib.suppress(OSError):
                spools.rmdir()


def on_memory(directory: Path, mounts: Path = MOUNTS) -> bool:
    """Tell whether a directory is a tmpfs that this user may write to."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return False
    kinds = [kind for _, place, kind, *_ in lines if place == str(directory)]
    return kinds[-1:] == ["tmpfs"] and os.access(directory, os.W_OK | os.X_OK)


def is_own(directory: Path) -> bool:
    """Tell whether this is a real directory of this user."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _empty(spools: Path) -> None:
    for path in (*spools.glob("*.log"), *spools.glob("*.access"), spools / OWNER):
        path.unlink(missing_ok=True)


def _has_room(memory: Path) -> bool:
    free = os.statvfs(memory)
    return free.f_bavail * free.f_frsize >= FREE_BYTES_MIN
