"""Lay out the site of real programs: its files, environments, data and binaries.

Place:  tests/apps -> [real_apps] -> tests/apps/site, .tools
Rule:   the programs come from their registries unmodified; only data and configuration are made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import zipfile
from pathlib import Path

from mergepoint_testkit.environments import ROOT, environment

SITE = ROOT / "tests" / "apps" / "site"
GO_BINARIES = ROOT / ".tools" / "go"
ENVIRONMENTS = (
    "pypiserver",
    "klaus",
    "datasette",
    "django",
    "radicale",
    "hgweb",
    "fastapi",
    "pyramid",
)
LARGE_BYTES = 100 << 20
COMMAND_S_MAX = 300.0
PACKAGE = "hello-1.0-py3-none-any.whl"
PASSWORD = "correct horse"


def lay_out(directory: Path) -> None:
    """Fill `directory` with the whole site; environments and binaries are made once and kept."""
    shutil.copytree(SITE, directory, dirs_exist_ok=True)
    (directory / "venvs").mkdir()
    for name in ENVIRONMENTS:
        (directory / "venvs" / name).symlink_to(environment(name))
    packages(directory / "packages")
    git_repository(directory / "repositories")
    databases(directory / "data")
    admin(directory)
    calendar(directory / "calendar")
    mercurial(directory)
    go_server(directory / "go")


def packages(directory: Path) -> None:
    """Make one small package for pypiserver to offer."""
    (directory / "files").mkdir()
    about = "hello-1.0.dist-info/"
    with zipfile.ZipFile(directory / "files" / PACKAGE, "w") as archive:
        archive.writestr("hello.py", 'print("hello")\n')
        archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        archive.writestr(about + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(about + "RECORD", "")


def git_repository(directory: Path) -> None:
    """Make a Git repository with two commits for klaus to show."""
    project = directory / "project"
    (project / "src").mkdir(parents=True)
    (project / "README.md").write_text("# Project\n\nA small one.\n")
    (project / "src" / "hello.py").write_text('print("hello")\n')
    run(["git", "init", "-q", "-b", "main"], project)
    for message in ("Start", "Say hello"):
        (project / "src" / "hello.py").write_text(f'print("{message}")\n')
        run(["git", "add", "."], project)
        run([*GIT_AS_TESTER, "commit", "-q", "-m", message], project)


GIT_AS_TESTER = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org"]


def databases(directory: Path) -> None:
    """Make a small database to browse and one of `LARGE_BYTES` to download."""
    with sqlite3.connect(directory / "forum.db") as database:
        database.execute("create table posts (id integer primary key, title text, author text)")
        rows = [(f"Post {n}", f"author {n % 7}") for n in range(500)]
        database.executemany("insert into posts (title, author) values (?, ?)", rows)
    with sqlite3.connect(directory / "large.db") as database:
        database.execute("create table blocks (id integer primary key, bytes blob)")
        for _ in range(LARGE_BYTES >> 20):
            database.execute("insert into blocks (bytes) values (randomblob(1048576))")


def admin(directory: Path) -> None:
    """Migrate Django's database, make its first user, collect its static files."""
    python = directory / "venvs" / "django" / "bin" / "python"
    environ = {"DJANGO_SETTINGS_MODULE": "config.settings", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    for command in (
        ["makemigrations", "config"],
        ["migrate"],
        ["createsuperuser", "--noinput", "--username=ada", "--email=ada@example.org"],
        ["collectstatic", "--noinput"],
    ):
        run([str(python), "-m", "django", *command, "--verbosity=0"], directory / "admin", environ)


def calendar(directory: Path) -> None:
    """Write Radicale's configuration: one user, files beside it."""
    directory.mkdir()
    (directory / "users").write_text(f"ada:{PASSWORD}\n")
    (directory / "config").write_text(
        "[auth]\ntype = htpasswd\nhtpasswd_filename = users\nhtpasswd_encryption = plain\n"
        "[storage]\nfilesystem_folder = collections\n"
        "[logging]\nlevel = warning\n"
    )


def mercurial(directory: Path) -> None:
    """Make a small repository and one of `LARGE_BYTES` for hgweb."""
    hg = directory / "venvs" / "hgweb" / "bin" / "hg"
    repositories = directory / "mercurial"
    (repositories / "hgweb.config").write_text(
        "[paths]\n/ = *\n[web]\nallow-archive = gz zip\npush_ssl = false\nallow-push = *\n"
        "[server]\nuncompressed = true\n"
    )
    for name, content in (
        ("small", b"hello\n" * 1000),
        ("large", os.urandom(LARGE_BYTES)),
    ):
        run([str(hg), "init", name], repositories)
        (repositories / name / "file").write_bytes(content)
        run([str(hg), "commit", "-q", "-A", "-u", "tester", "-m", "Start"], repositories / name)


def go_server(directory: Path) -> None:
    """Build the Go program, or take the binary built from the same source before."""
    source = (directory / "main.go").read_bytes() + (directory / "go.mod").read_bytes()
    kept = GO_BINARIES / hashlib.sha256(source).hexdigest()[:12]
    if not kept.exists():
        GO_BINARIES.mkdir(parents=True, exist_ok=True)
        environ = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
        run(["go", "build", "-o", f"{kept}.new", "."], directory, environ)
        Path(f"{kept}.new").replace(kept)
    shutil.copy2(kept, directory / "server")


def run(command: list[str], directory: Path, environ: dict[str, str] | None = None) -> str:
    """Run a program and return what it printed; raise `RuntimeError` with its output."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"[-4000:])
    return done.stdout
