"""Each app of the forge alone: its own process, its own data, at the root and under a prefix.

Place:  pytest -> [conftest] -> serve_app
Rule:   real databases in temporary directories; nothing of an app is imported here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from mergepoint_testkit.visitor import Visitor

ROOT = Path(__file__).resolve().parents[2]
FORGE = ROOT / "examples" / "forge"
WIKI_PYTHON = ROOT / ".tools" / "venvs" / "forge-wiki" / "bin" / "python"
PREPARE_S_MAX = 60
TARGETS = {
    "front": "portal.wsgi:app",
    "tickets": "tracker.wsgi:app",
    "wiki": "config.wsgi:application",
    "code": "browse.wsgi:app",
}
Serve = Callable[..., Visitor]
READING = ["tickets.read", "wiki.read", "code.read"]
WRITING = [*READING, "tickets.edit", "wiki.edit", "code.push"]


def person(user: str, name: str, permissions: list[str], *roles: str) -> dict[str, object]:
    """Return the claims of somebody who has logged in."""
    email = f"{user}@example.org"
    told = {"sub": f"s-{user}", "user": user, "name": name, "email": email, "kind": "person"}
    return {**told, "permissions": permissions, "roles": roles}


PEOPLE = {
    "tester": person("tester", "Test Writer", WRITING),
    "other": person("other", "", WRITING),
    "reader": person("reader", "Quiet <Reader>", READING),
    "admin": person("admin", "Site Keeper", ["*"], "admin"),
}
"""Who may come in; the empty name is everybody who has not logged in."""


def environment(data: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORGE_")}
    # The site gives every app the package; here it is found in the checkout.
    told = {"PYTHONPATH": str(ROOT / "src"), "FORGE_TEST_PEOPLE": json.dumps(PEOPLE)}
    return {**kept, **told, "FORGE_DATA": str(data), **more}


@contextmanager
def served(app: str, data: Path, prefix: str, **more: str) -> Iterator[dict[str, int]]:
    """Run one app and lend its port for each of `PEOPLE`, and for nobody."""
    python = str(WIKI_PYTHON) if app == "wiki" else sys.executable
    script = str(Path(__file__).with_name("serve_app.py"))
    argv = [python, "-W", "error::ResourceWarning", script, str(FORGE / app), TARGETS[app], prefix]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, env=environment(data, **more), text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that the forge's prepare script filled."""
    data = tmp_path_factory.mktemp("forge")
    subprocess.run(
        [sys.executable, str(FORGE / "prepare.py"), "--quiet"],
        env=environment(data),
        timeout=PREPARE_S_MAX,
        check=True,
    )
    return data


@pytest.fixture(scope="session", params=["", "/x"], ids=["root", "prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Return the mount under test."""
    return str(request.param)


@pytest.fixture(scope="session")
def serve(prepared: Path, prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return a function that gives a new visitor to an app with the sample, started once."""
    data = tmp_path_factory.mktemp("data") / "forge"
    shutil.copytree(prepared, data, symlinks=True)
    ports: dict[str, dict[str, int]] = {}
    with ExitStack() as running:

        def visit(app: str, user: str = "") -> Visitor:
            if app not in ports:
                ports[app] = running.enter_context(served(app, data, prefix))
            return Visitor(ports[app][user], prefix)

        yield visit


@pytest.fixture
def serve_empty(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that gives a visitor to an app with a data directory of its own."""
    with ExitStack() as running:

        def visit(app: str, data: Path = tmp_path, user: str = "", **more: str) -> Visitor:
            return Visitor(running.enter_context(served(app, data, "", **more))[user])

        yield visit


@pytest.fixture
def tickets(serve: Serve) -> Visitor:
    """Return a visitor to the tickets who may edit them."""
    return serve("tickets", "tester")


@pytest.fixture
def wiki(serve: Serve) -> Visitor:
    """Return a visitor to the wiki who may write it."""
    return serve("wiki", "tester")


@pytest.fixture
def code(serve: Serve) -> Visitor:
    """Return a visitor to the code browser."""
    return serve("code")


@pytest.fixture
def front(serve: Serve) -> Visitor:
    """Return a visitor to the front, whose site is not running."""
    return serve("front")
