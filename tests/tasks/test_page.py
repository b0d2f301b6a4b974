"""The page about tasks does what it says: its blocks run one by one, in a site for tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mergepoint.testing.site import Testing

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "docs/how-to" / name for name in ("tasks.md", "tasks-that-matter.md")]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_page() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in BLOCK.findall("\n".join(page.read_text() for page in PAGES)):
        # An `exec` without a module: tasks are named after it.
        names["__name__"] = "page"
        exec(block.replace("mergepoint.connect()", "mergepoint.Site.testing()"), names)
    return names


def test_every_block_of_the_page_does_what_the_page_says() -> None:
    names = run_page()
    site: Testing = names["site"]
    try:
        booked = [names["book"].enqueue(n) for n in (1, 2)]
        charged = [names["charge"].enqueue(n) for n in (1, 8, 9)]
        site.duplicate_all()
        site.advance(hours=2)

        assert names["handle"].result() == "sent to alice@example.org"
        assert [link.result() for link in names["links"]] == [3, 13]
        assert names["made"].join.result() == 20
        assert all(handle.record().state.value == "completed" for handle in booked)
        rows = names["database"].execute("SELECT ticket FROM bookings ORDER BY 1").fetchall()
        assert rows == [(1,), (2,)]
        states = [handle.record().state.value for handle in charged]
        assert states == ["completed", "cancelled", "dead"]
    finally:
        site.close()


def test_the_pages_test_for_apps_passes() -> None:
    names = run_page()
    names["site"].close()
    names["test_a_mail_is_sent_an_hour_later"]()


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "tools/tasks_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
