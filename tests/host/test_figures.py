"""Requests are measured under the name of their route, and the supervisor alone may ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mergepoint.host import figures
from mergepoint.host.wsgi import WsgiShim


@pytest.fixture(autouse=True)
def nothing_measured_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no meter behind: other tests count the calls of a request."""
    monkeypatch.setattr(figures, "_meter", None)


class Named:
    """What a framework leaves in the environ: an object with the route's text."""

    def __init__(self, **texts: Any) -> None:
        self.__dict__.update(texts)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/", "/"),
        ("/tickets/42/edit", "/tickets/*/edit"),
        ("/a/b/c/d/e", "/a/b/c"),
        ("/files/0b5e2d1c9f", "/files/*"),
        ("/" + "x" * 30, "/*"),
        ("", "/"),
    ],
)
def test_a_shape_has_no_ids(path: str, wanted: str) -> None:
    assert figures.shape(path) == wanted


@pytest.mark.parametrize(
    "environ",
    [
        {"werkzeug.request": Named(url_rule=Named(rule="/t/<id>"))},
        {"bottle.route": Named(rule="/t/<id>")},
        {"bfg.routes.route": Named(pattern="/t/<id>")},
    ],
)
def test_a_framework_that_names_its_route_is_believed(environ: dict[str, Any]) -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/t/anything", **environ}
    assert figures.name_wsgi(environ) == "GET /t/<id>"


def test_without_a_name_there_is_the_shape_below_the_mount() -> None:
    scope = {"method": "GET", "path": "/tickets/t/7", "root_path": "/tickets"}
    assert figures.name_asgi(scope) == "GET /t/*"
    assert figures.name_asgi({**scope, "route": Named(path="/t/{id}")}) == "GET /t/{id}"
    assert figures.name_wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/t/7"}) == "GET /t/*"


def test_a_shim_counts_its_requests_and_tells_them_to_the_probe() -> None:
    figures.load()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"here"]

    shim = WsgiShim(app, False, set())
    for _ in range(3):
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/counted"}
        assert list(shim(environ, lambda *_: None)) == [b"here"]
    [body] = shim({"HTTP_MERGEPOINT_PROBE": "figures"}, lambda *_: None)
    told = {one["name"]: one for one in json.loads(body)["names"]}
    assert told["GET /counted"]["calls"] == 3
    assert told["GET /counted"]["kind"] == "thread"


def test_beyond_the_first_requests_one_of_a_few_is_measured() -> None:
    figures.load()
    measured = [figures.wanted() for _ in range(figures.ALL_MAX + 10 * figures.SAMPLE)]
    assert sum(measured[-8 * figures.SAMPLE :]) == 8


def test_what_a_coroutine_does_is_measured_step_by_step() -> None:
    figures.load()

    async def run() -> None:
        steps = figures.steps(asyncio.sleep(0.01))
        await steps
        figures.stop(steps, "GET /slept")

    asyncio.run(run())
    [slept] = [one for one in json.loads(figures.told())["names"] if one["name"] == "GET /slept"]
    assert slept["wall_s"] >= 0.01
    assert slept["cpu_s"] < slept["wall_s"]
