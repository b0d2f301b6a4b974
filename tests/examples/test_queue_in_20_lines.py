"""The queue in 20 lines works, has the lack it is shown for, and names promises that exist."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mergepoint_testkit.bus import promises
from mergepoint_testkit.redis import running_redis

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/queue_in_20_lines"
PROGRAM = EXAMPLE / "queue_in_20_lines.py"

WAITING = "return tonumber(string.match(redis.call('info', 'clients'), 'blocked_clients:(%d+)'))"


def code_lines(path: Path) -> int:
    """Count lines that are neither empty nor the docstring."""
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    return len([line for line in lines if not line.startswith('"""')])


def test_twelve_lacks_name_promises_that_exist() -> None:
    named = re.findall(
        r"^\| (\d+) \|.*\| `([\w.]+)` \|$", (EXAMPLE / "README.md").read_text(), re.M
    )
    assert [int(number) for number, _ in named] == list(range(1, 13))
    assert {promise for _, promise in named} <= {promise.name for promise in promises()}


@pytest.mark.parametrize("name", ["queue_in_20_lines.py", "with_mergepoint.py"])
def test_both_have_about_twenty_lines(name: str) -> None:
    assert code_lines(EXAMPLE / name) <= 20


@pytest.mark.real
def test_it_works_and_forgets_what_a_killed_worker_had() -> None:
    with running_redis() as server:
        worker = subprocess.Popen(
            [sys.executable, str(PROGRAM), "work", server.url()], stdout=subprocess.PIPE, text=True
        )
        subprocess.run([sys.executable, str(PROGRAM), "alice", server.url()], check=True)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "mailing alice\n"
        while server.command("EVAL", WAITING, "0") != ":1":
            time.sleep(0.01)
        worker.send_signal(signal.SIGSTOP)  # Redis gives to who waits, not to who is awake
        subprocess.run([sys.executable, str(PROGRAM), "bob", server.url()], check=True)
        worker.kill()
        worker.wait()
        again = subprocess.run(
            [sys.executable, str(PROGRAM), "work", server.url()],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert again.stdout == "", "nobody looks into the list of what is being worked on"
        assert server.command("LLEN", "working") == ":1", "and there it stays"


def test_with_mergepoint_a_killed_workers_job_is_done_by_the_next(tmp_path: Path) -> None:
    socket, program = tmp_path / "hub.sock", EXAMPLE / "with_mergepoint.py"
    told = {"state_dir": str(tmp_path), "socket": str(socket)}
    argv = [sys.executable, "-m", "mergepoint.bus.hub"]
    hub = subprocess.Popen(argv, env={**os.environ, "MERGEPOINT_HUB": json.dumps(told)})
    try:
        while not socket.exists():
            assert hub.poll() is None
            time.sleep(0.02)
        bus = {"url": f"hub+unix://{socket}", "address": "mail/0"}
        env = {**os.environ, "MERGEPOINT_BUS": json.dumps(bus)}
        taking = (
            "import os, mergepoint\n"
            "job = mergepoint.connect().bus.queue('mail').get(wait_s=20)\n"
            "assert job.value == {'to': 'bob'}\n"
            "os.kill(os.getpid(), 9)\n"
        )
        subprocess.run([sys.executable, str(program), "bob"], env=env, check=True)
        killed = subprocess.run([sys.executable, "-c", taking], env=env, check=False)
        assert killed.returncode == -signal.SIGKILL
        again = subprocess.run(
            [sys.executable, str(program), "work"], env=env,
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert again.stdout == "mailing bob\n"
    finally:
        hub.terminate()
        hub.wait()
