"""A PostgreSQL of the test's own: a fresh cluster on a Unix socket, never on a port.

Place:  tests -> [postgres] -> initdb, pg_ctl
Rule:   runs as a user who is not root, as PostgreSQL insists; ends with the test that began it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mergepoint_testkit.services import unavailable

VERSIONS = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
COMMAND_S_MAX = 120.0
OPTIONS = {
    "listen_addresses": "''",
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster; may be stopped and started again to see who notices."""

    programs: Path
    directory: Path
    user: str | None
    """The user it runs as when the tests run as root."""

    @property
    def owner(self) -> str:
        """Return the name of the superuser."""
        return self.user or pwd.getpwuid(os.geteuid()).pw_name

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, for SQLAlchemy and libpq alike."""
        return f"postgresql://{self.owner}@/{database}?host={self.directory}"

    def create(self, database: str, like: str = "template0") -> str:
        """Make a database, empty or a copy of one nobody is connected to; return its address."""
        self._run("createdb", "-h", str(self.directory), "-T", like, database)
        return self.url(database)

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [f"-c {name}={value}" for name, value in OPTIONS.items()]
        options = " ".join([f"-k {self.directory}", *settings])
        log = self.directory / "log"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(log), "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once: every connection is cut."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def initialise(self) -> None:
        """Make the cluster's files."""
        self._run("initdb", "-D", self._data, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be inherited by the server and never end
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            log = self.directory / "log"
            said = log.read_text()[-2000:] if log.exists() else "no log"
            raise RuntimeError(f"{program} ended with {done.returncode}: {said}")


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Give a cluster that runs; skip, or fail where it is required, when none is installed."""
    programs = _programs()
    if programs is None:
        unavailable("postgresql is not installed; run tools/services.sh")
        return
    user = _user() if os.geteuid() == 0 else None
    # Below /tmp: a socket's path has at most 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="mergepoint-pg-", dir="/tmp"))
    try:
        if user is not None:
            found = pwd.getpwnam(user)
            os.chown(directory, found.pw_uid, found.pw_gid)
        server = Postgres(programs, directory, user)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(RuntimeError):
                server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


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
