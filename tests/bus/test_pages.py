"""The pages about messages say what is so: their programs run, their tables hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mergepoint.testing.faults import OPERATIONS
from mergepoint.wire.serializers.plain import to_plain

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCED = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    (program,) = FENCED.findall((DOCS / "how-to/test-messages.md").read_text())
    (tmp_path / "test_guide.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_guide.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in done.stdout, done.stdout


def test_the_engine_of_the_guide_is_put_to_the_test(tmp_path: Path) -> None:
    page = (DOCS / "how-to/own-engine.md").read_text()
    suite, *others = FENCED.findall(page)
    memory = "from mergepoint.bus.adapters.memory import MemoryEngine as MyEngine\n"
    kept = 'promises("last")'
    program = memory + suite.replace("promises()", kept, 1).replace(
        "engine.connection.abort()", "engine.vanish()"
    )
    assert kept in program
    (tmp_path / "test_engine.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_engine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "9 passed" in done.stdout, done.stdout
    for other in others:
        compile(other, "own-engine.md", "exec")


@pytest.mark.parametrize("operation", ["put", "publish", "take", "ack", "nack", "extend"])
def test_operations_the_guide_names_can_fail(operation: str) -> None:
    assert operation in OPERATIONS


def test_the_table_of_forms_is_what_is_written() -> None:
    import datetime
    import decimal
    import uuid

    page = (DOCS / "reference/values.md").read_text()
    moment = datetime.datetime(2026, 11, 21, 16, 40, tzinfo=datetime.UTC)
    for value in (
        moment,
        moment.date(),
        moment.time(),
        datetime.timedelta(seconds=1.5),
        decimal.Decimal("1.10"),
        b"\x00",
        {1, 2},
    ):
        assert f"`{json.dumps(to_plain(value))}`" in page, value
    assert list(to_plain(uuid.uuid4())) == ["$uuid"]
    assert '`{"$uuid": "0b1e..."}`' in page
