"""Apps of a site that tell, ask and hand work to each other, and people who look at it.

Place:  make test
Rule:   one site for all of these; none breaks it.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from mergepoint_testkit.message_site import MessageSite


def test_what_one_app_publishes_another_hears_in_its_own_environment(site: MessageSite) -> None:
    made = site.ask("POST", "/tickets/", {"id": 1, "title": "first"})

    def told() -> Any:
        return next((t for t in site.heard() if t["value"]["title"] == "first"), None)

    event = site.until(told, "heard")
    assert event["topic"] == "tickets.created"
    assert event["context"]["mprequestid"] == made["request_id"]
    assert event["context"]["mpapp"] == "tickets"
    assert str(site.directory) not in site.ask("GET", "/search/")["mergepoint"]


def test_an_app_that_knows_nothing_of_the_bus_is_posted_what_it_subscribed_to(
    site: MessageSite,
) -> None:
    made = site.ask("POST", "/tickets/", {"title": "for the wiki"})

    def hook() -> Any:
        lines = map(json.loads, site.lines("wiki/hooks.txt"))
        return next((line for line in lines if line["HTTP_CE_ID"] == made["id"]), None)

    got = site.until(hook, "posted")
    assert got["body"] == {"title": "for the wiki"}
    assert got["HTTP_CE_TYPE"] == "tickets.created"
    assert got["HTTP_MERGEPOINT_DELIVERY"].startswith("mp.to.wiki.")


def test_a_client_cannot_pretend_that_the_bus_posts(site: MessageSite) -> None:
    done = subprocess.run(
        [
            "curl", "-sS", "-o", "/dev/null", "-H", "Mergepoint-Delivery: forged", "-H",
            "Ce-Id: forged", "--json", "{}", f"http://127.0.0.1:{site.running.port}/wiki/hooks",
        ],
        timeout=30, check=True,
    )  # fmt: skip
    assert done.returncode == 0
    got = next(
        line
        for line in map(json.loads, site.lines("wiki/hooks.txt"))
        if line.get("HTTP_CE_ID") == "forged"
    )
    assert "HTTP_MERGEPOINT_DELIVERY" not in got


def test_one_app_asks_another_and_has_its_answer(site: MessageSite) -> None:
    site.ask("POST", "/tickets/", {"title": "needle"})
    site.until(lambda: any("needle" in str(t["value"]) for t in site.heard()), "heard")

    assert site.ask("GET", "/tickets/search?q=needle") == {"found": [{"title": "needle"}]}


def test_work_for_a_queue_is_done_once_by_somebody_else(site: MessageSite) -> None:
    for _ in range(2):
        answer = site.ask("POST", "/tickets/mail?id=mail-1", {"to": "alice"})
    assert answer == {"id": "mail-1", "duplicate": True}

    site.until(lambda: "alice" in site.ask("GET", "/search/")["mails"], "done")
    site.ask("POST", "/tickets/mail", {"to": "bob"})
    site.until(lambda: "bob" in site.ask("GET", "/search/")["mails"], "done")
    assert site.ask("GET", "/search/")["mails"].count("alice") == 1


def test_a_task_runs_in_a_process_of_its_own_and_its_result_is_kept(site: MessageSite) -> None:
    task = site.ask("POST", "/tickets/reports/june")["task"]

    def done() -> Any:
        record = site.json("tasks", "show", task)
        return record if record["state"] == "completed" else None

    record = site.until(done, "completed")
    assert record["result"]["data"] == {"name": "june", "release": "one"}
    assert record["app"] == "tickets"
    began = next(line for line in site.lines("tickets/runs.txt") if line.startswith("began june"))
    serving = {s["pid"] for s in site.json("status")["apps"]["tickets"]["slots"]}
    assert int(began.split()[2]) not in serving


def test_status_shows_the_services_beside_the_apps(site: MessageSite) -> None:
    services = site.json("status")["services"]

    assert {name: (s["role"], s["state"]) for name, s in services.items()} == {
        "hub": ("hub", "ready"),
        "gateway": ("gateway", "ready"),
        "tickets.tasks": ("tasks", "ready"),
    }
    assert services["tickets.tasks"]["of"] == "tickets"
    shown = site.run("status")
    for name in services:
        assert name in shown


@pytest.mark.parametrize(
    ("name", "words"), [("hub", "hub.started"), ("tickets.tasks", "jobs.report")]
)
def test_logs_of_a_service_are_shown_under_its_name(
    site: MessageSite, name: str, words: str
) -> None:
    site.until(lambda: words in site.run("logs", name), f"{words} in the logs of {name}")


def test_an_unknown_service_is_answered_with_those_there_are(site: MessageSite) -> None:
    assert "'hub'" in site.run("logs", "hubb", code=2)


def test_queues_topics_and_engines_are_listed(site: MessageSite) -> None:
    site.ask("POST", "/tickets/", {"title": "listed"})

    queues = {queue["name"] for queue in site.json("bus", "queues")["queues"]}
    topics = {topic["name"]: topic for topic in site.json("bus", "topics")["topics"]}
    engines = {engine["name"]: engine for engine in site.json("bus", "engines")["engines"]}
    assert any(name.startswith("mp.to.wiki.") for name in queues)
    assert topics["tickets.created"]["subscribers"] == 1
    assert engines["hub"]["used"]
    assert "bind" not in engines["zeromq"]["can"]


def test_who_is_there_is_listed(site: MessageSite) -> None:
    members = site.json("presence")["members"]

    assert [(m["address"], m["info"]["version"]) for m in members] == [("search/0", "7")]
    assert "search/0" in site.run("presence", "search")


def test_a_person_publishes_and_every_app_hears(site: MessageSite) -> None:
    identifier = site.json("bus", "publish", "tickets.closed", '{"title": "by hand"}')["id"]

    site.until(lambda: any(t["value"]["title"] == "by hand" for t in site.heard()), "heard")
    assert identifier


def test_a_person_looks_into_a_queue_without_taking_anything(site: MessageSite) -> None:
    for number in range(3):
        site.run("bus", "publish", "slow", f"{number}", "--queue", "--delay-s", "3600")

    entries = site.json("bus", "peek", "slow", "--limit", "2")["entries"]
    rest = site.json("bus", "peek", "slow", "--after", entries[-1]["id"])["entries"]
    assert [entry["message"]["data"] for entry in [*entries, *rest]] == [0, 1, 2]
    assert {entry["state"] for entry in entries} == {"delayed"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bus", "publish", "a..b"), "must be segments"),
        (("bus", "publish", "a", "{"), "no JSON"),
        (("bus", "tail", "a b"), "must be segments"),
        (("deadletters", "replay", "mail"), "name messages, or say --all"),
        (("deadletters", "discard", "mail", "--all"), "Add --yes"),
        (("tasks", "run", "jobs.report", "5"), "JSON object"),
    ],
)
def test_a_wrong_command_is_answered_in_words(
    site: MessageSite, arguments: tuple[str, ...], words: str
) -> None:
    assert words in site.run(*arguments, code=2)


def test_what_is_not_there_is_answered_with_the_next_command(site: MessageSite) -> None:
    told = site.run("tasks", "show", "nobody", code=1)
    assert "next: mergepoint tasks list" in told
    told = site.run("deadletters", "show", "mail", "nobody", code=1)
    assert "next: mergepoint deadletters list mail" in told


def test_the_doctor_asks_the_bus(site: MessageSite) -> None:
    told = site.run("doctor")

    assert "the engine hub answers" in told
    assert "sqlite" in told


def test_a_backup_is_made_while_the_site_works(site: MessageSite) -> None:
    import sqlite3

    made = site.json("bus", "backup", "copy.db")

    with sqlite3.connect(f"file:{made['path']}?mode=ro", uri=True) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_schedules_of_the_manifest_are_listed_with_their_next_time(site: MessageSite) -> None:
    schedule, *_ = site.json("tasks", "schedule")["schedules"]

    assert (schedule["task"], schedule["app"]) == ("jobs.report", "tickets")
    assert schedule["state"] == "in force"
    assert schedule["next_at"] > 0


def test_schedules_of_the_code_are_listed_beside_them_and_wrong_ones_with_the_reason(
    site: MessageSite,
) -> None:
    _, every, wrong = site.json("tasks", "schedule")["schedules"]

    assert (every["task"], every["every_s"], every["origin"]) == ("jobs.tidy", 86400.0, "the code")
    assert (every["state"], every["next_at"] % 86400) == ("in force", 0)
    assert (wrong["task"], wrong["state"], wrong["next_at"]) == ("jobs.tidy", "failed", None)
    assert "0 25 * * *" in wrong["reason"]


def test_a_task_that_never_ran_is_run_with_the_options_it_declares(site: MessageSite) -> None:
    asked = site.json("tasks", "run", "jobs.tidy", "--wait-s", "30")

    assert (asked["state"], asked["attempts_max"]) == ("completed", 8)
    assert (asked["queue"], asked["priority"]) == ("tickets", 6)
