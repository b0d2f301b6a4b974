"""The document of the rich site is one of the golden files that the Rust side parses.

Place:  make test
Rule:   written anew by REGENERATE=1 pytest tests/edge_python/test_golden.py; read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.endpoints import Failure, SlotEndpoint, SlotGroup, SlotState
from mergepoint.edge.compile import compile_snapshot
from mergepoint.manifest.site import Site

VALID = Path(__file__).resolve().parents[1] / "golden" / "snapshot" / "valid"
GOLDEN = VALID / "compiled.json"

ENDPOINTS = {
    "front": [SlotEndpoint(slot, f"unix:/srv/acme/run/front.{slot}.g1.sock") for slot in (0, 1)],
    "tickets": [
        SlotEndpoint(0, "unix:/srv/acme/run/tickets.0.g3.sock"),
        SlotEndpoint(0, "unix:/srv/acme/run/tickets.0.g2.sock", SlotState.DRAINING),
        SlotEndpoint(0, "unix:/srv/acme/run/tickets.0.g4.sock", group=SlotGroup.CANARY),
    ],
    "node": [SlotEndpoint(0, "tcp:127.0.0.1:4711")],
}
FAILURES = {
    "small": Failure("ModuleNotFoundError: No module named 'b'", "b.py:1", "mergepoint logs small")
}


def test_the_rich_sites_document_is_the_golden_one(rich: Site) -> None:
    document = compile_snapshot(rich, ENDPOINTS, FAILURES, 7, {"tickets": 0.1}, bytes(range(32)))
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    found = text.replace(str(rich.directory), "/srv/acme")

    if os.environ.get("REGENERATE") == "1":
        GOLDEN.write_text(found)

    assert found == GOLDEN.read_text()


@pytest.mark.parametrize("file", sorted(VALID.glob("*.json")), ids=lambda file: file.stem)
def test_every_golden_document_has_our_fields_and_no_other(file: Path, rich: Site) -> None:
    golden: dict[str, Any] = json.loads(file.read_text())
    ours = compile_snapshot(rich, ENDPOINTS, FAILURES, 7, {}, bytes(range(32)))

    assert set(golden) - {"identity", "cache"} == set(ours)
    for app in golden["apps"].values():
        same_kind = next(own for own in ours["apps"].values() if own["kind"] == app["kind"])
        assert set(app) - {"access", "cache"} == set(same_kind)
        assert ("access" in app) == ("identity" in golden), "a site without identity says neither"
