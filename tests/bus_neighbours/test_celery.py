"""Celery as a member: its workers run under the supervisor, its tasks are enqueued and watched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.redis import running_redis
from mergepoint_testkit.sites import RunningSite, running_site

APPS = Path(__file__).parent / "apps"
WAIT_S = 45.0
MANIFEST = """
[site]
name = "mailing"
listen = "127.0.0.1:{{port}}"

[bus]

[apps.mailer]
at = "/"
wsgi = "front:application"
directory = "mailer"
venv = "{venv}"
processes = 1
celery = "mailing:app"

[apps.mailer.env]
BROKER = "{broker}"
"""
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    directory = tmp_path_factory.mktemp("mailing")
    shutil.copytree(APPS, directory, dirs_exist_ok=True)
    with running_redis() as broker:
        manifest = MANIFEST.format(venv=environment("celery"), broker=broker.url())
        with running_site(directory, manifest) as running:
            yield running


def ask(site: RunningSite, path: str) -> str:
    answer = httpx2.get(f"http://127.0.0.1:{site.port}{path}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def until(condition: Callable[[], Any], what: str) -> Any:
    ends_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_s:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


def sent(site: RunningSite) -> list[str]:
    path = site.directory / "mailer" / "sent.txt"
    return path.read_text().splitlines() if path.exists() else []


def workers(site: RunningSite) -> list[dict[str, Any]]:
    told = json.loads(site.run("status", "--json").stdout)
    found: list[dict[str, Any]] = told["services"]["mailer.celery"]["slots"]
    return found


def test_what_celery_itself_enqueues_is_worked_on(site: RunningSite) -> None:
    ask(site, "/celery?to=alice")
    until(lambda: any(line.startswith("alice 1 ") for line in sent(site)), "alice's mail")


def test_what_the_bus_enqueues_is_worked_on_under_its_own_id(site: RunningSite) -> None:
    identifier = ask(site, '/bus?task=mailing.send&kwargs={"to":"bob","copies":2}')
    line = until(lambda: [s for s in sent(site) if s.startswith("bob")], "bob's mail")
    assert line == [f"bob 2 {identifier}"]


def test_what_becomes_of_tasks_is_published(site: RunningSite) -> None:
    argv = [sys.executable, "-m", "mergepoint", "bus", "tail", "celery.>", "--json", "--count", "2"]
    tail = subprocess.Popen(
        argv, cwd=site.directory, env=site.environment, stdout=subprocess.PIPE, text=True
    )
    for _ in range(20):
        ask(site, "/bus?task=mailing.fail")
        if tail.poll() is not None:
            break
        time.sleep(0.5)
    out, _ = tail.communicate(timeout=WAIT_S)
    states = {json.loads(line)["message"]["type"] for line in out.splitlines()}
    assert states <= {f"celery.mailer.{s}" for s in ("received", "started", "failed")}
    assert states


def test_a_killed_worker_is_started_again(site: RunningSite) -> None:
    [worker] = workers(site)
    os.kill(worker["pid"], signal.SIGKILL)
    until(
        lambda: [w for w in workers(site) if w["state"] == "ready" and w["pid"] != worker["pid"]],
        "another worker",
    )
    ask(site, "/celery?to=carol")
    until(lambda: any(line.startswith("carol") for line in sent(site)), "carol's mail")


def test_a_job_that_is_none_becomes_a_dead_letter_and_blocks_nobody(site: RunningSite) -> None:
    ask(site, "/bus?task=no.such.task")
    ask(site, "/celery?to=dave")
    until(lambda: any(line.startswith("dave") for line in sent(site)), "dave's mail")


def test_a_restart_lets_a_worker_finish_what_it_has_begun(site: RunningSite) -> None:
    ask(site, '/bus?task=mailing.slow&kwargs={"seconds":2}')
    time.sleep(1.0)
    site.run("restart", "mailer")
    until(lambda: "slow 1 -" in sent(site), "the slow task")
