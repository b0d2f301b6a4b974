"""The same apps, unchanged, on every engine with queues; all but PostgreSQL leave tasks to the hub.

Place:  make test
Rule:   real servers of the test's own; skipped where their programs are not installed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mergepoint_testkit.message_site import MANIFEST, MessageSite, message_site
from mergepoint_testkit.nats import running_nats
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.rabbitmq import running_rabbitmq
from mergepoint_testkit.redis import running_redis

APPS = Path(__file__).parent / "apps"
OWN = SimpleNamespace(url=lambda: "hub")
ENGINES: dict[str, Callable[..., contextlib.AbstractContextManager[Any]]] = {
    "hub": lambda: contextlib.nullcontext(OWN),
    "postgresql": running_postgres,
    "redis": running_redis,
    "rabbitmq": running_rabbitmq,
    "nats": running_nats,
}


LONG = ("postgresql", "rabbitmq", "nats")
"""Tried by `make soak`: the engines' own suites are in `make test`."""
PARAMS = [pytest.param(name, marks=pytest.mark.soak if name in LONG else ()) for name in ENGINES]


@pytest.fixture(scope="module", params=PARAMS)
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


def test_tasks_run_and_their_records_are_found(site: MessageSite) -> None:
    task = site.ask("POST", "/tickets/reports/may")["task"]

    site.until(lambda: site.json("tasks", "show", task)["state"] == "completed", "completed")
    assert site.service("hub")["state"] == "ready"


def test_commands_speak_to_the_engine(site: MessageSite) -> None:
    used = [e["name"] for e in site.json("bus", "engines")["engines"] if e["used"]]

    assert used
    assert f"the engine {used[0]} answers" in site.run("doctor")
    names = [queue["name"] for queue in site.json("bus", "queues")["queues"]]
    listed = any(name.startswith("mp.to.wiki.") for name in names)
    assert listed or used == ["rabbitmq"]  # AMQP has no way to list queues


def test_dead_letters_are_found_replayed_mended_and_removed(site: MessageSite) -> None:
    hooks = site.directory / "wiki" / "wiki.py"
    whole = hooks.read_text()
    hooks.write_text(whole.replace("204 No Content", "410 Gone"))
    site.run("reload", "wiki")
    for title in ("again", "wrong", "unwanted"):
        site.ask("POST", "/tickets/", {"title": title})

    def dead() -> Any:
        entries = site.json("deadletters", "list")["entries"]
        return {entry["message"]["data"]["title"]: entry for entry in entries}

    entries = site.until(lambda: found if len(found := dead()) == 3 else None, "they are dead")
    assert {"410" in entry["reason"] for entry in entries.values()} == {True}
    queue = entries["again"]["queue"]
    assert "again" in site.run("deadletters", "show", queue, entries["again"]["id"])

    hooks.write_text(whole)
    site.run("reload", "wiki")
    site.run("deadletters", "replay", queue, entries["again"]["id"])
    site.run("deadletters", "edit", queue, entries["wrong"]["id"], '{"title": "mended"}')
    told = site.json("deadletters", "discard", queue, entries["unwanted"]["id"], "--yes")
    assert told["removed"] == 1

    def posted() -> list[str]:
        # Of each title the first post was refused, so only the second is the one that counts.
        return [json.loads(line)["body"]["title"] for line in site.lines("wiki/hooks.txt")]

    site.until(lambda: posted().count("again") == 2 and "mended" in posted(), "posted again")
    assert posted().count("unwanted") == 1
    assert dead() == {}


def test_tasks_are_cancelled_and_tried_again_by_hand(site: MessageSite) -> None:
    task = site.json("tasks", "run", "jobs.report", '["by hand"]', "--delay-s", "3600")["id"]
    assert site.json("tasks", "show", task)["state"] == "scheduled"

    site.run("tasks", "cancel", task, "--reason", "not today")
    record = site.json("tasks", "show", task)
    assert (record["state"], record["error"]) == ("cancelled", "not today")
    assert f"next: mergepoint tasks retry {task}" in site.running.run("tasks", "show", task).stderr

    site.run("tasks", "retry", task)
    site.until(lambda: site.json("tasks", "show", task)["state"] == "completed", "completed")
    listed = site.json("tasks", "list", "--name", "jobs.report", "--state", "completed")["tasks"]
    assert task in [one["id"] for one in listed]
