"""A release is a transaction: it proves itself beside the old one, or changes nothing."""

from __future__ import annotations

import json
import threading
import time

import pytest

from mergepoint.supervisor import judge


def versions(answers: list[str]) -> set[str]:
    return {answer.split()[1] for answer in answers}


@pytest.mark.parametrize("processes", [1, 3])
def test_a_rolling_restart_under_load_loses_no_request(site, processes: int) -> None:
    site.write(site.app(more=f"processes = {processes}"))
    site.start()
    before = set(site.pids("shop"))
    site.mode("slow:0.5")
    site.version("2")
    with site.load() as load:
        answer = site.ask("restart", apps=["shop"])
        site.wait_for(lambda: "2" in versions(load.answers), "the new release answers")
    assert answer["rolled"] == ["shop"]
    assert load.failures == []
    assert versions(load.answers) == {"1", "2"}
    site.wait_for(lambda: len(site.slots("shop")) == processes, "the old ones are gone")
    assert not before & set(site.pids("shop"))


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("crash", "ValueError: no such table: users"), ("short:0.4", "exit code 4"),
     ("hang", "not ready after"), ("bad", "smoke check GET /health was answered with 500")],
)  # fmt: skip
def test_a_bad_release_is_refused_with_its_reason_and_the_old_one_serves_on(
    site, mode: str, reason: str
) -> None:
    site.write(site.app(more='smoke = ["/health"]\n[apps.shop.timeouts]\nready_s = 2'))
    site.start()
    before = site.pids("shop")
    site.mode(mode)
    site.version("2")
    with site.load() as load:
        refusal = site.refusal("reload", apps=["shop"])
    assert reason in refusal
    assert "the old release keeps serving" in refusal
    assert load.failures == []
    assert versions(load.answers) == {"1"}
    assert site.pids("shop") == before
    assert site.ask("status")["apps"]["shop"]["state"] == "degraded"
    site.mode("")
    assert site.ask("reload", apps=["shop"])["rolled"] == ["shop"]
    assert site.get()[1].split()[0] == "2"


def test_a_chained_app_never_has_an_extra_process(site) -> None:
    site.write(site.app(more="processes = 2\nrestart = { chained = true }"))
    site.start()
    most = 0
    with site.load() as load:
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(site.ask("restart", apps=["shop"])))
        thread.start()
        while thread.is_alive():
            most = max(most, sum(s["pid"] is not None for s in site.slots("shop")))
            time.sleep(0.02)
        thread.join()
    assert done
    assert most <= 2
    assert load.failures == []


def test_a_canary_takes_its_share_and_then_the_whole(site) -> None:
    site.write(site.app(more="processes = 2"))
    site.start()
    site.version("2")
    with site.load() as load:
        site.ask("reload", apps=["shop"], canary=0.3, watch_s=1.0)
    assert load.failures == []
    assert site.told("canary", "shop")
    assert {site.get()[1].split()[0] for _ in range(6)} == {"2"}


def test_a_canary_that_fails_is_stepped_back_by_itself(site) -> None:
    site.write(site.app(more="processes = 2"))
    site.start()
    before = set(site.pids("shop"))
    site.mode("bad")
    with site.load():
        refusal = site.refusal("reload", apps=["shop"], canary=0.3, watch_s=30.0)
    assert "canary" in refusal
    site.wait_for(lambda: set(site.pids("shop")) == before, "only the old ones serve")
    assert {site.get()[0] for _ in range(6)} == {200}


def canary_refusal(site, watch_s: float) -> str:
    """Return why a canary of half the requests was taken back; the old processes must be left."""
    before = set(site.pids("shop"))
    refusal = site.refusal("reload", apps=["shop"], canary=0.5, watch_s=watch_s)
    site.wait_for(lambda: set(site.pids("shop")) == before, "only the old ones serve")
    return refusal


def test_a_canary_that_hangs_is_stepped_back(site) -> None:
    site.write(
        site.app(more='ready = "/health"\n[apps.shop.timeouts]\nrequest_s = 1\nkill_s = 0.5')
    )
    site.start()
    site.mode("mute")
    with site.load():
        refusal = canary_refusal(site, 30.0)
    assert "canary: GET / took longer than 1" in refusal


def test_a_canary_nobody_asked_is_stepped_back_and_says_so(site) -> None:
    site.write(site.app())
    site.start()
    began = time.monotonic()
    assert "canary: no request of its share was finished in 1" in canary_refusal(site, 0.5)
    assert time.monotonic() - began < judge.canary_s_max(0.5) + 5
    assert not [told for told in site.told("canary", "shop") if "passed" in told["detail"]]


def test_scaling_ends_when_the_new_slots_serve(site) -> None:
    site.write(site.app())
    site.start()
    assert site.ask("scale", app="shop", processes=3)["processes"] == 3
    assert len(site.pids("shop")) == 3
    with site.load() as load:
        site.ask("scale", app="shop", processes=1)
        site.wait_for(lambda: len(site.slots("shop")) == 1, "two are gone")
    assert load.failures == []
    assert "between 1 and" in site.refusal("scale", app="shop", processes=0)
    assert "there are: shop" in site.refusal("scale", app="shopp", processes=2)


def test_a_stuck_request_costs_its_process_and_not_its_neighbours(site) -> None:
    site.write(site.app(
        env=', SLEEP_S = "2.5"',
        more='concurrency = 8\n[apps.shop.timeouts]\nrequest_s = 3.0\ndrain_s = 8\nkill_s = 0.5',
    ))  # fmt: skip
    site.start()
    stuck_pid = site.pids("shop")[0]
    answers: dict[str, int] = {}

    def ask(path: str) -> None:
        answers[path] = site.get(path)[0]

    threads = [threading.Thread(target=ask, args=["/stuck"])]
    threads[0].start()
    time.sleep(2.0)
    threads.append(threading.Thread(target=ask, args=["/sleep"]))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert answers == {"/stuck": 504, "/sleep": 200}
    site.wait_for(lambda: stuck_pid not in site.pids("shop"), "the stuck process is replaced")
    assert "GET /stuck took longer" in site.told("recycled", "shop")[0]["detail"]
    assert site.get()[0] == 200


def test_scaling_stops_at_the_bound_of_the_manifest_and_names_the_fix(site) -> None:
    site.write(site.app(more="processes = { min = 1, max = 2 }"))
    site.start()
    assert site.ask("scale", app="shop", processes=2)["processes"] == 2
    assert "the manifest allows 2" in site.refusal("scale", app="shop", processes=3)


def test_an_app_that_has_gone_is_removed_not_rolled(site) -> None:
    site.write(site.app() + site.app("blog", at="/blog"))
    site.start()
    site.write(site.app(more="processes = 2"))
    answer = site.ask("reload")
    assert (answer["rolled"], answer["removed"]) == (["shop"], ["blog"])


def test_the_last_process_is_told_ready_before_its_app_is_rolled(site) -> None:
    site.write(site.app())
    site.start()
    site.ask("reload", apps=["shop"])
    steps = [
        told["step"] for line in site.log.read_text().splitlines()
        if '"progress"' in line and (told := json.loads(line)["progress"])["app"] == "shop"
    ]  # fmt: skip
    assert steps.index("rolled") > max(n for n, step in enumerate(steps) if step == "ready")
