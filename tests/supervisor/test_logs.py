"""What processes print is read once, bounded, and never costs them anything."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from mergepoint.core.clock import SystemClock
from mergepoint.supervisor import logs as logs_module
from mergepoint.supervisor.logs import FILES_KEPT, LINES_KEPT, LogFile, Logs
from mergepoint.supervisor.report import LogLine, Progress, StreamReporter
from mergepoint.supervisor.spool import LINE_BYTES_MAX, PUNCH_BYTES_MIN, Source, Spool

SOURCE = Source("shop", 0, 1, "output")


class Listener:
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

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic_s(self) -> float:
        return self.now

    def unix_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def test_lines_are_given_once_and_only_when_complete(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SOURCE)
    append(spool.path, b"one\ntw")
    assert spool.read() == ["one"]
    append(spool.path, b"o\nthree")
    assert spool.read() == ["two"]
    assert spool.read() == []
    assert spool.finish() == ["three"]
    assert not spool.path.exists()


def test_the_next_reader_goes_on_after_the_last_complete_line(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s", SOURCE)
    append(first.path, b"one\ntw")
    first.read()
    append(first.path, b"o\n")
    assert Spool(first.path, SOURCE, first.offset).read() == ["two"]


def test_an_endless_line_and_bytes_that_are_no_text_are_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SOURCE)
    append(spool.path, b"x" * (3 * LINE_BYTES_MAX) + b"\n\xff\xfe\n")
    lines = spool.read()
    assert max(len(line) for line in lines) <= LINE_BYTES_MAX
    assert lines[-1] == "\ufffd\ufffd"


def test_what_was_read_is_given_back_to_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SOURCE)
    line = b"y" * 1023 + b"\n"
    for _ in range(6 * PUNCH_BYTES_MIN // len(line)):
        append(spool.path, line)
        spool.read()
    assert spool.path.stat().st_blocks * 512 < 2 * PUNCH_BYTES_MIN
    append(spool.path, b"after\n")
    assert spool.read() == ["after"]


def test_log_files_are_rotated_by_size_and_their_number_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "FILE_BYTES_MAX", 1000)
    file = LogFile(tmp_path / "logs" / "shop.log", SystemClock())
    for number in range(200):
        assert file.write([LogLine(0.0, "shop", 0, "output", f"line {number}")]) == ""
    found = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(found) == FILES_KEPT + 1
    assert all(path.stat().st_size <= 1000 for path in (tmp_path / "logs").iterdir())
    assert "line 199" in (tmp_path / "logs" / "shop.log").read_text()


def test_a_full_disk_is_told_once_and_its_end_with_the_number_of_lost_lines(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    blocked = tmp_path / "logs"
    blocked.write_text("no directory")
    told, clock = Listener(), HandClock()
    logs = Logs(tmp_path / "spool", blocked, told, clock)
    path = logs.open("shop", 0, 1)
    for _ in range(3):
        append(path, b"lost\n")
        logs.poll()
        clock.now += 10
    assert [step.step for step in told.steps] == ["logs_lost"]
    blocked.unlink()
    append(path, b"kept\n")
    logs.poll()
    assert "3 log lines were lost" in told.steps[-1].detail
    assert len(told.steps) == 2
    assert len(told.lines) == 4


def test_the_last_lines_of_a_slot_are_kept_and_each_process_is_blamed_for_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "spool").mkdir()
    logs = Logs(tmp_path / "spool", tmp_path / "logs", Listener(), SystemClock())
    append(logs.open("shop", 0, 1), b'mergepoint-failure: {"reason": "no redis"}\n')
    logs.finish(1)
    append(logs.open("shop", 0, 2), b"".join(b"line %d\n" % n for n in range(80)))
    logs.poll()
    assert logs.failure_line("shop", 0, 1) is None, "fifty later lines have pushed it out"
    assert logs.failure_line("shop", 0, 2) is None
    assert logs.last_words("shop", 0, 2) == "line 79"
    assert len(logs.recent(None, 1000)) == LINES_KEPT
    assert len(logs.recent("shop", 1000)) == 81, "more is read from the file"


def test_a_slow_follower_is_cut_off_and_told(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    logs = Logs(tmp_path / "spool", tmp_path / "logs", Listener(), SystemClock())
    path = logs.open("shop", 0, 1)
    with logs.follow() as queue:
        append(path, b"x\n" * 5000)
        logs.poll()
        assert queue.qsize() == logs_module.FOLLOWER_LINES_MAX + 1
        last = [queue.get_nowait() for _ in range(queue.qsize())][-1]
    assert last is None


def test_what_processes_print_is_kept_from_other_users(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "logs" / "shop.log"
        assert LogFile(path, SystemClock()).write([LogLine(0.0, "shop", 0, "output", "x")]) == ""
    finally:
        os.umask(before)
    assert [oct(at.stat().st_mode & 0o777) for at in (path.parent, path)] == ["0o750", "0o640"]


def test_the_words_of_a_refused_release_stay_after_a_talkative_good_one(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "spools", tmp_path / "logs", Listener(), SystemClock())
    (tmp_path / "spools").mkdir()
    append(logs.open("shop", 0, 1), b"ValueError: refused\n")
    logs.poll()
    logs.finish(1)
    append(logs.open("shop", 0, 2), b"good\n" * 2 * LINES_KEPT)
    logs.poll()
    said = [line.text for line in logs.recent("shop", 3 * LINES_KEPT)]
    assert said == ["ValueError: refused", *["good"] * 2 * LINES_KEPT]
    assert [line.text for line in logs.recent("shop", LINES_KEPT)] == ["good"] * LINES_KEPT
    logs.close()


def test_an_access_line_is_an_object_inside_the_object_of_its_line() -> None:
    out = io.StringIO()
    reporter = StreamReporter(out, colour=False)
    reporter.line(LogLine(1.0, "edge", 0, "access", '{"method": "GET", "status": 200}'))
    reporter.line(LogLine(1.0, "edge", 0, "access", "- - GET /"))
    first, second = [json.loads(text)["line"] for text in out.getvalue().splitlines()]
    assert first["request"] == {"method": "GET", "status": 200}
    assert "text" not in first
    assert second["text"] == "- - GET /"
