"""Lay out the site of programs under one login: their files, environments and data.

Place:  tests/identity_apps -> [identity_apps] -> tests/identity_apps/site, .tools
Rule:   the programs come from their registries unmodified; what they need for the login is shown
        in the site's folder, a setting or a few lines each.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from mergepoint_testkit.environments import ROOT, environment
from mergepoint_testkit.real_apps import git_repository, packages, run

SITE = ROOT / "tests" / "identity_apps" / "site"
ENVIRONMENTS = ("django", "datasette", "klaus", "radicale", "pypiserver", "pyramid", "fastapi")


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
    admin(directory)


def admin(directory: Path) -> None:
    """Migrate Django's database; there is no first user to make: the site has its people."""
    python = directory / "venvs" / "django" / "bin" / "python"
    told = {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT / "src")}
    for command in (["makemigrations", "config"], ["migrate"]):
        run([str(python), "-m", "django", *command, "--verbosity=0"], directory / "admin", told)
