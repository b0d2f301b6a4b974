"""The launch shim: what a process becomes before its program runs, and how failures are told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mergepoint.supervisor import launch as shim
from mergepoint.supervisor.spawn import Launch, SpawnRefused, adopt, spawn, start_time


def launch(tmp_path: Path, code: str, **more: object) -> Launch:
    settings: dict[str, object] = {
        "argv": (sys.executable, "-I", "-S", "-c", code), "env": {"ONLY": "this"},
        "cwd": tmp_path, "output": tmp_path / "out",
    } | more  # fmt: skip
    return Launch(**settings)  # type: ignore[arg-type]


def result(tmp_path: Path, code: str, **more: object) -> tuple[str, str]:
    """Return what a process printed and how it ended."""

    async def run() -> str:
        child = await spawn(launch(tmp_path, code, **more))
        await asyncio.wait_for(child.exited.wait(), 10)
        return child.status

    status = asyncio.run(run())
    return (tmp_path / "out").read_text(), status


def test_a_process_sees_only_the_environment_it_was_given(tmp_path: Path) -> None:
    printed, _ = result(tmp_path, "import os; print(sorted(os.environ))")
    assert printed.strip() in {"['ONLY']", "['LC_CTYPE', 'ONLY']"}


def test_it_leads_its_own_session_in_its_directory_with_a_tight_umask(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), os.getcwd(), oct(os.umask(0)))"
    assert result(tmp_path, code)[0].split() == ["True", str(tmp_path), "0o27"]


def test_limits_and_niceness_hold_before_its_first_line(tmp_path: Path) -> None:
    code = "import os, resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), os.nice(0))"
    printed, _ = result(tmp_path, code, rlimits={"RLIMIT_NOFILE": 77}, nice=os.nice(0) + 3)
    assert printed.strip() == f"(77, 77) {os.nice(0) + 3}"


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no SCHED_BATCH")
@pytest.mark.parametrize(("batch", "policy"), [(True, "SCHED_BATCH"), (False, "SCHED_OTHER")])
def test_workers_and_their_threads_wait_for_their_turn(
    tmp_path: Path, batch: bool, policy: str
) -> None:
    code = (
        "import os, threading as t; say = lambda: print(os.sched_getscheduler(0));"
        "say(); new = t.Thread(target=say); new.start(); new.join()"
    )
    printed, _ = result(tmp_path, code, batch=batch, nice=1)
    assert printed.split() == [str(getattr(os, policy))] * 2


def test_it_can_gain_no_rights_and_inherits_no_descriptor_of_ours(tmp_path: Path) -> None:
    code = "import os; print(open('/proc/self/status').read(), sorted(os.listdir('/proc/self/fd')))"
    printed, _ = result(tmp_path, code)
    assert "NoNewPrivs:\t1" in printed
    assert printed.strip().endswith("['0', '1', '2', '3']"), "the fourth is the listing itself"


def test_passed_descriptors_are_numbered_from_three_in_order(tmp_path: Path) -> None:
    pipes = [os.pipe() for _ in range(3)]
    fds = [pipes[2][1], pipes[0][1], pipes[1][1]]
    code = "import os; [os.write(3 + n, b'%d' % n) for n in range(3)]"
    result(tmp_path, code, fds=fds)
    assert [os.read(pipe[0], 9) for pipe in pipes] == [b"1", b"2", b"0"]
    for pipe in pipes:
        os.close(pipe[0])
        os.close(pipe[1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"argv": ("/no/such/program",)}, "/no/such/program: no such program"),
        ({"argv": ("/etc/passwd",)}, "/etc/passwd: user .* may not execute it"),
        ({"cwd": Path("/no/such/place")}, "directory /no/such/place does not exist"),
        ({"user": "nobody-here"}, "user 'nobody-here' does not exist on this machine"),
        ({"group": "no-group"}, "group 'no-group' does not exist on this machine"),
    ],
)
def test_what_prevents_a_start_is_told_in_words(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(SpawnRefused, match=reason):
        asyncio.run(spawn(launch(tmp_path, "", **change)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_directory_the_user_may_not_enter_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(SpawnRefused, match="user nobody may not enter it"):
        asyncio.run(spawn(launch(tmp_path, "", cwd=closed, user="nobody")))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(tmp_path: Path, code: str, status: str) -> None:
    assert result(tmp_path, code)[1] == status


def test_only_the_very_process_of_a_record_is_adopted(tmp_path: Path) -> None:
    async def run() -> None:
        child = await spawn(launch(tmp_path, "import time; time.sleep(60)"))
        started_at = start_time(child.pid)
        assert started_at is not None
        assert adopt(child.pid, started_at + 1) is None
        again = adopt(child.pid, started_at)
        assert again is not None
        again.signal(signal.SIGTERM)
        await asyncio.wait_for(again.exited.wait(), 10)
        assert adopt(child.pid, started_at) is None
        again.signal(signal.SIGTERM)
        again.kill_group()

    asyncio.run(run())


SIGNALS_OF_THE_C_LIBRARY = 1 << 31 | 1 << 32
"""32 and 33: it keeps them to itself, and lets no program change what was inherited of them."""


def test_it_ignores_no_signal_and_goes_first_when_memory_runs_out(tmp_path: Path) -> None:
    shell = ("/bin/sh", "-c", "grep SigIgn /proc/self/status; cat /proc/self/oom_score_adj")
    printed, _ = result(tmp_path, "", argv=shell, oom_score_adj=200)
    _, ignored, adjusted = printed.split()
    assert int(ignored, 16) & ~SIGNALS_OF_THE_C_LIBRARY == 0
    assert adjusted == "200"


SEALED = """
import os, sys
with open(sys.argv[1]) as source:
    exec(compile(source.read(), sys.argv[1], "exec"), {"__name__": "shim"})
sys.path.clear()
os.write(1, b"sealed ")
os.execvpe("sh", ["sh", "-c", "echo ran"], {"PATH": "/bin:/usr/bin"})
"""


def test_a_program_is_found_when_our_own_library_is_out_of_reach_by_then() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SEALED, shim.__file__],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("sealed ran\n", "")
