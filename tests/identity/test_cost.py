"""What identity costs an app that does not ask: counted in calls, not in time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from mergepoint_testkit.identities import headers
from mergepoint_testkit.in_process import ask_asgi, ask_wsgi

from mergepoint.identity import of

ADA = headers("ada", permissions=["tickets.*"])
EXTRA_CALLS_MAX = 6
"""Python and C calls a proven request may need beyond an anonymous one: half a microsecond."""


def indifferent(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def curious(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [of(environ).user.encode()]


async def indifferent_asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def calls(work: Callable[[], object], home: str) -> Counter[str]:
    """Return how often which function ran inside the shim, counted from `home` downwards."""
    seen: Counter[str] = Counter()
    inside = 0

    def note(frame: FrameType, event: str, what: Any) -> None:
        nonlocal inside
        name = frame.f_code.co_qualname
        if event == "call" and name == home:
            inside += 1
        if inside and event == "call":
            seen[f"{frame.f_globals.get('__name__')}.{name}"] += 1
        if inside and event == "c_call":
            seen[f"{what.__module__}.{what.__name__}"] += 1
        if event == "return" and name == home:
            inside -= 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize(
    ("ask", "app", "home"),
    [
        (ask_wsgi, indifferent, "WsgiShim.__call__"),
        (ask_asgi, indifferent_asgi, "AsgiShim.__call__"),
    ],
    ids=["wsgi", "asgi"],
)
def test_an_app_that_does_not_look_pays_a_few_calls_and_no_decoding(
    ask: Any, app: Any, home: str
) -> None:
    ask(app, headers=ADA)  # the first proven request imports the package
    anonymous = calls(lambda: ask(app), home)
    proven = calls(lambda: ask(app, headers=ADA), home)

    assert sum(anonymous.values()) > 3, "the profile saw the shim"
    assert sum(proven.values()) - sum(anonymous.values()) <= EXTRA_CALLS_MAX, proven - anonymous
    decoding = [name for name in proven if "json" in name or "base64" in name or "binascii" in name]
    assert decoding == []
    assert not any(name.endswith((".claims", ".fields", "__getattr__")) for name in proven)


def test_an_app_that_looks_decodes_once() -> None:
    def looks(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for _ in range(10):
            curious(environ, start_response=lambda *_: None)
        return curious(environ, start_response)

    ask_wsgi(looks, headers=ADA)
    seen = calls(lambda: ask_wsgi(looks, headers=ADA), "WsgiShim.__call__")

    assert seen["mergepoint.identity.contract.claims"] == 1
    assert seen["json.loads"] == 1
