"""Choose the directory for sockets so that every socket path fits into the kernel's 108 bytes.

Place:  manifest.resolve -> [manifest.rundir] -> supervisor, cli
Rule:   the same state directory always gives the same run directory, whoever asks.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from mergepoint.core.errors import MergepointError

SOCKET_PATH_BYTES_MAX = 107
"""108 in the kernel's structure, the last one zero."""
SOCKET_NAME_BYTES_MAX = 55
"""``/<app>.<slot>.g<generation>.sock`` with an app name of 32."""
RUN_DIR_BYTES_MAX = SOCKET_PATH_BYTES_MAX - SOCKET_NAME_BYTES_MAX


def run_dir_of(state_dir: Path, environ: Mapping[str, str], user_id: int) -> Path:
    """Return ``<state_dir>/run``, or a short directory keyed by a hash when that is too long."""
    own = state_dir / "run"
    if len(os.fsencode(own)) <= RUN_DIR_BYTES_MAX:
        return own
    key = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    short = Path(runtime) / f"mergepoint-{key}"
    if runtime.startswith("/") and len(os.fsencode(short)) <= RUN_DIR_BYTES_MAX:
        return short
    return Path("/tmp") / f"mergepoint-{user_id}-{key}"  # noqa: S108 - made 0700 and checked below


def make_run_dir(run_dir: Path) -> None:
    """Create the directory with mode 0700; raise when somebody else owns it or it is a link.

    The parents of an own run directory are made as needed; an existing one is narrowed to 0700.
    """
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    run_dir.mkdir(mode=0o700, exist_ok=True)
    found = run_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise MergepointError(
            f"{run_dir} is not a directory of this user",
            next=f"remove it, or set XDG_RUNTIME_DIR: ls -ld {run_dir}",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        run_dir.chmod(0o700)
