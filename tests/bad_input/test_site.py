"""One app is broken: its message says which, where and what next; the rest of the site runs.

Place:  a real site of one good and one bad app
Rule:   the reader is somebody who has never seen Mergepoint before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.services import unavailable
from mergepoint_testkit.sites import RunningSite, command, running_site, start_site

GOOD = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"good"]
"""
MANIFEST = """
[site]
name = "mixed"
listen = "127.0.0.1:{{port}}"

[apps.good]
wsgi = "good:app"
at = "/good"

[apps.bad]
{bad}
at = "/bad"
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        (Path(name) / "good.py").write_text(GOOD)
        yield Path(name)


def answer(site: RunningSite, path: str, accept: str = "application/json") -> tuple[int, str]:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    got = exchange(site.port, request.encode(), total_s=10)
    return got.statuses[0], got.raw.decode(errors="replace")


FAULTS = {
    "import of a module that is not installed": (
        "import module_that_nobody_has\n",
        ["module_that_nobody_has", "bad.py:1"],
    ),
    "crash at import": ("x = 1\nraise ValueError('no database')\n", ["no database", "bad.py:2"]),
    "syntax error": ("def app(:\n    pass\n", ["bad.py:1"]),
    "no such attribute": ("application = None\n", ["does not have", "bad"]),
    "not callable": ("app = 42\n", ["not an application", "int"]),
    "exit at import": ("import sys\nsys.exit('gone')\n", ["gone"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", ["start", "run"])
def test_an_app_that_cannot_be_imported_names_itself_and_harms_nobody(
    directory: Path, fault: str, verb: str
) -> None:
    source, told = FAULTS[fault]
    (directory / "bad.py").write_text(source)

    with running_site(directory, MANIFEST.format(bad='wsgi = "bad:app"'), verb=verb) as site:
        assert answer(site, "/good/")[0] == 200
        status, page = answer(site, "/bad/")
        failure = site.status()["apps"]["bad"]["failure"]

    assert status == 503
    told_to_operator = f"{failure} {site.output}"
    assert all(word in told_to_operator for word in told), told_to_operator
    assert failure["next"], "every failure says what to do"
    if verb == "run":
        assert told[0] in page, "development shows the reason on the page"
    else:
        assert told[0] not in page, "production keeps the reason to itself"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ('wsgi = "good:app"\nvenv = "no-such-venv"', ["no-such-venv", "python"]),
        ('wsgi = "good:app"\nuser = "nobody-by-this-name"', ["nobody-by-this-name"]),
        ('wsgi = "good:app"\ndirectory = "no-such-folder"', ["no-such-folder"]),
        ('command = ["no-such-program", "{socket}"]', ["no-such-program"]),
    ],
)
def test_what_can_be_seen_before_the_start_is_told_by_check(
    directory: Path, bad: str, told: list[str]
) -> None:
    (directory / "mergepoint.toml").write_text(
        MANIFEST.format(bad=bad).replace("{{port}}", "8000").replace("{port}", "8000")
    )

    done = subprocess.run(
        command(directory / "mergepoint.toml", "check"),
        capture_output=True, text=True, check=False, cwd=directory,
    )  # fmt: skip

    said = done.stdout + done.stderr
    assert done.returncode in (1, 78)
    assert "mergepoint.toml:" in said
    assert "apps.bad" in said
    assert all(word in said for word in told), said
    assert "Traceback" not in said


def test_a_busy_port_names_its_owner_and_a_way_out(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = MANIFEST.format(bad='wsgi = "good:app"').replace("{{port}}", str(port))
        (directory / "mergepoint.toml").write_text(text.replace("{port}", str(port)))
        done = subprocess.run(
            command(directory / "mergepoint.toml", "start"),
            capture_output=True, text=True, check=False, timeout=60, cwd=directory,
        )  # fmt: skip

    assert done.returncode == 1
    assert str(port) in done.stderr
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_start_of_the_same_site_is_refused(directory: Path) -> None:
    with running_site(directory, MANIFEST.format(bad='wsgi = "good:app"')) as site:
        second = site.run("start", check=False)

        assert second.returncode == 1
        assert str(site.pid) in second.stderr
        assert answer(site, "/good/")[0] == 200


def test_a_full_disk_for_logs_stops_nothing(directory: Path) -> None:
    noisy = (
        "import sys\ndef app(environ, start_response):\n"
        "    print('x' * 20000, flush=True)\n    sys.stderr.write('y' * 20000)\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'noisy']\n"
    )
    (directory / "noisy.py").write_text(noisy)
    small = directory / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        unavailable(f"a small file system: {mounted.stderr.strip()}")
    manifest = MANIFEST.format(bad='wsgi = "noisy:app"').replace(
        'name = "mixed"', f'name = "mixed"\nstate_dir = "{small}"'
    )
    try:
        with running_site(directory, manifest) as site:
            statuses = [answer(site, "/bad/")[0] for _ in range(60)]
            with contextlib.suppress(OSError):
                (small / "filler").write_bytes(b"z" * (1 << 20))
            statuses += [answer(site, "/bad/")[0] for _ in range(60)]
            statuses += [answer(site, "/good/")[0]]
            restarted = site.run("status", "--json", check=False)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)

    assert set(statuses) == {200}
    assert restarted.returncode == 0


def test_no_manifest_says_how_to_begin(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mergepoint", "run"],
        capture_output=True, text=True, check=False, cwd=directory,
    )  # fmt: skip

    assert done.returncode == 78
    assert "mergepoint new" in done.stderr


def test_commands_without_a_running_site_say_so(directory: Path) -> None:
    text = MANIFEST.format(bad='wsgi = "good:app"').replace("{{port}}", "8000")
    (directory / "mergepoint.toml").write_text(text.replace("{port}", "8000"))
    for verb in ("status", "reload", "stop", "logs"):
        done = subprocess.run(
            command(directory / "mergepoint.toml", verb),
            capture_output=True, text=True, check=False, cwd=directory,
        )  # fmt: skip

        assert done.returncode == 3, (verb, done.stderr)
        assert "mergepoint run" in done.stderr or "mergepoint start" in done.stderr


def test_a_crash_loop_backs_off_and_says_so(directory: Path) -> None:
    (directory / "bad.py").write_text(
        "import os, threading\nthreading.Timer(0.3, os._exit, [9]).start()\n" + GOOD
    )

    site = start_site(directory, MANIFEST.format(bad='wsgi = "bad:app"'))
    try:
        site.wait(
            "backing off",
            lambda s: any(slot["restarts"] >= 2 for slot in s["apps"]["bad"]["slots"]),
        )
        assert answer(site, "/good/")[0] == 200
    finally:
        site.stop()
