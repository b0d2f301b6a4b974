"""Calls in another process: one outcome each, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit import work

from mergepoint.balance import Pool, offload
from mergepoint.balance.errors import (
    CallFailed,
    CallTimeout,
    ChildDied,
    NotOffloadable,
    PoolClosed,
    PoolFull,
    RemoteTraceback,
)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(1) as made:
        yield made


def until(path: Path) -> int:
    """Return the pid that a child writes there once it has begun."""
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return int(path.read_text())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_call_runs_in_another_process_and_returns_its_value(pool: Pool) -> None:
    assert offload(pool=pool)(work.square)(7) == 49
    assert offload(pool=pool)(work.pid)() != os.getpid()


def test_a_decorated_function_is_found_by_the_child_though_its_name_is_taken() -> None:
    assert work.cube(3) == 27
    assert work.cube.offloaded_function(3) == 27
    assert work.cube.__name__ == "cube"


def test_async_code_waits_without_holding_its_loop(pool: Pool) -> None:
    async def both() -> tuple[float, int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.005)

        counting = asyncio.create_task(count())
        spun = await offload(pool=pool)(work.spin).acall(0.3)
        counting.cancel()
        return spun, turns

    spun, turns = asyncio.run(both())
    assert spun == 0.3
    assert turns >= 5


def test_an_error_arrives_as_it_was_raised_with_the_other_traceback(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no such thing") as caught:
        offload(pool=pool)(work.fail)("no such thing")
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "work.py" in str(caught.value.__cause__)


def test_an_error_that_cannot_be_read_back_arrives_in_words(pool: Pool) -> None:
    with pytest.raises(CallFailed, match="Unpicklable: this and that"):
        offload(pool=pool)(work.fail_unreadably)()


def test_a_result_that_cannot_be_pickled_says_so_and_the_child_goes_on(pool: Pool) -> None:
    with pytest.raises(CallFailed, match="the result cannot be pickled"):
        offload(pool=pool)(work.answer_a_lambda)()
    assert offload(pool=pool)(work.square)(2) == 4


def test_an_exit_is_an_error_and_ends_no_process(pool: Pool) -> None:
    before = offload(pool=pool)(work.pid)()
    with pytest.raises(RuntimeError, match=r"sys\.exit"):
        offload(pool=pool)(work.leave)()
    assert offload(pool=pool)(work.pid)() == before


def test_a_child_that_dies_costs_its_own_call_only(pool: Pool) -> None:
    with pytest.raises(ChildDied, match="signal 9"):
        offload(pool=pool)(work.die)()
    with pytest.raises(ChildDied, match="code 5"):
        offload(pool=pool)(work.abort)(5)
    assert offload(pool=pool)(work.square)(3) == 9


def test_a_child_killed_between_two_calls_is_nobodys_error(pool: Pool) -> None:
    first = offload(pool=pool)(work.pid)()
    os.kill(first, signal.SIGKILL)
    while not gone(first) and Path(f"/proc/{first}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert offload(pool=pool)(work.pid)() != first


def test_a_call_over_its_time_is_stopped_for_good(pool: Pool, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(CallTimeout, match=r"0\.6 s"):
        offload(pool=pool, timeout_s=0.6)(work.note_and_spin)(str(note), 60)
    assert gone(until(note))


def test_a_cancelled_call_stops_its_process(pool: Pool, tmp_path: Path) -> None:
    note = tmp_path / "pid"

    async def cancelled() -> None:
        calling = asyncio.create_task(offload(pool=pool)(work.note_and_spin).acall(str(note), 60))
        await asyncio.to_thread(until, note)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(cancelled())
    assert offload(pool=pool)(work.square)(4) == 16
    assert gone(until(note))


def test_abandoning_a_call_that_has_ended_harms_no_later_one(pool: Pool) -> None:
    done = pool.submit(work.square, (2,))
    assert done.future.result() == 4
    later = pool.submit(work.spin, (0.2,))
    done.abandon()
    assert later.future.result() == 0.2


def test_the_line_of_waiting_calls_is_bounded(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with Pool(1, waiting_max=2) as small:
        running = small.submit(work.note_and_spin, (str(note), 60))
        until(note)
        waiting = [small.submit(work.square, (n,)) for n in (1, 2)]
        with pytest.raises(PoolFull, match="2 calls wait"):
            small.submit(work.square, (3,))
        running.abandon()
        assert [call.future.result() for call in waiting] == [1, 4]


def test_closing_stops_what_runs_and_refuses_what_waits(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    pool = Pool(1)
    running = pool.submit(work.note_and_spin, (str(note), 60))
    until(note)
    waiting = pool.submit(work.square, (1,))
    pool.close()
    pool.close()
    for call in (running, waiting):
        with pytest.raises(PoolClosed):
            call.future.result()
    with pytest.raises(PoolClosed):
        pool.submit(work.square, (1,))
    assert gone(until(note))


def test_a_worn_child_is_replaced() -> None:
    with Pool(1, calls_max=2) as pool:
        pids = [offload(pool=pool)(work.pid)() for _ in range(6)]
        assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_a_child_that_grew_too_large_is_replaced() -> None:
    with Pool(1, memory_bytes_max=80 * 1024 * 1024) as pool:
        before = offload(pool=pool)(work.pid)()
        assert offload(pool=pool)(work.pid)() == before
        offload(pool=pool)(work.fill)(120)
        assert offload(pool=pool)(work.pid)() != before


def test_what_no_other_process_can_find_is_refused_by_name(pool: Pool) -> None:
    def inner() -> None:
        """Stand inside a function."""

    with pytest.raises(NotOffloadable, match=r"inner stands inside a function"):
        offload(pool=pool)(inner)()
    with pytest.raises(NotOffloadable, match="argument of square cannot be pickled"):
        offload(pool=pool)(work.square)(threading.Lock())


def test_a_module_findable_only_since_the_last_call_is_found(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = offload(pool=pool)(work.pid)()
    assert offload(pool=pool)(work.pid)() == child
    (tmp_path / "come_late.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    come_late = importlib.import_module("come_late")
    assert offload(pool=pool)(come_late.answer)() == 42


def test_functions_of_a_script_run_without_running_the_script_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from mergepoint.balance import offload\n"
        "@offload\n"
        "def double(n):\n"
        "    return 2 * n\n"
        "if __name__ == '__main__':\n"
        "    print('once', double(21))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("once 42\n", "")


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "from mergepoint.balance import Pool\n"
        "from mergepoint_testkit import work\n"
        f"Pool(1).submit(work.note_and_spin, ({str(note)!r}, 60)).future.result()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    child = until(note)
    parent.kill()
    parent.wait()
    for _ in range(500):
        if gone(child):
            return
        time.sleep(0.01)
    raise AssertionError("the child outlived its parent")


def test_a_forked_process_has_children_of_its_own(pool: Pool) -> None:
    assert offload(pool=pool)(work.square)(2) == 4
    reader, writer = os.pipe()
    forked = os.fork()
    if forked == 0:
        try:
            os.write(writer, str(offload(pool=pool)(work.square)(5)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == b"25"
    os.waitpid(forked, 0)
    assert offload(pool=pool)(work.square)(3) == 9
