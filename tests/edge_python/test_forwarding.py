"""What `explain` says of headers is what the edge does with them.

Place:  make test
Rule:   tests/golden/reserved_headers.json is the list; edge/crates/core/tests/headers.rs holds the
        edge to it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mergepoint.core.headers import HOP_BY_HOP, RESERVED
from mergepoint.edge.forwarding import removal_reason, split_headers
from mergepoint.manifest.checks.headers import identity_header_fault

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "reserved_headers.json"
LISTED: dict[str, list[str]] = json.loads(GOLDEN.read_text())
TAKEN = (
    *("forwarded", "x-forwarded-user", "mergepoint-user", "accept-language", "content-type"),
    *("cookie", "host", "x-request-id", "traceparent", "tracestate", "remote-user", "proxy-user"),
    *("sec-fetch-site", "if-match", "access-control-x", "x-script-name"),
)
NAMES = [*LISTED["hop_by_hop"], *LISTED["names"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_the_edge_removes_is_explained(name: str) -> None:
    assert removal_reason(name)
    assert removal_reason(name.title())
    assert split_headers({name: "x"})[0] == {}


@pytest.mark.parametrize("prefix", LISTED["prefixes"])
def test_every_beginning_the_edge_removes_is_explained(prefix: str) -> None:
    assert removal_reason(f"{prefix}anything")
    assert removal_reason(f"{prefix}Anything".title())


def test_the_tables_hold_what_is_listed_and_nothing_else() -> None:
    assert sorted(HOP_BY_HOP) == LISTED["hop_by_hop"]
    assert sorted(name for family in RESERVED for name in family.names) == LISTED["names"]
    assert sorted(start for family in RESERVED for start in family.prefixes) == LISTED["prefixes"]


def test_names_with_an_underscore_are_removed_and_ordinary_ones_pass() -> None:
    assert removal_reason("X_Anything")
    for name in ("Accept", "Cookie", "Authorization", "User-Agent", "X-Custom", "X-Users"):
        assert removal_reason(name) == "", name


@pytest.mark.parametrize("name", ["x-webauth-user", "x-user", "auth-user", "x-wiki-groups"])
def test_an_app_may_read_people_from_names_of_its_own(name: str) -> None:
    assert identity_header_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [*LISTED["hop_by_hop"], *TAKEN],
)
def test_no_app_gives_a_second_meaning_to_a_known_name(name: str) -> None:
    assert identity_header_fault(name) is not None


def test_the_edge_takes_every_header_the_manifest_takes(edge_binary: Path, tmp_path: Path) -> None:
    identity = GOLDEN.parent / "snapshot" / "valid" / "identity.json"
    snapshot = json.loads(identity.read_text())
    free = [name for name in LISTED["names"] if identity_header_fault(name) is None]
    free += [f"{start}x" for start in LISTED["prefixes"] if not identity_header_fault(f"{start}x")]
    snapshot["apps"]["tickets"]["access"]["headers"] = dict.fromkeys(free, "user")
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(snapshot))
    checked = subprocess.run(
        [edge_binary, "--check", file], capture_output=True, text=True, timeout=10, check=False
    )

    assert len(free) > 20
    assert checked.returncode == 0, checked.stderr
