"""Unread output is bounded, what is dropped is counted and told, and nobody else's place is used.

Place:  supervisor.spool, supervisor.logs, supervisor.places
Rule:   real files, in memory and on disk; time is moved by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.supervisor import places, spool
from mergepoint.supervisor.logs import LOSS_TOLD_EVERY_S, Logs
from mergepoint.supervisor.report import LogLine, Progress
from mergepoint.supervisor.spool import READ_BYTES_MAX, Source, Spool

SOURCE = Source("shop", 0, 1, "output")
SPOOL_BYTES_MAX, SPOOL_BYTES_KEPT = 2 << 20, 1 << 18
"""A quarter of the product's bounds, for speed."""
LINE = b"%015d\n"
TMPFS = "tmpfs {} tmpfs rw,nosuid 0 0\n"


class Hearer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.steps: list[Progress] = []

    def line(self, line: LogLine) -> None:
        self.lines.append(line)

    def progress(self, progress: Progress) -> None:
        self.steps.append(progress)


class HandClock:
    """Moved by hand."""

    now = 0.0

    def monotonic_s(self) -> float:
        return self.now

    def unix_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SPOOL_BYTES_MAX", SPOOL_BYTES_MAX)
    monkeypatch.setattr(spool, "SPOOL_BYTES_KEPT", SPOOL_BYTES_KEPT)


@pytest.fixture(params=["memory", "disk"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A spool in memory where the machine has such a place, and one on disk."""
    at = tmp_path / "s"
    if request.param == "memory" and places.on_memory(places.MEMORY):
        at = places.MEMORY / f"mergepoint-test-{os.getpid()}"
    yield at
    at.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def numbered(count: int) -> bytes:
    return b"".join(LINE % number for number in range(count))


def read_all(reader: Spool) -> list[str]:
    lines: list[str] = []
    while more := reader.read():
        lines += more
    return lines


def test_a_burst_within_the_bound_is_read_whole(path: Path) -> None:
    reader = Spool(path, SOURCE)
    count = SPOOL_BYTES_MAX // 16
    append(path, numbered(count))

    assert len(read_all(reader)) == count
    assert reader.take_lost_bytes() == 0


def test_beyond_the_bound_the_newest_whole_lines_are_kept_and_the_rest_is_counted(
    path: Path,
) -> None:
    reader = Spool(path, SOURCE)
    count = 2 * SPOOL_BYTES_MAX // 16
    append(path, numbered(count) + b"half")
    held = path.stat().st_blocks

    first = reader.read()
    lines = first + read_all(reader)

    assert int(lines[0]) == count - len(lines), "no line is torn"
    assert int(lines[-1]) == count - 1
    assert reader.take_lost_bytes() == (count - len(lines)) * 16
    assert reader.take_lost_bytes() == 0
    assert path.stat().st_blocks < held / 4, "the memory is given back"
    append(path, b" and whole\n")
    assert reader.read() == ["half and whole"]


def test_without_holes_in_files_the_bound_holds_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_punch", lambda *_: False)
    reader = Spool(path, SOURCE)
    append(path, numbered(2 * SPOOL_BYTES_MAX // 16))

    assert reader.read() == []
    assert path.stat().st_size == 0
    assert reader.take_lost_bytes() == 2 * SPOOL_BYTES_MAX
    append(path, b"later\n")
    assert reader.read() in (["later"], []), "a line right after a loss may count as torn"


def test_the_end_of_a_process_costs_a_bounded_read(path: Path) -> None:
    reader = Spool(path, SOURCE)
    append(path, numbered(SPOOL_BYTES_MAX // 16) + b"last words")

    lines = reader.finish()

    assert lines[-1] == "last words"
    assert sum(len(line) + 1 for line in lines) <= SPOOL_BYTES_KEPT + 16
    assert not path.exists()


def test_a_spool_emptied_by_its_own_writer_is_read_from_its_start(path: Path) -> None:
    reader = Spool(path, SOURCE)
    append(path, numbered(100))
    read_all(reader)
    with path.open("wb") as stream:  # as `echo again > /dev/stdout` does
        stream.write(b"again\n")

    assert reader.read() == ["again"]


def test_the_next_reader_does_not_count_what_was_read_as_lost(path: Path) -> None:
    first = Spool(path, SOURCE)
    for _ in range(3):
        append(path, numbered(SPOOL_BYTES_MAX // 16))
        read_all(first)
    append(path, b"new\n")

    second = Spool(path, SOURCE, offset=READ_BYTES_MAX)

    assert read_all(second)[-1] == "new"
    assert second.take_lost_bytes() == 0


def test_a_loss_is_marked_in_the_log_and_told_every_few_seconds(tmp_path: Path) -> None:
    heard, clock = Hearer(), HandClock()
    logs = Logs(tmp_path / "spool", tmp_path / "logs", heard, clock)
    at = logs.open("shop", 0, 1)
    for _ in range(3):
        append(at, numbered(2 * SPOOL_BYTES_MAX // 16))
        logs.poll()
    assert len(heard.steps) == 1
    clock.now += LOSS_TOLD_EVERY_S
    logs.poll()

    assert [step.step for step in heard.steps] == ["logs_lost"] * 2
    marks = [line.text for line in heard.lines if "are missing here" in line.text]
    assert len(marks) == 3
    told = sum(int(step.detail.split()[0]) for step in heard.steps)
    assert told == sum(int(text.split()[1]) for text in marks) > 4 * SPOOL_BYTES_MAX


def test_one_that_prints_without_end_does_not_silence_the_others(tmp_path: Path) -> None:
    heard = Hearer()
    logs = Logs(tmp_path / "spool", tmp_path / "logs", heard, HandClock())
    noisy, quiet = logs.open("noisy", 0, 1), logs.open("quiet", 0, 2)
    append(noisy, numbered(SPOOL_BYTES_MAX // 16))
    append(quiet, b"heard\n")

    logs.poll()

    first = next(at for at, line in enumerate(heard.lines) if line.app == "quiet")
    assert first <= READ_BYTES_MAX // 16


def mounts(tmp_path: Path, directory: Path) -> Path:
    at = tmp_path / "mounts"
    at.write_text(TMPFS.format(directory))
    return at


def test_spools_lie_in_memory_and_the_same_site_finds_them_again(tmp_path: Path) -> None:
    memory, run = tmp_path / "shm", tmp_path / "run"
    memory.mkdir()
    table = mounts(tmp_path, memory)

    found = places.spool_dir(run, memory, table)

    assert found.parent == memory
    assert found.stat().st_mode & 0o777 == 0o700
    assert places.spool_dir(run, memory, table) == found
    assert places.spool_dir(tmp_path / "other", memory, table) != found


def test_without_memory_of_its_own_a_site_keeps_spools_in_its_run_directory(
    tmp_path: Path,
) -> None:
    memory, run = tmp_path / "shm", tmp_path / "run"
    memory.mkdir()
    (tmp_path / "none").write_text("/dev/vda / ext4 rw 0 0\n")

    assert places.spool_dir(run, memory, tmp_path / "none") == run / "spool"
    assert places.spool_dir(run, tmp_path / "missing", mounts(tmp_path, memory)) == run / "spool"


def test_a_name_that_somebody_else_took_is_not_used(tmp_path: Path) -> None:
    memory, run, trap = tmp_path / "shm", tmp_path / "run", tmp_path / "trap"
    memory.mkdir()
    trap.mkdir()
    table = mounts(tmp_path, memory)
    wanted = places.spool_dir(run, memory, table)
    places.tidy(run, wanted)
    wanted.symlink_to(trap)

    assert places.spool_dir(run, memory, table) == run / "spool"
    assert list(trap.iterdir()) == []


def test_memory_of_sites_that_are_no_more_is_given_back(tmp_path: Path) -> None:
    memory, alive, gone = tmp_path / "shm", tmp_path / "alive", tmp_path / "gone"
    for directory in (memory, alive, gone):
        directory.mkdir()
    table = mounts(tmp_path, memory)
    kept, freed = (places.spool_dir(run, memory, table) for run in (alive, gone))
    (freed / "shop.0.1.log").write_text("unread")
    gone.rmdir()

    places.sweep(memory)

    assert kept.is_dir()
    assert not freed.exists()
