"""tests/golden/cache_rules.json is what the model's decisions say, and decides something."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from mergepoint_testkit.cache_model import golden

FILE = Path(__file__).parents[1] / "golden" / "cache_rules.json"


def test_the_file_is_what_the_model_decides_today() -> None:
    command = "python -m mergepoint_testkit.cache_model.golden tests/golden/cache_rules.json"

    assert FILE.read_text() == golden.text(), f"run: {command}"


def test_every_decision_has_cases_with_every_verdict() -> None:
    verdicts: dict[str, set[object]] = defaultdict(set)
    for case in json.loads(FILE.read_text())["cases"]:
        verdicts[case["decision"]].add(case["verdict"])

    kept = {"unknown-tags", "unknown-source", "lease-over", "flushed", "forgotten", "fill-raced"}
    assert verdicts.pop("lease_end") == {10.0, 11.5, 12.0}
    assert verdicts == {
        "struck": {"struck", "kept"},
        "store": {"stored", *kept},
        "deliver": {"deliver", *kept},
        "serve": {"hit", "stale", "miss", "bypass"},
        "prepare": {"go", "pull", "wait", "bypass"},
        "join": {"join", "own"},
        "receive": {"apply", "flush", "old", "other-connection", "other-moment"},
        "release": {"applied", "lease-passed", "hold"},
        "barrier": {"answer", "wait"},
        "present": {"present", "gone"},
    }
