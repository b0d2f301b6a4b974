"""Python apps in their real server: releases, failures told with file and line, kills."""

from __future__ import annotations

import os
import signal
import time

GOOD = """
import os
VERSION = "{version}"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{VERSION}} {{os.getpid()}}".encode()]
"""

TWO_ROUTES = """
import time
def application(environ, start_response):
    if environ["PATH_INFO"].startswith("/wait"):
        time.sleep(0.005)
    else:
        sum(range(100_000))
    start_response("200 OK", [])
    return [b"done"]
"""


def write_app(site, version: str) -> None:
    (site.directory / "hello.py").write_text(GOOD.format(version=version))


def manifest(more: str = "") -> str:
    return f'[apps.hello]\nwsgi = "hello:application"\nat = "/"\ndirectory = "."\n{more}\n'


def test_a_release_that_cannot_be_imported_is_refused_with_file_and_line(site) -> None:
    write_app(site, "1")
    site.write(manifest())
    site.start()
    assert site.get()[1].split()[0] == "1"
    (site.directory / "hello.py").write_text("import os\nimport no_such_module\n")
    with site.load() as load:
        refusal = site.refusal("reload", apps=["hello"])
    assert "no_such_module" in refusal
    assert "hello.py:2" in refusal
    assert load.failures == []
    write_app(site, "2")
    with site.load() as load:
        site.ask("reload", apps=["hello"])
        site.wait_for(lambda: site.get()[1].split()[0] == "2", "the mended release")
    assert load.failures == []


def test_an_app_that_cannot_be_imported_at_the_start_says_so_and_comes_back_when_mended(
    site,
) -> None:
    (site.directory / "hello.py").write_text("raise RuntimeError('no database')\n")
    site.write(manifest("restart = { backoff_s = 0.2, backoff_s_max = 0.5 }"))
    site.start()
    assert site.get()[0] == 503
    failure = site.ask("status")["apps"]["hello"]["failure"]
    assert "no database" in failure["reason"]
    assert "hello.py:1" in failure["where"]
    write_app(site, "1")
    site.wait_for(lambda: site.get()[0] == 200, "it came back by itself")


def test_kills_and_restarts_of_a_python_app_cost_no_idempotent_request(site) -> None:
    write_app(site, "1")
    site.write(manifest("processes = 2"))
    site.start()
    with site.load() as load:
        site.ask("restart", apps=["hello"])
        os.kill(site.pids("hello")[0], signal.SIGKILL)
        time.sleep(0.3)
        site.wait_for(lambda: len(site.pids("hello")) == 2, "both serve")
    assert load.failures == []


def test_a_venv_that_is_missing_fails_only_its_app_and_the_old_one_serves_on(site) -> None:
    write_app(site, "1")
    site.write(manifest() + site.app())
    site.manifest.write_text(site.manifest.read_text().replace('at = "/"', 'at = "/hello"', 1))
    site.start()
    before = site.pids("hello")
    text = site.manifest.read_text()
    site.manifest.write_text(text.replace("[apps.hello]", '[apps.hello]\nvenv = "gone"'))
    site.ask("reload")
    assert site.pids("hello") == before
    assert site.get("/hello/")[0] == 200
    assert "venv" in site.ask("status")["apps"]["hello"]["failure"]["reason"]
    site.manifest.write_text(text)
    site.ask("reload")
    assert site.ask("status")["apps"]["hello"]["state"] == "ready"
    assert site.pids("hello") == before


def test_routes_that_compute_and_routes_that_wait_are_told_apart(site) -> None:
    (site.directory / "hello.py").write_text(TWO_ROUTES)
    site.write(manifest("processes = 1"))
    site.start()
    for _ in range(30):
        site.get("/wait/1")
        site.get("/compute/2")
    [app] = site.ask("figures")["apps"].values()
    told = {of["name"]: of for of in app["names"]}
    waits, computes = told["GET /wait/*"], told["GET /compute/*"]
    assert waits["calls"] == computes["calls"] == 30
    assert waits["wall_s"] > 30 * 0.005
    assert computes["cpu_s"] > 4 * waits["cpu_s"]
    refused = site.refusal("figures", apps=["nobody"])
    assert "nobody" in refused
