"""Signals, broken manifests, busy ports, commands: what an operator does, and gets wrong."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from mergepoint.core.errors import NotRunning


def test_term_finishes_what_is_open_and_exits_with_zero(site) -> None:
    site.write(site.app(env=', SLEEP_S = "0.8"'))
    site.start()
    pids = [*site.pids("shop"), site.ask("status")["edge"]["pid"]]
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(site.get("/sleep")[0]))
    thread.start()
    time.sleep(0.3)
    assert site.stop() == 0
    thread.join()
    assert answers == [200]
    assert all(site.is_gone(pid) for pid in pids)
    assert not (site.run_dir / "processes.json").exists()


def test_a_second_term_stops_now(site) -> None:
    site.mode("stubborn")
    site.write(site.app(more="[apps.shop.timeouts]\nkill_s = 60"))
    site.start()
    pids = site.pids("shop")
    site.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert site.process.poll() is None
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(3) == 0
    assert all(site.is_gone(pid) for pid in pids)


def test_the_verb_stop_answers_when_everything_has_ended(site) -> None:
    site.write(site.app())
    site.start()
    pids = site.pids("shop")
    assert site.ask("stop")["ok"]
    assert all(site.is_gone(pid) for pid in pids)
    assert site.process.wait(5) == 0
    with pytest.raises(NotRunning):
        site.ask("ping")


def test_hup_rolls_only_what_changed(site) -> None:
    site.write(site.app() + site.app("blog", at="/blog"))
    site.start()
    shop, blog = site.pids("shop"), site.pids("blog")
    site.write(site.app() + site.app("blog", at="/blog", env=', MORE = "1"'))
    with site.load("/blog") as load:
        site.process.send_signal(signal.SIGHUP)
        site.wait_for(lambda: site.told("rolled", "blog"), "blog rolled")
    assert load.failures == []
    assert site.pids("shop") == shop
    assert site.pids("blog") != blog


def test_a_broken_manifest_changes_nothing_and_says_so(site) -> None:
    site.write(site.app())
    site.start()
    shop = site.pids("shop")
    site.manifest.write_text(site.manifest.read_text() + "\nnonsense = = 3\n")
    site.process.send_signal(signal.SIGHUP)
    site.wait_for(lambda: site.told("config_refused"), "it is told")
    assert site.pids("shop") == shop
    assert site.get()[0] == 200
    assert "mergepoint.toml" in site.refusal("reload")


def test_apps_come_and_go_with_the_manifest(site) -> None:
    site.write(site.app())
    site.start()
    site.write(site.app() + site.app("blog", at="/blog"))
    site.ask("reload")
    assert site.get("/blog")[0] == 200
    (blog,) = site.pids("blog")
    site.write(site.app())
    site.ask("reload")
    assert "blog" not in site.ask("status")["apps"]
    assert site.is_gone(blog)


def test_a_new_listener_comes_with_a_new_edge_and_the_old_port_stays_open(site) -> None:
    site.write(site.app())
    site.start()
    edge = site.ask("status")["edge"]["pid"]
    with site.load() as load:
        site.write(site.app(), site=f'listen = ["127.0.0.1:{site.port}", "127.0.0.1:0"]')
        site.ask("reload")
        site.wait_for(lambda: site.ask("status")["edge"]["pid"] != edge, "another edge")
        site.wait_for(lambda: site.is_gone(edge), "the old one has drained")
        assert len(site.ask("status")["listeners"]) == 2
        second = site.ask("status")["listeners"]["http-2"].rpartition(":")[2]
        edge = site.ask("status")["edge"]["pid"]
        site.write(site.app())
        site.ask("reload")
        site.wait_for(lambda: site.is_gone(edge), "the edge with both has drained")
    assert load.failures == []
    with pytest.raises(ConnectionRefusedError), socket.socket() as gone:
        gone.connect(("127.0.0.1", int(second)))


def test_a_busy_port_names_its_owner_and_proposes_another(site) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", site.port))
        taken.listen()
        site.write(site.app())
        site.start(ready=False)
        assert site.process.wait(15) == 1
    said = site.log.read_text()
    assert f"(pid {os.getpid()})" in said
    assert "another port, for instance" in said


def test_a_changed_file_restarts_only_its_app(site) -> None:
    for name in ("shop", "blog"):
        (site.directory / name).mkdir()
        (site.directory / name / "code.py").write_text("1")
    apps = site.app(more='watch = ["shop"]') + site.app("blog", 'watch = ["blog"]', at="/blog")
    site.write(apps)
    site.start("--watch")
    shop, blog = site.pids("shop"), site.pids("blog")
    time.sleep(0.5)
    (site.directory / "shop" / "code.py").write_text("2")
    site.wait_for(lambda: site.told("rolled", "shop"), "shop rolled")
    assert site.pids("blog") == blog
    shop = site.pids("shop")
    site.mode("crash")
    (site.directory / "shop" / "code.py").write_text("3")
    site.wait_for(lambda: site.told("refused", "shop"), "the broken one is refused")
    assert site.pids("shop") == shop
    assert site.get()[0] == 200


def test_a_process_over_its_number_of_requests_is_replaced_without_loss(site) -> None:
    site.write(site.app(more="restart = { requests_max = 20 }"))
    site.start()
    (old,) = site.pids("shop")
    with site.load() as load:
        site.wait_for(lambda: site.told("recycled", "shop"), "recycled")
        site.wait_for(lambda: old not in site.pids("shop"), "another process")
    assert load.failures == []


def test_a_process_that_grows_over_its_memory_is_replaced_without_loss(site) -> None:
    site.write(site.app(more='limits = { memory = "100MB" }'))
    site.start()
    (old,) = site.pids("shop")
    with site.load() as load:
        assert site.get("/grow")[0] == 200
        site.wait_for(lambda: site.pids("shop") not in ([], [old]), "another process")
    assert load.failures == []
    assert "MB of memory; its limit is" in site.told("recycled", "shop")[0]["detail"]


def test_a_pool_grows_while_requests_wait(site) -> None:
    site.write(
        site.app(env=', SLEEP_S = "0.2"', more="concurrency = 1\nprocesses = { min = 1, max = 3 }")
    )
    site.start()
    with site.load("/sleep", clients=8) as load:
        site.wait_for(lambda: len(site.pids("shop")) == 3, "three processes", 20.0)
        site.ask("scale", app="shop", processes=1)
        time.sleep(3.0)
        assert len(site.pids("shop")) == 1, "a number set by hand holds under load"
    assert load.failures == []
    assert [step["detail"].split(" processes")[0] for step in site.told("scaled")][:2] == [
        "1 to 2",
        "2 to 3",
    ]


def test_the_edge_is_replaced_by_command_without_closing_its_port(site) -> None:
    site.write(site.app())
    site.start()
    edge, worker = site.ask("status")["edge"]["pid"], site.pids("shop")
    with site.load() as load:
        assert site.ask("restart", edge=True)["rolled"] == ["edge"]
        site.wait_for(lambda: site.is_gone(edge), "the old one has drained")
    assert load.failures == []
    assert site.ask("status")["edge"]["pid"] != edge
    assert site.pids("shop") == worker
