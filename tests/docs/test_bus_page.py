"""The files of the pages about messages are a site, and do what the pages say of them.

Place:  make test
Rule:   the blocks are taken as they are printed; only the port is another one.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.message_site import MessageSite
from mergepoint_testkit.sites import running_site

GUIDES = Path(__file__).resolve().parents[2] / "docs/how-to"
PAGES = [GUIDES / name for name in ("bus.md", "tasks.md", "bus-over-http.md")]
FILE = re.compile(r"^```\w+\n(?:#|//) (\S+\.\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def files() -> dict[str, str]:
    return dict(found for page in PAGES for found in FILE.findall(page.read_text()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageSite]:
    if shutil.which("node") is None:
        pytest.skip("no Node here")
    directory = tmp_path_factory.mktemp("page")
    for name, text in files().items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    manifest = files()["mergepoint.toml"].replace(":8000", ":{port}")
    with running_site(directory, manifest, verb="run") as running:
        yield MessageSite(running)


def test_the_page_has_the_files_its_manifest_names() -> None:
    assert set(files()) == {
        "mergepoint.toml", "tickets/tickets.py", "tickets/jobs.py", "search/search.py",
        "wiki/wiki.py", "board/server.js",
    }  # fmt: skip


def test_one_request_tells_everybody(site: MessageSite) -> None:
    task = site.ask("POST", "/tickets/", {"id": 1, "title": "printer", "owner": "ada"})["task"]

    site.until(lambda: site.ask("GET", "/tickets/find?q=printer") == [1], "found by asking")
    site.until(lambda: "ada" in site.ask("GET", "/search/mails"), "the mail's job is done")
    site.until(lambda: "printer" in about(site), "the wiki was posted it")
    site.until(lambda: site.json("tasks", "show", task)["state"] == "completed", "the task ran")


def about(site: MessageSite) -> list[str]:
    return [json.loads(line)["about"] for line in site.lines("wiki/pages.txt")]


def test_node_publishes_and_hands_out_work(site: MessageSite) -> None:
    published, put = site.ask("GET", "/board/")

    assert (published["status"], put["status"], put["duplicate"]) == (200, 200, False)
    site.until(lambda: site.ask("GET", "/tickets/find?q=board") == [7], "heard")
    site.until(lambda: "from the board" in about(site), "posted")
    site.until(lambda: "board" in site.ask("GET", "/search/mails"), "done")


def test_a_task_is_run_by_hand_as_the_page_says(site: MessageSite) -> None:
    told = site.run("tasks", "run", "jobs.index", "[7]", "--wait-s", "20")

    assert json.loads(told) == {"indexed": 7}
