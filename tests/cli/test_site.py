"""A new user's way through a real site: new, run, add, break, mend, scale, stop.

Place:  tests/cli
Rule:   the real supervisor, edge and workers, through commands alone; every wait has an end.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.edge import edge_binary
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.sites import RunningSite, end_site

READY_S_MAX = 60.0
STEP_S = 0.1

FLASK = """
from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return "shop one"
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short directory, because socket paths are."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        yield Path(name)


@pytest.fixture
def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MERGEPOINT_", "PORT"))}
    return {**kept, "NO_COLOR": "1", "MERGEPOINT_EDGE_BINARY": str(edge_binary())}


def mergepoint(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mergepoint", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def site(directory: Path, environment: dict[str, str]) -> Iterator[RunningSite]:
    """A site made by `new` and served by `run`."""
    made = mergepoint("new", "demo", cwd=directory, env=environment)
    assert made.returncode == 0, made.stderr
    port, root = free_port(), directory / "demo"
    with (root / "site.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mergepoint", "run", "--port", str(port)],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = RunningSite(root, port, process, environment)
    try:
        eventually(lambda: "ready in" in running.output, running)
        yield running
    finally:
        end_site(running)


def eventually(met: Callable[[], bool], site: RunningSite, seconds: float = READY_S_MAX) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if met():
            return
        time.sleep(STEP_S)
    raise AssertionError(f"not within {seconds} s:\n{site.output}")


def get(site: RunningSite, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_new_users_way_from_new_to_stop(site: RunningSite, directory: Path) -> None:
    assert get(site, "/")[0] == 200
    screen = site.output
    assert re.search(r"hello +WSGI +/ +1 worker +ready", screen), screen
    assert f"http://127.0.0.1:{site.port}/" in screen

    shop = directory / "shop"
    shop.mkdir()
    (shop / "app.py").write_text(FLASK)
    added = site.run("add", str(shop), "--at", "/shop")
    assert "Found Flask: app:app" in added.stderr
    eventually(lambda: get(site, "/shop/") == (200, "shop one"), site)

    status = site.status()
    assert status["schema"] == 1
    assert {name: app["state"] for name, app in status["apps"].items()} == {
        "hello": "ready",
        "shop": "ready",
    }

    (shop / "app.py").write_text(FLASK + "import nothing_of_this_name\n")
    refused = site.run("reload", "shop", check=False)
    assert refused.returncode == 1
    assert "No module named 'nothing_of_this_name'" in refused.stderr
    assert "next: " in refused.stderr
    assert "nothing_of_this_name" in site.run("logs", "shop").stdout
    assert get(site, "/shop/") == (200, "shop one")

    (shop / "app.py").write_text(FLASK.replace("one", "two"))
    rolled = site.run("reload", "shop")
    assert "shop" in rolled.stdout
    assert get(site, "/shop/") == (200, "shop two")

    scaled = site.run("scale", "hello", "2")
    assert "hello: 2 processes" in scaled.stdout
    assert len(site.pids("hello")) == 2
    before = site.pids("hello")
    site.run("restart", "hello")
    assert not set(before) & set(site.pids("hello"))

    stopped = site.run("stop")
    assert stopped.stdout == "demo: stopped\n"
    assert site.process.wait(20) == 0
    assert site.run("status", check=False).returncode == 3


def test_saved_code_and_a_saved_manifest_take_effect_by_themselves(
    site: RunningSite,
) -> None:
    code = site.directory / "hello/hello.py"
    code.write_text(code.read_text().replace("It works", "It changed"))
    eventually(lambda: "It changed" in get(site, "/")[1], site)

    text = site.manifest.read_text()
    site.manifest.write_text(text + "\n[apps.files]\nstatic = 'hello'\nat = '/files'\n")
    eventually(lambda: get(site, "/files/hello.py")[0] == 200, site)

    site.manifest.write_text(text + "\nwsgy = 1\n")
    eventually(lambda: "wsgy" in site.output, site)
    assert "config refused" in site.output
    assert get(site, "/files/hello.py")[0] == 200
    assert site.run("status").returncode == 0, "a broken manifest does not hide the running site"


def test_code_that_breaks_while_it_runs_is_told_once_and_the_old_code_serves(
    site: RunningSite,
) -> None:
    code = site.directory / "hello/hello.py"
    sound = code.read_text()
    code.write_text(sound + "\nimport nothing_of_this_name\n")
    eventually(lambda: "the old release keeps serving" in site.output, site)

    assert get(site, "/")[0] == 200
    assert "mergepoint-failure" not in site.output
    assert "hello.0      failed" not in site.output

    code.write_text(sound.replace("It works", "It is mended"))
    eventually(lambda: "It is mended" in get(site, "/")[1], site)


def test_a_request_is_one_short_line(site: RunningSite) -> None:
    get(site, "/a?b=1")

    eventually(lambda: re.search(r"^hello +GET /a.*  200  [\d.]+ ms$", site.output, re.M), site)


def test_ctrl_c_drains_and_ends_with_zero(site: RunningSite) -> None:
    site.process.send_signal(signal.SIGINT)

    assert site.process.wait(30) == 0
    assert "Traceback" not in site.output


def test_logs_follow_until_interrupted(site: RunningSite) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "mergepoint", "logs", "-f", "--json", "edge"],
        cwd=site.directory,
        env=site.environment,
        stdout=subprocess.PIPE,
        text=True,
        # A test run in the background ignores interrupts, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        time.sleep(1)
        get(site, "/followed")
        assert following.stdout is not None
        line = json.loads(following.stdout.readline())
        while "/followed" not in line["text"]:
            line = json.loads(following.stdout.readline())
        assert (line["schema"], line["app"]) == (1, "edge")
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130
    finally:
        following.kill()


def test_every_read_command_answers_with_its_schema(site: RunningSite) -> None:
    get(site, "/")
    for arguments in (
        ["status"],
        ["inflight"],
        ["metrics"],
        ["routes"],
        ["explain", "/"],
        ["check"],
        ["doctor"],
        ["config", "show"],
    ):
        done = site.run(*arguments, "--json")
        assert json.loads(done.stdout)["schema"] == 1, arguments
    assert "mergepoint_edge_build_info" in site.run("metrics").stdout
    assert "up " in site.run("status", "-v").stdout


def test_a_canary_takes_its_share_and_then_everything(site: RunningSite) -> None:
    before = site.pids("hello")
    over = threading.Event()

    def visit() -> None:
        while not over.wait(0.05):
            get(site, "/")

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        done = site.run("reload", "hello", "--canary", "50%", "--watch", "1")
    finally:
        over.set()
        visitor.join()

    assert "hello" in done.stdout
    assert not set(before) & set(site.pids("hello"))


def test_a_second_run_is_told_that_the_first_runs(site: RunningSite) -> None:
    second = site.run("run", "--port", str(site.port), check=False)

    assert second.returncode == 1
    assert str(site.pid) in second.stderr
    assert "mergepoint status" in second.stderr


def test_a_busy_port_names_its_owner_and_a_free_one(
    directory: Path, environment: dict[str, str]
) -> None:
    mergepoint("new", "demo", cwd=directory, env=environment)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = mergepoint("run", "--port", str(port), cwd=directory / "demo", env=environment)

    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert re.search(r"next: mergepoint run --port \d+", done.stderr)


def test_one_broken_app_is_on_the_first_screen_with_place_and_fix(
    directory: Path, environment: dict[str, str]
) -> None:
    mergepoint("new", "demo", cwd=directory, env=environment)
    root, port = directory / "demo", free_port()
    (root / "chat").mkdir()
    (root / "chat/app.py").write_text("import os\nimport nothing_of_this_name\n")
    with (root / "mergepoint.toml").open("a") as manifest:
        manifest.write('\n[apps.chat]\nwsgi = "app:app"\ndirectory = "chat"\nat = "/chat"\n')
    with (root / "site.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mergepoint", "run", "--port", str(port)],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    site = RunningSite(root, port, process, environment)
    try:
        eventually(lambda: "ready in" in site.output, site)
        assert re.search(r"chat +WSGI +/chat +0 workers +FAILED", site.output), site.output
        assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in site.output
        assert "fix:  " in site.output
        assert "-m pip install nothing_of_this_name" in site.output
        assert get(site, "/")[0] == 200
        assert site.run("status", "--check", check=False).returncode == 1
        assert "chat" in site.run("status").stdout
    finally:
        end_site(site)


def test_keys_on_a_terminal_restart_and_quit_and_give_the_terminal_back(
    directory: Path, environment: dict[str, str]
) -> None:
    mergepoint("new", "demo", cwd=directory, env=environment)
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mergepoint", "run", "--port", str(free_port())],
        cwd=directory / "demo",
        env={**environment, "TERM": "xterm"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.set_blocking(main, False)
    seen = ""

    def until(words: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + READY_S_MAX
        while words not in seen:
            assert time.monotonic() < deadline, seen
            try:
                seen += os.read(main, 65536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(STEP_S)

    try:
        until("q quit")
        os.write(main, b"l")
        until("log lines are off")
        os.write(main, b"r")
        until("rolled")
        os.write(main, b"q")
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(main)
        os.close(other)
