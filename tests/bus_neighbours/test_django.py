"""Django's own tasks on a site: `django_tasks` as its documentation shows it, in its own venv."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.sites import RunningSite, running_site

APPS = Path(__file__).parent / "apps"
WAIT_S = 45.0
MANIFEST = """
[site]
name = "neighbours"
listen = "127.0.0.1:{{port}}"

[bus]
outboxes = ["sqlite:///shop/shop.db"]

[apps.shop]
at = "/"
wsgi = "shop:application"
directory = "shop"
venv = "{venv}"
processes = 1
tasks = "jobs"
"""
Json = dict[str, Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    directory = tmp_path_factory.mktemp("neighbours")
    shutil.copytree(APPS, directory, dirs_exist_ok=True)
    manifest = MANIFEST.format(venv=environment("django_tasks"))
    with running_site(directory, manifest) as running:
        yield running


def ask(site: RunningSite, path: str) -> Json:
    answer = httpx2.get(f"http://127.0.0.1:{site.port}{path}", timeout=30)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def ended(site: RunningSite, identifier: str) -> Json:
    """Return the result of a task once it is final."""
    ends_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_s:
        found = ask(site, f"/result/{identifier}")
        if found["status"] in ("SUCCESSFUL", "FAILED"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{found}\n{site.run('logs', check=False).stdout}")


def test_a_task_runs_and_its_result_is_found(site: RunningSite) -> None:
    asked = ask(site, "/enqueue/add?a=2&a=3")
    assert asked["status"] == "READY"
    done = ended(site, asked["id"])
    assert (done["status"], done["value"], done["attempts"]) == ("SUCCESSFUL", 5, 1)
    assert done["args"] == [2, 3]
    assert done["finished"] >= done["enqueued"]


def test_an_async_task_of_another_queue_runs_too(site: RunningSite) -> None:
    done = ended(site, ask(site, "/enqueue/greet?a=alice")["id"])
    assert (done["value"], done["queue"]) == ("hello alice", "mail")


def test_a_task_that_asks_for_its_context_gets_it(site: RunningSite) -> None:
    asked = ask(site, "/enqueue/attempt?a=word")
    assert ended(site, asked["id"])["value"] == ["word", 1, asked["id"]]


def test_a_failure_is_djangos_failure_after_the_retries(site: RunningSite) -> None:
    done = ended(site, ask(site, "/enqueue/fail?a=gone")["id"])
    assert (done["status"], done["attempts"]) == ("FAILED", 2)
    [[name, trace]] = done["errors"]
    assert name == "KeyError"
    assert "in fail" in trace


def test_a_task_for_later_waits(site: RunningSite) -> None:
    began_s = time.monotonic()
    done = ended(site, ask(site, "/enqueue/add?a=1&a=1&after=1.5")["id"])
    assert done["value"] == 2
    assert time.monotonic() - began_s >= 1.4


def test_an_unknown_result_is_djangos_error(site: RunningSite) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{site.port}/result/nothing", timeout=30)
    assert answer.status_code == 404
    assert answer.json() == {"error": "TaskResultDoesNotExist"}


def test_a_task_enqueued_in_a_transaction_exists_if_and_only_if_that_commits(
    site: RunningSite,
) -> None:
    ids = ask(site, "/atomically")
    ends_s = time.monotonic() + WAIT_S
    url = f"http://127.0.0.1:{site.port}/result/{ids['committed']}"
    while httpx2.get(url, timeout=30).status_code != 200:
        assert time.monotonic() < ends_s, site.run("logs", check=False).stdout
        time.sleep(0.05)
    assert ended(site, ids["committed"])["value"] == 2
    gone = httpx2.get(f"http://127.0.0.1:{site.port}/result/{ids['rolled_back']}", timeout=30)
    assert gone.status_code == 404


def test_the_commands_show_them_by_their_names(site: RunningSite) -> None:
    done = site.run("tasks", "list", "--json", check=False)
    names = {one["name"] for one in json.loads(done.stdout)["tasks"]}
    assert {"work.add", "work.greet", "work.fail"} <= names
