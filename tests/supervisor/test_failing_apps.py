"""One app that fails says why and is tried again; the rest of the site runs."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from mergepoint.supervisor.client import connect


def test_a_crash_loop_is_slowed_down_and_never_stops_the_site(site) -> None:
    site.mode("crash", "blog")
    site.write(
        site.app()
        + site.app("blog", "restart = { backoff_s = 0.2, backoff_s_max = 2 }", at="/blog")
    )
    site.start()
    assert site.get()[0] == 200
    assert site.get("/blog")[0] == 503
    app = site.ask("status")["apps"]["blog"]
    assert app["state"] == "failed"
    assert "no such table: users" in app["failure"]["reason"]
    assert app["failure"]["next"] == "mergepoint logs blog"
    site.wait_for(lambda: len(site.told("starting", "blog")) >= 4, "four starts")
    starts = len(site.told("starting", "blog"))
    time.sleep(1.0)
    assert len(site.told("starting", "blog")) - starts <= 2
    site.mode("", "blog")
    site.wait_for(lambda: site.get("/blog")[0] == 200, "it came back by itself")


def test_each_way_a_process_cannot_start_names_the_cause(site) -> None:
    locked = site.directory / "locked.sh"
    locked.write_text("#!/bin/sh\n")
    no_loader = site.directory / "no_loader.sh"
    no_loader.write_text("#!/no/such/shell\n")
    no_loader.chmod(0o755)
    site.write(
        site.app()
        + f'[apps.a]\ncommand = ["{locked}", "{{port}}"]\nat = "/a"\n'
        + f'[apps.b]\ncommand = ["{no_loader}", "{{port}}"]\nat = "/b"\n'
        + '[apps.c]\nwsgi = "gone:app"\nat = "/c"\n'
    )
    site.start()
    assert site.get()[0] == 200
    failures = {
        name: app["failure"]["reason"]
        for name, app in site.ask("status")["apps"].items()
        if app["failure"]
    }
    assert "locked.sh" in failures["a"]
    assert "interpreter (first line)" in failures["b"]
    assert "gone" in failures["c"]
    assert site.get("/b/")[0] == 503


def test_an_app_runs_as_its_user_with_its_limits_and_no_way_to_more_rights(site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may start a process as another user")
    told = "grep -E '^(Uid|Groups|NoNew)' /proc/self/status; ulimit -n"
    site.write(
        f'[apps.shop]\ncommand = ["/bin/sh", "-c", "{told}; exit 9"]\n'
        'at = "/"\ndirectory = "/"\nuser = "nobody"\n[apps.shop.limits]\nfiles = 123\n'
    )
    site.start()
    text = [line["text"] for line in logs(site)]
    assert any(line.startswith("NoNewPrivs:\t1") for line in text)
    assert "123" in text
    uid = next(line for line in text if line.startswith("Uid:")).split()[1]
    groups = next(line for line in text if line.startswith("Groups:")).split()[1:]
    assert uid != "0"
    assert "0" not in groups


def logs(site) -> list[dict]:
    async def read() -> list[dict]:
        async with connect(site.run_dir) as client:
            return [m["line"] async for m in client.request("logs", lines=500) if "line" in m]

    return asyncio.run(read())


def test_what_a_process_prints_is_shown_kept_and_written_to_disk(site) -> None:
    site.write(site.app())
    site.start()
    site.get("/print")
    site.wait_for(lambda: "a line on stdout" in site.log.read_text(), "it is printed")
    assert any(line["text"] == "a line on stdout" for line in logs(site))
    on_disk = site.directory / ".mergepoint" / "logs" / "shop.log"
    assert "a line on stdout" in on_disk.read_text()


def test_logs_that_cannot_be_written_stop_nothing_and_are_told_once(site) -> None:
    state = site.directory / ".mergepoint"
    state.mkdir()
    (state / "logs").write_text("a file where a directory should be")
    site.write(site.app())
    site.start()
    for _ in range(5):
        assert site.get("/print")[0] == 200
    site.wait_for(lambda: site.told("logs_lost", "shop"), "the loss is told")
    assert len(site.told("logs_lost", "shop")) == 1
    assert any(line["text"] == "a line on stdout" for line in logs(site))


def test_a_process_that_ignores_term_is_killed_at_its_deadline(site) -> None:
    site.mode("stubborn")
    site.write(site.app(more="[apps.shop.timeouts]\nkill_s = 0.3"))
    site.start()
    (old,) = site.pids("shop")
    site.mode("")
    with site.load() as load:
        site.ask("restart", apps=["shop"])
        site.wait_for(lambda: site.told("killed", "shop"), "it was killed")
    assert site.is_gone(old)
    assert load.failures == []


def test_the_children_of_a_worker_end_with_it(site) -> None:
    site.write(
        '[apps.shop]\ncommand = ["/bin/sh", "-c", "sleep 987 & echo child $!; exit 3"]\n'
        'at = "/"\ndirectory = "."\n'
    )
    site.start()
    text = next(line["text"] for line in logs(site) if line["text"].startswith("child"))
    pid = int(text.split()[1])
    site.wait_for(lambda: site.is_gone(pid), "the child is gone")


def test_a_slow_boot_is_waited_for_and_its_callers_wait_in_the_queue(site) -> None:
    site.mode("slow:1.5")
    site.write(site.app() + site.app("blog", at="/blog"))
    site.start(ready=False)
    site.wait_for(lambda: site.told("ready", "edge"), "the edge")
    assert site.get("/blog")[0] == 200
    assert not site.told("ready", "shop")
    assert site.get()[0] == 200
