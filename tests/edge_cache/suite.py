"""The public suite for HTTP caches (http-tests/cache-tests, BSD-3), run against an edge.

Place:  test_suite.py -> [suite] -> node, git
Rule:   nothing of it is kept in the project: one commit of it lies in .tools, and without it the
        suite is skipped with a reason.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMIT = "b55b8bda3dbb8c927c04e85bd8d496a8caa3e4ba"
SOURCE = "https://github.com/http-tests/cache-tests"
FETCH_S_MAX = 120
RUN_S_MAX = 240
START_S_MAX = 20

Json = dict[str, Any]


class SuiteUnavailable(Exception):
    """The suite is not here and cannot be fetched."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the suite says of one of its tests."""

    suite: str
    id: str
    kind: str
    verdict: str
    why: str

    @property
    def passed(self) -> bool:
        """It passed, or a question was answered with yes."""
        return self.verdict in ("pass", "yes")


def fetch(tools: Path) -> Path:
    """Return the suite's folder below `tools`, fetched at its pinned commit if it is not there."""
    folder = tools / "corpora" / f"cache-tests-{COMMIT[:7]}"
    if (folder / "node_modules" / "undici").is_dir():
        return folder
    for program in ("node", "npm", "git"):
        if shutil.which(program) is None:
            raise SuiteUnavailable(f"{program} is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(["git", "init", "--quiet"], folder)
    _run(["git", "fetch", "--quiet", "--depth", "1", SOURCE, COMMIT], folder)
    _run(["git", "checkout", "--quiet", "FETCH_HEAD"], folder)
    _run(["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return folder


def _run(argv: list[str], folder: Path) -> None:
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        subprocess.run(
            argv, cwd=folder, env=quiet, check=True, capture_output=True, timeout=FETCH_S_MAX
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        raise SuiteUnavailable(f"{' '.join(argv[:2])}: {said[-1] if said else error}") from error


@contextmanager
def origin(folder: Path, directory: Path) -> Iterator[int]:
    """Run the suite's own server; yields its port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = {
        **os.environ,
        "npm_config_protocol": "http",
        "npm_config_port": str(port),
        "npm_config_pidfile": str(directory / "origin.pid"),
    }
    # It would listen on every interface; a loader of ten words keeps it to this machine.
    hook = directory / "loopback.mjs"
    hook.write_text(
        "import http from 'node:http'\n"
        "const listen = http.Server.prototype.listen\n"
        "http.Server.prototype.listen = function (port) {\n"
        "  return listen.call(this, port, '127.0.0.1')\n"
        "}\n"
    )
    argv = ["node", "--import", str(hook), "test-engine/server/server.mjs"]
    with subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], START_S_MAX)
            if not ready or b"Listening" not in process.stdout.readline():
                raise SuiteUnavailable("the suite's server did not start")
            yield port
        finally:
            process.kill()


def run(folder: Path, directory: Path, base: str) -> list[Verdict]:
    """Run all tests against the proxy at `base` and judge them."""
    environment = {
        **os.environ,
        "npm_config_base": base,
        "npm_config_id": "",
        "npm_package_config_id": "",
    }
    results = directory / "results.json"
    with results.open("wb") as out:
        subprocess.run(
            ["node", "--no-warnings", "test-engine/cli.mjs"],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=RUN_S_MAX,
        )
    score = Path(__file__).with_name("score.mjs")
    judged = subprocess.run(
        ["node", str(score), str(folder), str(results)],
        check=True,
        capture_output=True,
        timeout=RUN_S_MAX,
    )
    return [Verdict(**verdict) for verdict in json.loads(judged.stdout)]
