"""HTTP/2 by a suite others wrote: h2spec.

Place:  h2spec -> edge -> recorder
Rule:   every failed case is named here with its reason, or it is a fault of ours.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

from mergepoint_testkit import corpora
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.services import require

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
SUITE_S_MAX = 240

EXPLAINED = {
    "http2/3.5 Sends invalid connection preface": (
        "the clear-text port also speaks HTTP/1: bytes that begin neither are answered 400 "
        "in words and closed; h2spec wants silence or GOAWAY"
    ),
}
"""Cases that may fail: title to reason. h2spec tests RFC 7540; RFC 9113 changed a few rules."""


def test_h2spec_finds_nothing_unexplained(
    edge: EdgeProcess, tmp_path: Path, scores: dict[str, object]
) -> None:
    with require("h2spec", corpora.CorpusUnavailable):
        binary = corpora.h2spec(TOOLS)
    report = tmp_path / "h2spec.xml"
    argv = [str(binary), "-h", "127.0.0.1", "-p", str(edge.port()), "-o", "3", "-j", str(report)]
    subprocess.run(argv, capture_output=True, timeout=SUITE_S_MAX, check=False)

    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    names = [f"{c.get('package')} {c.get('classname')}" for c in failed]
    scores["h2spec"] = {"cases": len(cases), "failed": names, "explained": EXPLAINED}
    assert len(cases) > 100
    assert [name for name in names if name not in EXPLAINED] == []
