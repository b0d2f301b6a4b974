"""Lay out the site of programs under one login: their files, environments and data.

Place:  tests/identity_apps -> [identity_apps] -> tests/identity_apps/site, .tools
Rule:   the programs come from their registries unmodified; what they need for the login is shown
        in the site's folder, a setting or a few lines each.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from mergepoint_testkit.environments import ROOT, environment
from mergepoint_testkit.real_apps import git_repository, packages, run

SITE = ROOT / "tests" / "identity_apps" / "site"
ENVIRONMENTS = (
    "django",
    "datasette",
    "klaus",
    "hgweb",
    "radicale",
    "pypiserver",
    "pyramid",
    "fastapi",
)
APACHE_USER = "www-data"
"""Whose processes Apache's are where root starts it; it refuses to serve as root."""


def lay_out(directory: Path) -> None:
    """Fill `directory` with the whole site; environments are made once and kept."""
    shutil.copytree(SITE, directory, dirs_exist_ok=True)
    (directory / "venvs").mkdir()
    for name in ENVIRONMENTS:
        (directory / "venvs" / name).symlink_to(environment(name))
    packages(directory / "packages")
    (directory / "repositories").mkdir()
    git_repository(directory / "repositories")
    with sqlite3.connect(directory / "data" / "forum.db") as database:
        database.execute("create table posts (id integer primary key, title text)")
        database.execute("insert into posts (title) values ('First')")
    mercurial(directory)
    subversion(directory)
    admin(directory)


def mercurial(directory: Path) -> None:
    """Make a repository with one commit for hgweb."""
    hg = str(directory / "venvs" / "hgweb" / "bin" / "hg")
    project = directory / "mercurial" / "project"
    run([hg, "init", "project"], project.parent)
    (project / "hello.py").write_text('print("Say hello")\n')
    run([hg, "commit", "-q", "-A", "-u", "tester", "-m", "Start"], project)


def subversion(directory: Path) -> None:
    """Make an empty repository for Apache and tell it where it lies."""
    here = directory / "subversion"
    (here / "repositories").mkdir()
    run(["svnadmin", "create", "repositories/project"], here)
    for file in (directory / "mergepoint.toml", here / "apache.conf"):
        place = directory if file.suffix == ".toml" else here
        file.write_text(file.read_text().replace("{here}", str(place)))
    if os.geteuid() == 0:
        directory.chmod(0o711)
        run(["chown", "-R", APACHE_USER, "repositories"], here)


def admin(directory: Path) -> None:
    """Migrate Django's database; there is no first user to make: the site has its people."""
    python = directory / "venvs" / "django" / "bin" / "python"
    told = {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT / "src")}
    for command in (["makemigrations", "config"], ["migrate"]):
        run([str(python), "-m", "django", *command, "--verbosity=0"], directory / "admin", told)
