"""The snapshot says what the site means, in the shape the edge parses.

Place:  make test
Rule:   shapes are compared with the golden files the Rust side parses too, never with a copy here.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.endpoints import Failure, SlotEndpoint, SlotGroup, SlotState
from mergepoint.edge.compile import compile_snapshot
from mergepoint.edge.health import readiness
from mergepoint.manifest.site import PrefixMode, Site

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "snapshot" / "valid" / "full.json"
SECRET = bytes(range(32))
ENDPOINTS = {
    "tickets": [
        SlotEndpoint(1, "tcp:127.0.0.1:4711", group=SlotGroup.CANARY),
        SlotEndpoint(0, "unix:/run/acme/tickets.0.g3.sock"),
        SlotEndpoint(0, "unix:/run/acme/tickets.0.g2.sock", SlotState.DRAINING),
    ]
}


def compiled(site: Site, **rest: Any) -> dict[str, Any]:
    failures = {"front": Failure("ModuleNotFoundError", "front.py:1", "mergepoint logs front")}
    given = {"endpoints": ENDPOINTS, "failures": failures, "generation": 7} | rest
    return compile_snapshot(site, canary_share={"tickets": 0.1}, secret=SECRET, **given)


def shape(value: Any) -> Any:
    """Return keys and types, with every entry of a list or of a table by name taken together."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else None


@pytest.fixture
def golden() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GOLDEN.read_text())
    return document


def test_the_document_has_exactly_the_golden_keys(rich: Site, golden: dict[str, Any]) -> None:
    found = compiled(rich)
    for name in ("limits", "compression"):
        assert shape(found[name]) == shape(golden[name])
    assert set(found) == set(golden)
    for name in ("listeners", "hosts", "certificates", "apps"):
        assert type(found[name]) is type(golden[name])
    listener = next(iter(golden["listeners"].values()))
    assert all(set(entry) == set(listener) for entry in found["listeners"].values())
    host = golden["hosts"][0]
    assert all(set(entry) == set(host) for entry in found["hosts"])
    assert all(
        set(route) == set(host["routes"][0])
        for entry in found["hosts"]
        for route in entry["routes"]
    )


@pytest.mark.parametrize("name", ["front", "tickets", "node", "small", "far", "files", "old"])
def test_each_app_has_exactly_the_golden_keys_of_its_kind(
    rich: Site, golden: dict[str, Any], name: str
) -> None:
    found = compiled(rich)["apps"][name]
    model = next(app for app in golden["apps"].values() if app["kind"] == found["kind"])

    assert set(found) == set(model)
    for key, entry in model.items():
        if isinstance(entry, dict) and key != "failure":
            assert set(found[key]) == set(entry), key
    for slot in found.get("slots", []):
        assert set(slot) == set(model["slots"][0])
    if found.get("failure"):
        failed = next(app["failure"] for app in golden["apps"].values() if app.get("failure"))
        assert set(found["failure"]) == set(failed)


def test_slots_are_ordered_and_keep_state_and_group(rich: Site) -> None:
    tickets = compiled(rich)["apps"]["tickets"]

    assert [(s["slot"], s["state"], s["group"]) for s in tickets["slots"]] == [
        (0, "draining", "stable"),
        (0, "ready", "stable"),
        (1, "ready", "canary"),
    ]
    assert (tickets["canary_share"], tickets["failure"]) == (0.1, None)
    assert tickets["body_bytes_max"] is None


def test_a_pool_without_slots_says_why(rich: Site) -> None:
    apps = compiled(rich)["apps"]

    assert apps["front"]["failure"] == {
        "reason": "ModuleNotFoundError",
        "where": "front.py:1",
        "next": "mergepoint logs front",
    }
    assert (apps["node"]["slots"], apps["node"]["failure"]) == ([], None), "about to start: waits"
    broken = replace(rich, failures={"node": Failure("no node here", "mergepoint.toml:1", "apt")})
    assert compiled(broken)["apps"]["node"]["failure"]["reason"] == "no node here"


def test_a_service_elsewhere_is_one_slot_that_is_always_there(rich: Site) -> None:
    far = compiled(rich)["apps"]["far"]

    assert [slot["address"] for slot in far["slots"]] == ["tcp:127.0.0.1:9100"]
    assert (far["prefix"], far["abandon"]) == ("keep", "cancel")


@pytest.mark.parametrize(
    ("app", "abandon"),
    [("front", "cancel"), ("tickets", "finish"), ("small", "finish"), ("node", "cancel")],
)
def test_blocking_workers_finish_what_a_client_left(rich: Site, app: str, abandon: str) -> None:
    assert compiled(rich)["apps"][app]["abandon"] == abandon


def test_python_workers_are_asked_through_the_host_shim(rich: Site) -> None:
    front, tickets, node = (readiness(rich.apps[name]) for name in ("front", "tickets", "node"))

    assert (front.path, dict(front.headers)) == ("/", {"Mergepoint-Probe": "ready"})
    assert front.statuses == (204, 204)
    assert (tickets.path, tickets.statuses) == ("/tickets/healthz?deep=1", (200, 399))
    assert not tickets.headers
    assert (node.path, node.statuses) == ("/", (100, 599))
    kept = replace(rich.apps["node"], prefix=PrefixMode.KEEP)
    assert readiness(kept).path == "/node/"


def test_hosts_are_ordered_and_routes_name_their_line(rich: Site) -> None:
    hosts = compiled(rich)["hosts"]

    assert [host["name"] for host in hosts] == ["[::1]", "*.example.org", "*"]
    assert hosts[-1]["routes"][-1] == {"prefix": "/", "app": "front", "origin": "mergepoint.toml:8"}


def test_the_same_arguments_give_the_same_document(rich: Site) -> None:
    assert json.dumps(compiled(rich)) == json.dumps(compiled(rich))
    assert compiled(rich, generation=8)["generation"] == 8


def test_a_secret_of_another_length_is_a_mistake_of_the_caller(rich: Site) -> None:
    with pytest.raises(ValueError, match="32"):
        compile_snapshot(rich, {}, {}, 1, {}, b"short")


def test_the_edge_takes_what_we_write(rich: Site, edge_binary: Path, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(compiled(rich)))
    checked = subprocess.run(
        [edge_binary, "--check", file], capture_output=True, text=True, timeout=10
    )

    assert checked.returncode == 0, checked.stderr
    file.write_text(json.dumps(compiled(rich) | {"colour": "red"}))
    refused = subprocess.run(
        [edge_binary, "--check", file], capture_output=True, text=True, timeout=10
    )
    assert refused.returncode == 78
    assert "colour" in refused.stderr
