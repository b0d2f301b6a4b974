"""What a site with a bus survives: each of its processes killed, releases that are broken.

Place:  make test
Rule:   each test has a site of its own; times are bounded with slack, order and counts exactly.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from mergepoint_testkit.message_site import MessageSite
from mergepoint_testkit.sites import start_site

BACK_S_MAX = 10.0
"""On an idle machine it is 0.3 s; other work may share this one."""


class Sender:
    """Puts mails through the edge until the block ends; keeps what was acknowledged."""

    def __init__(self, site: MessageSite, name: str) -> None:
        self._site = site
        self._name = name
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self.refused = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            to = f"{self._name}-{number}"
            status, _ = self._site.answer("POST", "/tickets/mail", {"to": to})
            if status == 200:
                self.accepted.append(to)
            else:
                self.refused += 1


def mails(site: MessageSite) -> list[str]:
    found: list[str] = site.ask("GET", "/search/")["mails"]
    return found


def test_a_killed_hub_is_back_at_once_and_nothing_acknowledged_is_lost(
    own_site: MessageSite,
) -> None:
    site = own_site
    with Sender(site, "a") as first, Sender(site, "b") as second:
        for _ in range(3):
            count = len(first.accepted)
            site.until(lambda n=count: len(first.accepted) > n + 5, "mails are accepted")
            before = site.pid("hub")
            os.kill(before, signal.SIGKILL)
            killed_s = time.monotonic()
            count = len(first.accepted) + len(second.accepted)
            site.until(
                lambda n=count: len(first.accepted) + len(second.accepted) > n + 5, "accepted again"
            )
            assert time.monotonic() - killed_s < BACK_S_MAX
            assert site.pid("hub") != before
    accepted = first.accepted + second.accepted
    site.until(lambda: set(accepted) <= set(mails(site)), "everything accepted is done")
    assert site.service("hub")["slots"][0]["restarts"] == 3
    assert site.status()["apps"]["search"]["slots"][0]["restarts"] == 0

    # Who listened listens again, without doing anything for it.
    site.ask("POST", "/tickets/", {"title": "after"})
    site.until(lambda: any(t["value"]["title"] == "after" for t in site.heard()), "heard")


def test_the_task_of_a_killed_worker_runs_again(own_site: MessageSite) -> None:
    site = own_site
    task = site.ask("POST", "/tickets/reports/july?hold_s=600")["task"]
    site.until(lambda: site.lines("tickets/runs.txt"), "it began")
    os.killpg(site.pid("tickets.tasks"), signal.SIGKILL)

    record = site.until(
        lambda: (r := site.json("tasks", "show", task))["state"] == "completed" and r, "completed"
    )
    assert record["result"]["data"]["name"] == "july"
    began = [line for line in site.lines("tickets/runs.txt") if line.startswith("began july")]
    assert len(began) == 2
    assert began[0].split()[2] != began[1].split()[2]


def test_a_reload_rolls_an_apps_task_workers_with_it_and_a_broken_one_rolls_neither(
    own_site: MessageSite,
) -> None:
    site = own_site
    module = site.directory / "tickets" / "jobs.py"
    whole, old = module.read_text(), site.pid("tickets.tasks")

    module.write_text("import nothing_of_that_name\n")
    told = site.run("reload", "tickets", code=1)
    assert "nothing_of_that_name" in told
    assert site.pid("tickets.tasks") == old
    assert report(site, "under the old release") == "one"

    module.write_text(whole.replace('RELEASE = "one"', 'RELEASE = "two"'))
    assert "tickets.tasks" in site.run("reload", "tickets")
    assert site.pid("tickets.tasks") != old
    assert report(site, "under the new release") == "two"


def report(site: MessageSite, name: str) -> str:
    """Run one report and return the release that made it."""
    task = site.ask("POST", f"/tickets/reports/{name.replace(' ', '-')}")["task"]
    record = site.until(
        lambda: (r := site.json("tasks", "show", task))["state"] == "completed" and r, "completed"
    )
    release: str = record["result"]["data"]["release"]
    return release


def test_a_job_that_runs_when_its_worker_is_rolled_ends_in_the_old_one(
    own_site: MessageSite,
) -> None:
    site = own_site
    site.ask("POST", "/tickets/reports/august?hold_s=4")
    site.until(lambda: site.lines("tickets/runs.txt"), "it began")
    site.run("restart", "tickets.tasks")

    site.until(lambda: any(x.startswith("ended august") for x in site.lines("tickets/runs.txt")),
               "it ended")  # fmt: skip
    runs = [line for line in site.lines("tickets/runs.txt") if line.startswith("began august")]
    assert len(runs) == 1


def test_the_next_supervisor_adopts_hub_gateway_and_task_workers(own_site: MessageSite) -> None:
    site = own_site
    before = {name: site.pid(name) for name in ("hub", "gateway", "tickets.tasks")}
    site.running.process.kill()
    site.running.process.wait(30)
    again = start_site(site.directory, site.running.manifest.read_text(), port=site.running.port)
    site.running.process = again.process
    site.running.wait_ready()

    assert {name: site.pid(name) for name in before} == before
    assert report(site, "adopted") == "one"


def test_a_manifest_that_is_broken_leaves_the_bus_as_it_is(own_site: MessageSite) -> None:
    site = own_site
    hub = site.pid("hub")
    manifest = site.running.manifest
    whole = manifest.read_text()
    manifest.write_text(whole.replace('app = "wiki"\npost', 'app = "wikki"\npost'))

    told = site.run("reload", code=1)
    assert "wikki" in told
    assert 'did you mean "wiki"?' in told
    manifest.write_text(whole)
    assert site.pid("hub") == hub
    assert report(site, "as before") == "one"


def test_a_bus_that_is_added_and_taken_away_comes_and_goes_with_a_reload(
    own_site: MessageSite,
) -> None:
    site = own_site
    manifest = site.running.manifest
    whole = manifest.read_text()
    plain = whole.partition("[bus]")[0] + '[apps.wiki]\nwsgi = "wiki:app"\ndirectory = "wiki"\n'
    manifest.write_text(plain)
    site.run("reload")
    site.until(lambda: site.status()["services"] == {}, "nothing of the bus is left")
    told = site.run("bus", "queues", code=2)
    assert "this site has no bus" in told
    assert "next: add [bus]" in told

    manifest.write_text(whole)
    site.run("reload")
    assert site.service("hub")["state"] == "ready"
    assert report(site, "again") == "one"


def test_the_hub_stops_last_and_gently(own_site: MessageSite) -> None:
    site = own_site
    assert site.running.stop() == 0
    steps = [
        told["app"]
        for line in Path(site.directory / "site.log").read_text().splitlines()
        if line.startswith('{"progress"')
        and (told := json.loads(line)["progress"])["step"] == "stopped"
    ]

    assert steps[-1] == "hub"
    assert set(steps[-3:-1]) == {"gateway", "tickets.tasks"}
    assert "hub.stopped" in site.running.output
