"""A PostgreSQL of the test's own: a fresh cluster on a Unix socket, never on a port.

Place:  tests -> [postgres] -> real_server -> initdb, postgres, createdb
Rule:   runs as a user who is not root, as PostgreSQL insists; says what is PostgreSQL's own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mergepoint_testkit.real_server import RealServer, as_user, running
from mergepoint_testkit.services import unavailable

VERSIONS = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
COMMAND_S_MAX = 120.0
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "16MB",
}
SOCKET = ".s.PGSQL.5432"
"""What libpq looks for in the directory that an address names as host."""
_STATUS_LINE = 7
"""Of postmaster.pid, counted from 0: the one pg_ctl waits for."""


@dataclass
class Postgres(RealServer):
    """One cluster; `stop` is an immediate one: every connection is cut."""

    name: ClassVar[str] = "postgres"
    start_s_max: ClassVar[float] = 60.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGQUIT
    programs: Path

    @property
    def owner(self) -> str:
        """Return the name of the superuser."""
        return self.user or pwd.getpwuid(os.geteuid()).pw_name

    @property
    def socket(self) -> Path:
        """Return where it listens."""
        return self.directory / SOCKET

    def url(self, database: str = "postgres", host: Path | None = None) -> str:
        """Return a database's address for SQLAlchemy and libpq, with the socket in `host`."""
        return f"postgresql://{self.owner}@/{database}?host={host or self.directory}"

    def create(self, database: str, like: str = "template0") -> str:
        """Make a database, empty or a copy of one nobody is connected to; return its address."""
        self._run("createdb", "-h", str(self.directory), "-T", like, database)
        return self.url(database)

    def prepare(self) -> None:
        """Make the cluster's files."""
        if self.user is not None:
            os.chown(self.directory, pwd.getpwnam(self.user).pw_uid, -1)
        self._run("initdb", "-D", self._data, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def _command(self) -> list[str]:
        settings = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        program = str(self.programs / self.name)
        return [program, "-D", self._data, "-k", str(self.directory), *settings]

    def _answers(self) -> bool:
        """It wrote that it is ready; a file of one that was killed names another process."""
        assert self._process is not None
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (Path(self._data) / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self._process.pid and lines[_STATUS_LINE].strip() == "ready"
        return False

    def _apart(self) -> list[int]:
        """Each process of a connection is a session of its own."""
        if self._process is None:
            return []
        leader = self._process.pid
        with contextlib.suppress(OSError):
            return [*map(int, Path(f"/proc/{leader}/task/{leader}/children").read_text().split())]
        return []

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C"}

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / "out").open("ab") as out:
            done = subprocess.run(
                [str(self.programs / program), *arguments],
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=COMMAND_S_MAX,
                check=False,
                **as_user(self.user),
            )
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {self._said()}")


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Give a cluster that runs; skip, or fail where it is required, when none is installed."""
    programs = _programs()
    if programs is None:
        unavailable("postgresql is not installed; run tools/services.sh")
        return
    user = _user() if os.geteuid() == 0 else None
    with running(lambda place: Postgres(place, programs, user=user), Postgres.name) as server:
        yield server


def _programs() -> Path | None:
    found = [place / "bin" for place in VERSIONS.glob("*") if (place / "bin/initdb").exists()]
    if found:
        return max(found, key=lambda place: int(place.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _user() -> str:
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError(f"there is none of the users {', '.join(USERS)} to run PostgreSQL as")
