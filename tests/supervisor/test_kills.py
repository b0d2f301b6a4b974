"""kill -9 of any process: the site goes on, and the next supervisor takes over what is left."""

from __future__ import annotations

import os
import signal
import time


def test_a_killed_worker_costs_no_idempotent_request(site) -> None:
    site.write(site.app(more="processes = 2"))
    site.start()
    with site.load() as load:
        for _ in range(3):
            os.kill(site.pids("shop")[0], signal.SIGKILL)
            time.sleep(0.2)
            site.wait_for(lambda: len(site.pids("shop")) == 2, "it is back")
    assert load.failures == []
    assert len(load.answers) > 20
    assert "killed by SIGKILL" in site.told("crashed", "shop")[0]["detail"]


def test_a_killed_only_worker_costs_waiting_but_no_idempotent_request(site) -> None:
    site.write(site.app())
    site.start()
    with site.load() as load:
        os.kill(site.pids("shop")[0], signal.SIGKILL)
        time.sleep(0.2)
        site.wait_for(lambda: site.pids("shop"), "it is back")
    assert load.failures == []


def test_a_killed_edge_is_back_on_its_port_within_a_second(site) -> None:
    site.write(site.app())
    site.start()
    worker = site.pids("shop")
    for _ in range(2):
        edge = site.ask("status")["edge"]["pid"]
        os.kill(edge, signal.SIGKILL)
        killed = time.monotonic()
        assert site.get()[0] == 200, "the port stayed open, the request only waited"
        assert time.monotonic() - killed < 1.0
        assert site.ask("status")["edge"]["pid"] != edge
    assert site.pids("shop") == worker


def test_a_site_outlives_its_supervisor_and_the_next_one_adopts_it(site) -> None:
    site.write(site.app(more="processes = 2") + site.app("blog", at="/blog"))
    site.start()
    before = sorted(site.pids("shop") + site.pids("blog"))
    edge = site.ask("status")["edge"]["pid"]
    with site.load() as load:
        site.kill_supervisor()
        time.sleep(0.3)
        site.start()
        time.sleep(0.3)
    assert load.failures == []
    assert sorted(site.pids("shop") + site.pids("blog")) == before
    assert site.ask("status")["edge"]["pid"] == edge
    assert len(site.told("adopted")) == 4
    assert not site.told("starting")


def test_the_next_supervisor_rolls_only_what_changed_and_doubles_nothing(site) -> None:
    site.write(site.app() + site.app("blog", at="/blog"))
    site.start()
    shop, blog = site.pids("shop"), site.pids("blog")
    with site.load() as load:
        site.kill_supervisor()
        site.write(site.app(env=', MORE = "1"') + site.app("blog", at="/blog"))
        site.start()
        site.wait_for(lambda: len(site.slots("shop")) == 1 and site.pids("shop") != shop, "rolled")
    assert load.failures == []
    assert site.pids("blog") == blog
    assert site.is_gone(shop[0])


def test_a_worker_that_died_while_nobody_looked_is_started_again(site) -> None:
    site.write(site.app(more="processes = 2"))
    site.start()
    first, second = site.pids("shop")
    site.kill_supervisor()
    os.kill(first, signal.SIGKILL)
    site.start()
    site.wait_for(lambda: len(site.pids("shop")) == 2, "two again")
    assert second in site.pids("shop")


def test_what_was_printed_while_nobody_listened_is_still_told(site) -> None:
    site.write(site.app())
    site.start()
    site.kill_supervisor()
    site.get("/print")
    site.start()
    site.wait_for(lambda: "a line on stdout" in site.log.read_text(), "it is told")


def test_an_app_taken_out_of_the_manifest_meanwhile_is_ended(site) -> None:
    site.write(site.app() + site.app("blog", at="/blog"))
    site.start()
    (blog,) = site.pids("blog")
    site.kill_supervisor()
    site.write(site.app())
    site.start()
    site.wait_for(lambda: site.is_gone(blog), "it ended")
    assert site.get()[0] == 200


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(site) -> None:
    site.write(site.app())
    site.start()
    first = site.process
    site.start(ready=False)
    second, site.process = site.process, first
    assert second.wait(10) == 1
    assert f"pid {first.pid}" in site.log.read_text()
    assert site.get()[0] == 200
