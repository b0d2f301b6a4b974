"""Guards give the verdict the edge gives: both sides read tests/golden/guards.json.

Place:  make test
Rule:   a case is added to the golden file, never here; here stands what holds for any request.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.identity.guards import Verdict, deciding, judge, readings

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "guards.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
OPEN: dict[str, Any] = {"require": ["public"], "guards": []}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_golden_request_gets_its_verdict(case: dict[str, Any]) -> None:
    decision = judge(case["access"], case["roles"], case["claims"], case["method"], case["path"])

    assert decision.verdict.value == case["verdict"]
    if decision.verdict is Verdict.FORBIDDEN:
        assert list(decision.terms) == case.get("terms", [])


def test_there_are_enough_golden_requests_and_none_twice() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)


paths = st.lists(
    st.sampled_from(
        ["admin", "ADMIN", "a", ".", "..", "", "%2e", "%252e", "%2F", ";v=1", "\\", "é"]
    ),
    max_size=6,
).map(lambda parts: "/" + "/".join(parts))


@given(paths)
def test_a_reading_is_normal_whatever_the_path(path: str) -> None:
    for reading in readings(path):
        assert reading.startswith(b"/")
        assert reading == b"/" or not reading.endswith(b"/")
        assert b"//" not in reading
        assert not {b".", b".."} & set(reading.split(b"/"))


@given(paths, st.sampled_from(["GET", "POST"]))
def test_what_is_refused_once_decoded_is_refused_in_every_writing(path: str, method: str) -> None:
    access = {**OPEN, "guards": [{"path": "/admin", "methods": [], "require": ["role:admin"]}]}
    plain = judge(access, {}, None, method, path)
    again = judge(access, {}, None, method, quote(path, safe="/%;\\"))

    assert again.verdict is plain.verdict


def test_the_decision_names_the_guard_that_asked() -> None:
    guards = [
        {"path": "/admin", "methods": [], "require": ["role:admin"]},
        {"path": "/admin/help", "methods": ["POST"], "require": ["user"]},
        {"path": "/admin/help", "methods": [], "require": ["public"]},
    ]
    access = {"require": ["public"], "guards": guards}

    assert judge(access, {}, None, "GET", "/tickets").guard is None
    assert judge(access, {}, None, "GET", "/admin/").guard == 0
    assert judge(access, {}, None, "GET", "/admin/help/x").guard == 2
    assert judge(access, {}, None, "POST", "/admin/help").guard == 1
    assert judge(access, {}, None, "GET", "/%61dmin").path == "/admin"
    assert deciding(access, "GET", b"/ADMIN") is None
    assert deciding(access, "GET", b"/ADMIN", folded=True) == 0
