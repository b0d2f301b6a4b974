"""The same apps, unchanged, on other engines than the hub, which goes on keeping the tasks.

Place:  make test
Rule:   real servers of the test's own; skipped where their programs are not installed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.message_site import MANIFEST, MessageSite, message_site
from mergepoint_testkit.nats import running_nats
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.rabbitmq import running_rabbitmq
from mergepoint_testkit.redis import running_redis

APPS = Path(__file__).parent / "apps"
ENGINES: dict[str, Callable[..., contextlib.AbstractContextManager[Any]]] = {
    "postgresql": running_postgres,
    "redis": running_redis,
    "rabbitmq": running_rabbitmq,
    "nats": running_nats,
}


@pytest.fixture(scope="module", params=list(ENGINES))
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MessageSite]:
    directory = tmp_path_factory.mktemp(request.param)
    shutil.copytree(APPS, directory, dirs_exist_ok=True)
    with ENGINES[request.param]() as server:
        manifest = MANIFEST.replace('venv = "{venv}"\n', "").replace(
            "[bus]\n", '[bus]\nurl = "${BUS_URL}"\n'
        )
        told = {"BUS_URL": server.url()}
        with message_site(directory, Path(), manifest, environment=told) as running:
            yield running


def test_apps_tell_each_other_and_those_who_only_know_http(site: MessageSite) -> None:
    made = site.ask("POST", "/tickets/", {"title": "elsewhere"})

    site.until(lambda: any(t["value"]["title"] == "elsewhere" for t in site.heard()), "heard")

    def hook() -> Any:
        lines = map(json.loads, site.lines("wiki/hooks.txt"))
        return any(line["HTTP_CE_ID"] == made["id"] for line in lines)

    site.until(hook, "posted")
    assert site.ask("GET", "/tickets/search?q=elsewhere") == {"found": [{"title": "elsewhere"}]}


def test_work_is_done_by_somebody(site: MessageSite) -> None:
    site.ask("POST", "/tickets/mail", {"to": "carol"})

    site.until(lambda: "carol" in site.ask("GET", "/search/")["mails"], "done")


def test_tasks_run_and_the_hub_keeps_their_records(site: MessageSite) -> None:
    task = site.ask("POST", "/tickets/reports/may")["task"]

    site.until(lambda: site.json("tasks", "show", task)["state"] == "completed", "completed")
    assert site.service("hub")["state"] == "ready"


def test_commands_speak_to_the_engine(site: MessageSite) -> None:
    used = [e["name"] for e in site.json("bus", "engines")["engines"] if e["used"]]

    assert used
    assert f"the engine {used[0]} answers" in site.run("doctor")
    names = [queue["name"] for queue in site.json("bus", "queues")["queues"]]
    assert any(name.startswith("mp.to.wiki.") for name in names), names
